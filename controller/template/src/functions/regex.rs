//! Regular expressions in Go's dialect (RE2), in linear time.

mod pattern;

use sealops_formats::Plaintext;

use super::Function;
use super::convert::{panics, push_rune};
use super::strings::strings;
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::runes::{decode, iterate};
use crate::value::{List, Text, Type, Value};
use pattern::Pattern;

const STRING: &[Type] = &[Type::String];
const STRING_2: &[Type] = &[Type::String, Type::String];
const STRING_3: &[Type] = &[Type::String, Type::String, Type::String];
const STRING_2_INT: &[Type] = &[Type::String, Type::String, Type::INT];

pub(crate) const TABLE: &[Function] = &[
    Function::new("regexMatch", STRING_2, |context, args| match compile(context, &args[0]) {
        Ok(pattern) => is_match(context, &pattern, &args[1]),
        // sprig drops the error of a bad pattern.
        Err(FunctionError::Failed(_)) => Ok(false.into()),
        Err(error) => Err(error),
    }),
    Function::new("mustRegexMatch", STRING_2, |context, args| {
        let pattern = compile(context, &args[0])?;
        is_match(context, &pattern, &args[1])
    }),
    Function::new("regexFind", STRING_2, find),
    Function::new("mustRegexFind", STRING_2, find),
    Function::new("regexFindAll", STRING_2_INT, find_all),
    Function::new("mustRegexFindAll", STRING_2_INT, find_all),
    Function::new("regexReplaceAll", STRING_3, replace),
    Function::new("mustRegexReplaceAll", STRING_3, replace),
    Function::new("regexReplaceAllLiteral", STRING_3, replace_literal),
    Function::new("mustRegexReplaceAllLiteral", STRING_3, replace_literal),
    Function::new("regexSplit", STRING_2_INT, split),
    Function::new("mustRegexSplit", STRING_2_INT, split),
    Function::new("regexQuoteMeta", STRING, |context, args| {
        let text = args[0].as_text()?.as_bytes();
        let mut out = Plaintext::with_capacity(text.len() * 2);
        for byte in text {
            if br"\.+*?()|[]{}^$".contains(byte) {
                out.push(b"\\");
            }
            out.push(&[*byte]);
        }
        context.text(out)
    }),
];

fn compile(context: &mut Context<'_>, value: &Value) -> Result<Pattern, FunctionError> {
    let text = value.as_text()?;
    // Compiling costs more than the text is long.
    context.charge_bytes(text.len() * 64 + 4096)?;
    let pattern = text.as_str().and_then(Pattern::compile);
    let Some(pattern) = pattern else { return panics("error parsing regexp: the pattern is not valid") };
    context.charge_steps(pattern.weight * 4)?;
    Ok(pattern)
}

/// A text to search in. Broken bytes are U+FFFD to Go's matcher, so it is searched in a copy that has them.
struct Haystack<'t> {
    original: &'t [u8],
    copy: Option<(Plaintext, Vec<usize>)>,
}

impl<'t> Haystack<'t> {
    fn new(context: &mut Context<'_>, pattern: &Pattern, original: &'t [u8]) -> Result<Self, FunctionError> {
        context.charge_steps(1 + (original.len() as u64).saturating_mul(pattern.weight) / 512)?;
        if std::str::from_utf8(original).is_ok() {
            return Ok(Self { original, copy: None });
        }
        context.charge_bytes(original.len() * 3 * (1 + size_of::<usize>()))?;
        let mut copy = Plaintext::with_capacity(original.len() * 3);
        let mut offsets = Vec::with_capacity(original.len() * 3 + 1);
        for (at, rune, _) in iterate(original) {
            push_rune(&mut copy, rune);
            offsets.resize(copy.len(), at);
        }
        offsets.push(original.len());
        Ok(Self { original, copy: Some((copy, offsets)) })
    }

    fn text(&self) -> &[u8] {
        self.copy.as_ref().map_or(self.original, |(copy, _)| copy.expose())
    }

