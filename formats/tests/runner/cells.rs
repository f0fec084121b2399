//! What has been compared how often: format, kind of value, and where the nearest comment stands.

use std::collections::BTreeMap;

use sealops_formats::tree::{Comment, Entry, Format, Item, Map, Node, Scalar, Tree};

const KINDS: [&str; 14] = [
    "map",
    "empty map",
    "list",
    "empty list",
    "text",
    "empty text",
    "text of lines",
    "bytes",
    "int",
    "uint",
    "float",
    "bool",
    "time",
    "null",
];
const PLACES: [&str; 5] = ["none", "above", "inline", "above and inline", "below"];

#[derive(Default)]
pub(crate) struct Cells(BTreeMap<(&'static str, &'static str, &'static str), usize>);

impl Cells {
    pub(crate) fn count(&mut self, format: Format, tree: &Tree) {
        for document in &tree.documents {
            self.map(format.name(), document);
        }
    }

    fn map(&mut self, format: &'static str, map: &Map) {
        let steps: Vec<Step<'_>> = map
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Comment(comment) => Step::Comment(comment),
                Entry::Pair { value, .. } => Step::Node(value),
            })
            .collect();
        self.steps(format, &steps);
    }

    fn steps(&mut self, format: &'static str, steps: &[Step<'_>]) {
        let (mut above, mut inline) = (false, false);
        for (index, step) in steps.iter().enumerate() {
            let node = match step {
                Step::Comment(comment) => {
                    above |= !comment.inline;
                    inline |= comment.inline;
                    continue;
                }
                Step::Node(node) => node,
            };
            let last = steps[index + 1..].iter().all(|step| matches!(step, Step::Comment(_)));
            let below = last && index + 1 < steps.len();
            let place = match (above, inline) {
                (false, false) if below => "below",
                (false, false) => "none",
                (true, false) => "above",
                (false, true) => "inline",
                (true, true) => "above and inline",
            };
            *self.0.entry((format, kind(node), place)).or_default() += 1;
            (above, inline) = (false, false);
            match node {
                Node::Map(map) => self.map(format, map),
                Node::Seq(items) => {
                    let steps: Vec<Step<'_>> = items
                        .iter()
                        .map(|item| match item {
                            Item::Comment(comment) => Step::Comment(comment),
                            Item::Node(node) => Step::Node(node),
                        })
                        .collect();
                    self.steps(format, &steps);
                }
                _ => {}
            }
        }
    }

    /// Prints the table, and returns the cells that a format can have and that are empty.
    pub(crate) fn report(&self) -> Vec<String> {
        let mut empty = Vec::new();
        for format in Format::ALL.map(Format::name) {
            println!("{format:>8}  {}", PLACES.map(|place| format!("{place:>17}")).concat());
            for kind in KINDS {
                let counts = PLACES.map(|place| self.0.get(&(format, kind, place)).copied().unwrap_or(0));
                for (place, count) in PLACES.iter().zip(counts) {
                    if count == 0 && possible(format, kind, place) {
                        empty.push(format!("{format}, {kind}, comment {place}"));
                    }
                }
                if counts.iter().any(|count| *count > 0) {
                    println!("{kind:>16}{}", counts.map(|count| format!("{count:>17}")).concat());
                }
            }
        }
        empty
    }
}

enum Step<'a> {
    Comment(&'a Comment),
    Node(&'a Node),
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::Null => "null",
        Node::Map(map) if map.entries.is_empty() => "empty map",
        Node::Map(_) => "map",
        Node::Seq(items) if items.is_empty() => "empty list",
        Node::Seq(_) => "list",
        Node::Scalar(Scalar::Str(text)) => match text.expose_str() {
            None => "bytes",
            Some("") => "empty text",
            Some(words) if words.contains('\n') => "text of lines",
            Some(_) => "text",
        },
        Node::Scalar(Scalar::Int(_)) => "int",
        Node::Scalar(Scalar::Uint(_)) => "uint",
        Node::Scalar(Scalar::Float(_)) => "float",
        Node::Scalar(Scalar::Bool(_)) => "bool",
        Node::Scalar(Scalar::Time(_)) => "time",
    }
}

/// What a format can express at all.
fn possible(format: &str, kind: &str, place: &str) -> bool {
    let texts = matches!(kind, "text" | "empty text" | "text of lines" | "bytes");
    match format {
        "yaml" => true,
        "json" => place == "none" && !matches!(kind, "bytes" | "uint" | "time"),
        "dotenv" => texts && !place.contains("inline"),
        "ini" => match kind {
            "map" | "empty map" => place == "none",
            _ => texts && !place.contains("inline"),
        },
        _ => texts && place == "none",
    }
}
