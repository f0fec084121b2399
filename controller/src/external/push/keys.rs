//! Which keys of a source go where.

use sealops_crds::push_secret::{PushConversionStrategy, PushDataTo, PushRewrite};
use sealops_crypto::sops::GoRegex;
use sealops_formats::Plaintext;
use sealops_template::Value;
use sealops_template::value::{Map, Text};
use std::collections::BTreeMap;

use crate::templates::{Dialect, Renderer, TemplateOptions};

/// Returns the values under the names that the conversion strategy gives them.
pub(super) fn converted<'a>(
    values: &'a BTreeMap<String, Plaintext>,
    strategy: Option<&PushConversionStrategy>,
) -> Result<BTreeMap<String, &'a Plaintext>, String> {
    let mut out = BTreeMap::new();
    for (key, value) in values {
        let name = match strategy {
            Some(PushConversionStrategy::ReverseUnicode) => reversed(key),
            _ => key.clone(),
        };
        if out.insert(name.clone(), value).is_some() {
            return Err(format!(
                "could not apply conversion strategy to keys: secret name collision during conversion: {name}"
            ));
        }
    }
    Ok(out)
}

/// Turns `_U0040_` into the character of that code point.
fn reversed(key: &str) -> String {
    let (mut out, mut rest) = (String::new(), key);
    while let Some(start) = rest.find("_U") {
        let (before, tail) = rest.split_at(start);
        let digits: String = tail[2..].chars().take_while(char::is_ascii_hexdigit).collect();
        let is_code = (4..=5).contains(&digits.len()) && tail[2 + digits.len()..].starts_with('_');
        let character = u32::from_str_radix(&digits, 16).ok().filter(|_| is_code).and_then(char::from_u32);
        out.push_str(before);
        match character {
            Some(character) => {
                out.push(character);
                rest = &tail[digits.len() + 3..];
            }
            None => {
                out.push_str("_U");
                rest = &tail[2..];
            }
        }
    }
    out + rest
}

/// Returns the keys that an entry of `dataTo` matches.
pub(super) fn matched<'a>(
    entry: &PushDataTo,
    keys: impl Iterator<Item = &'a String>,
) -> Result<Vec<&'a String>, String> {
    let pattern = entry.match_.as_ref().and_then(|found| found.regexp.as_deref()).unwrap_or_default();
    if pattern.is_empty() {
        return Ok(keys.collect());
    }
    let regex = GoRegex::new(pattern)
        .map_err(|error| format!("dataTo[].match.regexp: failed to compile {pattern:?}: {error}"))?;
    Ok(keys.filter(|key| regex.is_match(key.as_bytes())).collect())
}

/// Returns the name that a key gets by the rewrites, in their order.
pub(super) fn rewritten(key: &str, rewrites: &[PushRewrite]) -> Result<String, String> {
    let mut name = key.to_owned();
    for (index, rewrite) in rewrites.iter().enumerate() {
        let place = format!("rewrite[{index}]");
        let texts = |pairs: &[(&str, &str)]| {
            let entry = |(key, value): &(&str, &str)| (Text::from(*key), Value::string(Text::from(*value)));
            Value::Map(Map::new(pairs.iter().map(entry).collect()))
        };
        let (template, root) = match (&rewrite.regexp, &rewrite.transform) {
            // The template engine has Go's expressions and replacements.
            (Some(regexp), None) => (
                "{{ mustRegexReplaceAll .source .value .target }}",
                texts(&[("source", &regexp.source), ("target", &regexp.target), ("value", &name)]),
            ),
            (None, Some(transform)) => (transform.template.as_str(), texts(&[("value", &name)])),
            _ => return Err(format!("{place}: exactly one of regexp or transform must be set")),
        };
        let renderer = Renderer::of_root(Dialect::ExternalSecrets, TemplateOptions::default(), root);
        let text =
            renderer.render(&place, &template.into()).map_err(|problem| format!("{place}: {problem}"))?;
        name = text
            .expose_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("{place}: the result is not UTF-8"))?;
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rewrites(text: serde_json::Value) -> Vec<PushRewrite> {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn code_points_become_characters() {
        for (key, name) in [
            ("a_U0040_b", "a@b"),
            ("_U1f600_", "😀"),
            ("_U00_", "_U00_"),
            ("_Ux_U0041_", "_UxA"),
            ("plain", "plain"),
        ] {
            assert_eq!(reversed(key), name);
        }
    }

    #[test]
    fn rewrites_are_gos() {
        let rules = rewrites(json!([{ "regexp": { "source": "^db-(.*)", "target": "x/${1}-y" } },
            { "transform": { "template": "{{ .value | upper }}" } }]));
        assert_eq!(rewritten("db-user", &rules).unwrap(), "X/USER-Y");
        assert_eq!(rewritten("other", &rules).unwrap(), "OTHER");
        assert_eq!(
            rewritten("u", &rewrites(json!([{ "regexp": { "source": "^", "target": "all-" } }]))).unwrap(),
            "all-u"
        );
        for odd in [
            json!([{}]),
            json!([{ "regexp": { "source": "(", "target": "" } }]),
            json!([{ "transform": { "template": "{{" } }]),
        ] {
            assert!(rewritten("a", &rewrites(odd)).is_err());
        }
    }
}