    fn slice(&self, start: usize, end: usize) -> &'t [u8] {
        let (start, end) = match &self.copy {
            Some((_, offsets)) => (offsets[start], offsets[end]),
            None => (start, end),
        };
        &self.original[start..end]
    }

    /// Returns the groups of the first match at or after `from`, the whole one first.
    fn search(&self, pattern: &Pattern, mut from: usize) -> Option<Vec<Option<(usize, usize)>>> {
        let text = self.text();
        loop {
            let found = pattern.regex.captures_at(text, from)?;
            let groups: Vec<_> =
                found.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect();
            // An empty match within a rune is none to Go.
            match groups[0] {
                Some((start, _)) if start < text.len() && text[start] & 0xC0 == 0x80 => from = start + 1,
                _ => return Some(groups),
            }
        }
    }

    /// Returns the places of up to `most` matches; an empty one right behind another does not count.
    fn matches(
        &self,
        context: &mut Context<'_>,
        pattern: &Pattern,
        most: usize,
    ) -> Result<Vec<(usize, usize)>, FunctionError> {
        let text = self.text();
        let (mut at, mut previous_end) = (0, None);
        let mut found = Vec::new();
        while found.len() < most && at <= text.len() {
            context.charge_steps(1)?;
            let Some(Some((start, end))) = self.search(pattern, at).map(|groups| groups[0]) else { break };
            let mut accepted = true;
            if end == at {
                accepted = Some(start) != previous_end;
                at += decode(&text[at..]).1.max(1);
            } else {
                at = end;
            }
            previous_end = Some(end);
            if accepted {
                context.charge_bytes(32)?;
                found.push((start, end));
            }
        }
        Ok(found)
    }
}

fn is_match(context: &mut Context<'_>, pattern: &Pattern, text: &Value) -> Result<Value, FunctionError> {
    let haystack = Haystack::new(context, pattern, text.as_text()?.as_bytes())?;
    Ok(haystack.search(pattern, 0).is_some().into())
}

fn find(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let pattern = compile(context, &args[0])?;
    let haystack = Haystack::new(context, &pattern, args[1].as_text()?.as_bytes())?;
    match haystack.search(&pattern, 0).and_then(|groups| groups[0]) {
        Some((start, end)) => context.text(haystack.slice(start, end)),
        None => Ok(Value::from("")),
    }
}

fn find_all(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let pattern = compile(context, &args[0])?;
    let haystack = Haystack::new(context, &pattern, args[1].as_text()?.as_bytes())?;
    let most = usize::try_from(args[2].as_int()?).unwrap_or(usize::MAX);
    let found = haystack.matches(context, &pattern, most)?;
    if found.is_empty() {
        return Ok(List::nil(&Type::String).into());
    }
    let texts = found.into_iter().map(|(start, end)| part(context, &haystack, start, end));
    let texts = texts.collect::<Result<_, _>>()?;
    strings(context, texts)
}

fn part(
    context: &mut Context<'_>,
    haystack: &Haystack<'_>,
    start: usize,
    end: usize,
) -> Result<Text, FunctionError> {
    let text = haystack.slice(start, end);
    context.charge_bytes(text.len() + 48)?;
    Ok(Text::from(text))
}

/// `Regexp.Split`
fn split(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let pattern = compile(context, &args[0])?;
    let text = args[1].as_text()?.as_bytes();
    let most = args[2].as_int()?;
    if most == 0 {
        return Ok(List::nil(&Type::String).into());
    }
    if !args[0].as_text()?.is_empty() && text.is_empty() {
        return strings(context, vec![Text::from("")]);
    }
    let haystack = Haystack::new(context, &pattern, text)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for (start, stop) in haystack.matches(context, &pattern, most)? {
        if parts.len() + 1 == most {
            break;
        }
        end = start;
        if stop != 0 {
            parts.push(part(context, &haystack, begin, end)?);
        }
        begin = stop;
    }
    if end != haystack.text().len() {
        parts.push(part(context, &haystack, begin, haystack.text().len())?);
    }
    strings(context, parts)
}

