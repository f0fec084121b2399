//! YAML texts into trees: aliases and merge keys expanded, within the limits.

use std::collections::HashMap;

use granit_parser::{Event, ScalarStyle, Span, Tag};

use super::ParseError;
use super::events::{Events, fail, line};
use super::node::{Document, Entries, Node, ScalarKind, Value, Warning, WarningKind};
use super::scalar::{Resolved, resolve};
use crate::{Plaintext, base64};

/// Parses every document; empty ones are left out.
pub(super) fn parse(text: &str, nodes: usize) -> Result<Vec<Document>, ParseError> {
    let mut builder = Builder {
        events: Events::new(text, nodes),
        anchors: HashMap::new(),
        warnings: Vec::new(),
        path: Vec::new(),
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = builder.events.next_document()? {
        builder.anchors.clear();
        let root = builder.node(event, span, 0)?;
        let warnings = std::mem::take(&mut builder.warnings);
        if !root.is_null() {
            documents.push(Document { root, warnings });
        }
    }
    Ok(documents)
}

struct Builder<'input> {
    events: Events<'input>,
    anchors: HashMap<usize, Node>,
    warnings: Vec<Warning>,
    path: Vec<String>,
}

impl<'input> Builder<'input> {
    fn node(&mut self, event: Event<'input>, span: Span, depth: usize) -> Result<Node, ParseError> {
        self.events.enter(span, depth)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (self.scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(span, depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(span, depth)?, anchor),
            Event::Alias(id) => return self.alias(id, span),
            _ => return Err(fail(span, "this is not a value")),
        };
        let node = Node { line: line(span), value };
        if anchor != 0 {
            let copy = node.duplicate(&mut self.events.count);
            self.anchors.insert(anchor, copy);
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, ParseError> {
        let Some(target) = self.anchors.get(&id) else {
            return Err(fail(span, "the alias names an anchor that is not complete yet"));
        };
        let node = target.duplicate(&mut self.events.count);
        self.events.check_count(span)?;
        Ok(node)
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<Value, ParseError> {
        let mut items = Vec::new();
        loop {
            let (event, item_span) = self.events.expect_next(span)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::List(items));
            }
            self.path.push(items.len().to_string());
            let item = self.node(event, item_span, depth + 1)?;
            self.path.pop();
            items.push(item);
        }
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<Value, ParseError> {
        let mut entries = Entries::default();
        let mut merged = Entries::default();
        loop {
            let (event, key_span) = self.events.expect_next(span)?;
            if matches!(event, Event::MappingEnd) {
                for (key, node) in merged.finish() {
                    entries.put_if_absent(key, node);
                }
                return Ok(Value::Map(entries.finish()));
            }
            let (key, is_merge) = self.key(event, key_span)?;
            let (event, value_span) = self.events.expect_next(span)?;
            self.path.push(key.clone());
            let value = self.node(event, value_span, depth + 1)?;
            if is_merge {
                merge(&mut merged, value, value_span)?;
            } else if entries.put(key, value) {
                self.warn(key_span, WarningKind::DuplicateKey);
            }
            self.path.pop();
        }
    }

    /// Returns the key as text, and whether it is a merge key.
    fn key(&mut self, event: Event<'input>, span: Span) -> Result<(String, bool), ParseError> {
        let Event::Scalar(text, style, _, tag) = event else {
            return Err(fail(span, "a key must be a word, not a list, map or alias"));
        };
        let is_merge = text == "<<" && style == ScalarStyle::Plain;
        Ok((key_text(&text, style, tag.is_some()), is_merge))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Value, ParseError> {
        match tag.and_then(|tag| tag.core_suffix()) {
            Some("str") => return Ok(Value::Scalar(ScalarKind::Text, text.into())),
            _ if tag.is_some_and(is_binary) => {
                let bytes =
                    base64::decode(text.as_bytes()).map_err(|_| fail(span, "!!binary is not base64"))?;
                return Ok(Value::Scalar(ScalarKind::Text, bytes));
            }
            None if tag.is_some() => {
                return Err(fail(span, "tags other than the standard ones are not supported"));
            }
            _ => {}
        }
        if style != ScalarStyle::Plain {
            return Ok(Value::Scalar(ScalarKind::Text, text.into()));
        }
        // An implied null has the cooked text `~` and no source.
        match resolve(text) {
            Resolved::Null => Ok(Value::Null),
            Resolved::Scalar(kind, canonical) => {
                if canonical != text {
                    self.warn(span, WarningKind::Reinterpreted);
                }
                Ok(Value::Scalar(kind, Plaintext::from(canonical)))
            }
        }
    }

    fn warn(&mut self, span: Span, kind: WarningKind) {
        self.warnings.push(Warning { line: line(span), path: self.path.join("."), kind });
    }
}

/// Returns a key in the form that Kubernetes gives it.
pub(super) fn key_text(text: &str, style: ScalarStyle, is_tagged: bool) -> String {
    if style != ScalarStyle::Plain || is_tagged || text == "<<" {
        return text.to_owned();
    }
    match resolve(text) {
        Resolved::Null => "null".to_owned(),
        Resolved::Scalar(_, canonical) => canonical,
    }
}

fn merge(into: &mut Entries, value: Node, span: Span) -> Result<(), ParseError> {
    match value.value {
        Value::Map(entries) => {
            for (key, node) in entries {
                into.put_if_absent(key, node);
            }
            Ok(())
        }
        Value::List(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Map(_) => merge(into, item, span),
            _ => Err(fail(span, "a merge key takes maps only")),
        }),
        _ => Err(fail(span, "a merge key takes maps only")),
    }
}

fn is_binary(tag: &Tag) -> bool {
    let text = tag.to_string();
    text == "!!binary"
        || text.ends_with("tag:yaml.org,2002:binary>")
        || text.ends_with("tag:yaml.org,2002:binary")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{MAX_DEPTH, MAX_NODES, to_json};

    fn parse(text: &str) -> Result<Vec<Document>, ParseError> {
        super::parse(text, MAX_NODES)
    }

    fn json(text: &str) -> String {
        let documents = parse(text).unwrap();
        documents.iter().map(|d| to_json(&d.root).expose_str().unwrap().replace(['\n', ' '], "")).collect()
    }

    #[test]
    fn reads_documents_comments_and_empty_ones() {
        assert_eq!(
            json("# c\n---\na: 1 # x\n---\n---\n# only\n---\nb: [x, 'y', \"z\"]\n...\n"),
            r#"{"a":1}{"b":["x","y","z"]}"#
        );
    }

    #[test]
    fn expands_aliases_and_merge_keys() {
        assert_eq!(
            json("a: &x {k: v, l: w}\nb: {<<: *x, k: own}\nc: *x\n"),
            r#"{"a":{"k":"v","l":"w"},"b":{"k":"own","l":"w"},"c":{"k":"v","l":"w"}}"#
        );
    }

    #[test]
    fn the_last_of_two_equal_keys_counts_with_a_warning() {
        let documents = parse("s:\n  a: x\n  a: z\n").unwrap();
        assert_eq!(documents[0].root.str_at(&["s", "a"]), Some("z"));
        assert_eq!(
            documents[0].warnings,
            [Warning { line: 3, path: "s.a".into(), kind: WarningKind::DuplicateKey }]
        );
    }

    #[test]
    fn errors_hold_positions_and_no_text() {
        for text in ["{{{", "a: 'hunter2", "a: [hunter2", "a: b: hunter2", "a: *hunter2", "? [hunter2]\n: x"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.starts_with("line "), "{error}");
        }
    }

    #[test]
    fn refuses_bombs_quickly() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(parse(&bomb).unwrap_err().to_string().contains("too many nodes"));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("{}x", "- ".repeat(MAX_DEPTH + 2))).is_err());
        assert!(parse(&format!("{}x", "- ".repeat(MAX_DEPTH))).is_ok());
    }

    #[test]
    fn aliases_count_by_the_length_of_their_text() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(25_600), vec!["*a"; 20].join(","));
        assert!(super::parse(&text, 2_300).is_ok());
        assert!(super::parse(&text, 2_000).unwrap_err().to_string().contains("too many nodes"));
    }
}