fn replace(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    replaced(context, args, expand)
}

fn replace_literal(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    replaced(context, args, |_, replacement, out, _| out.push(replacement))
}

/// What a function for replacements sees: pattern, template, result, text of a group.
type Insert = fn(&Pattern, &[u8], &mut Plaintext, &dyn Fn(usize) -> Option<Plaintext>);

/// `Regexp.replaceAll`
fn replaced(context: &mut Context<'_>, args: &[Value], insert: Insert) -> Result<Value, FunctionError> {
    let pattern = compile(context, &args[0])?;
    let haystack = Haystack::new(context, &pattern, args[1].as_text()?.as_bytes())?;
    let template = args[2].as_text()?.as_bytes();
    let text = haystack.text();
    let mut out = Plaintext::default();
    let (mut last_end, mut at) = (0, 0);
    while at <= text.len() {
        context.charge_steps(1 + template.len() as u64 / 16)?;
        let Some(groups) = haystack.search(&pattern, at) else { break };
        let Some((start, end)) = groups[0] else { break };
        let before = haystack.slice(last_end, start);
        let length = out.len();
        out.push(before);
        if end > last_end || start == 0 {
            // A template of $1$1$1… multiplies what was matched.
            let names = template.iter().filter(|byte| **byte == b'$').count();
            context.charge_bytes(template.len() + names * (end - start))?;
            insert(&pattern, template, &mut out, &|group| {
                let (start, end) = groups.get(group).copied().flatten()?;
                Some(Plaintext::from(haystack.slice(start, end)))
            });
        }
        context.charge_bytes(out.len() - length)?;
        last_end = end;
        let width = decode(&text[at..]).1;
        at = if at + width > end {
            at + width
        } else if at + 1 > end {
            at + 1
        } else {
            end
        };
    }
    out.push(haystack.slice(last_end, text.len()));
    context.text(out)
}

/// `Regexp.Expand`: `$1`, `$name`, `${1}x`, `$$`. A name is as long as it can be, and an unknown one is empty.
fn expand(
    pattern: &Pattern,
    mut template: &[u8],
    out: &mut Plaintext,
    group: &dyn Fn(usize) -> Option<Plaintext>,
) {
    while let Some(dollar) = template.iter().position(|byte| *byte == b'$') {
        out.push(&template[..dollar]);
        template = &template[dollar + 1..];
        if let Some(rest) = template.strip_prefix(b"$") {
            out.push(b"$");
            template = rest;
            continue;
        }
        let Some((name, rest)) = group_name(template) else {
            out.push(b"$");
            continue;
        };
        template = rest;
        let digits = name.bytes().all(|byte| byte.is_ascii_digit());
        let text = if digits && (name == "0" || !name.starts_with('0')) && name.len() <= 9 {
            name.parse().ok().and_then(group)
        } else {
            let named = pattern.names.iter().zip(1..).find(|(own, _)| own.as_deref() == Some(name));
            named.and_then(|(_, index)| group(index))
        };
        if let Some(text) = text {
            out.push(text.expose());
        }
    }
    out.push(template);
}

fn group_name(template: &[u8]) -> Option<(&str, &[u8])> {
    let (braced, inner) = match template.strip_prefix(b"{") {
        Some(inner) => (true, inner),
        None => (false, template),
    };
    let is_word =
        |rune: char| rune == '_' || crate::go::runes::is_letter(rune) || crate::go::runes::is_digit(rune);
    let mut end = 0;
    while let (Some(rune), width) = decode(&inner[end..])
        && is_word(rune)
    {
        end += width;
    }
    let name = std::str::from_utf8(&inner[..end]).ok().filter(|name| !name.is_empty())?;
    let rest = &inner[end..];
    if braced { Some((name, rest.strip_prefix(b"}")?)) } else { Some((name, rest)) }
}
