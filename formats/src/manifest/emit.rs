//! Trees back to text, in the layout of kubectl and kubeseal.

use super::node::{Node, ScalarKind, Value};
use super::scalar::needs_quotes_to_stay_text;
use crate::Plaintext;
use crate::tree::{json_quoted, yaml_double_quoted};

/// Writes JSON with two-space indentation in the order of the tree, one newline at the end.
///
/// `<`, `>`, `&` and the two Unicode line separators are escaped, as Go's encoder does.
pub fn to_json(node: &Node) -> Plaintext {
    let mut out = Plaintext::with_capacity(512);
    json(&mut out, node, 0);
    out.push(b"\n");
    out
}

/// Writes one YAML document without `---`: keys sorted, lists not indented under their key.
pub fn to_yaml(node: &Node) -> Plaintext {
    let mut out = Plaintext::with_capacity(512);
    yaml(&mut out, node, 0, Position::Line);
    out
}

fn json(out: &mut Plaintext, node: &Node, depth: usize) {
    match &node.value {
        Value::Null => out.push(b"null"),
        Value::Scalar(ScalarKind::Text, text) => json_quoted(out, text.expose()),
        Value::Scalar(_, text) => out.push(text.expose()),
        Value::List(items) => {
            json_block(out, depth, *b"[]", items.len(), |out, index| json(out, &items[index], depth + 1));
        }
        Value::Map(entries) => json_block(out, depth, *b"{}", entries.len(), |out, index| {
            json_quoted(out, entries[index].0.as_bytes());
            out.push(b": ");
            json(out, &entries[index].1, depth + 1);
        }),
    }
}

fn json_block(
    out: &mut Plaintext,
    depth: usize,
    braces: [u8; 2],
    count: usize,
    mut item: impl FnMut(&mut Plaintext, usize),
) {
    out.push(&braces[..1]);
    for index in 0..count {
        out.push(if index == 0 { b"\n" } else { b",\n" });
        indent(out, depth + 1);
        item(out, index);
    }
    if count > 0 {
        out.push(b"\n");
        indent(out, depth);
    }
    out.push(&braces[1..]);
}

/// Where a YAML value starts.
#[derive(Clone, Copy, PartialEq)]
enum Position {
    /// At the start of an indented line.
    Line,
    /// After `key:`.
    Key,
    /// After `- `.
    Dash,
}

fn yaml(out: &mut Plaintext, node: &Node, depth: usize, position: Position) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => yaml_map(out, entries, depth, position),
        Value::List(items) if !items.is_empty() => yaml_list(out, items, depth, position),
        leaf => {
            if position == Position::Key {
                out.push(b" ");
            }
            match leaf {
                Value::Null => out.push(b"null"),
                // The lines of a block at the top are indented too.
                Value::Scalar(ScalarKind::Text, text) => yaml_text(out, text, depth.max(1)),
                Value::Scalar(_, text) => out.push(text.expose()),
                Value::List(_) => out.push(b"[]"),
                Value::Map(_) => out.push(b"{}"),
            }
            out.push(b"\n");
        }
    }
}

fn yaml_map(out: &mut Plaintext, entries: &[(String, Node)], depth: usize, position: Position) {
    let sorted = merge_sorted(entries.iter().collect());
    if position == Position::Key {
        out.push(b"\n");
    }
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if position != Position::Dash || index > 0 {
            indent(out, depth);
        }
        if key.contains('\n') {
            yaml_double_quoted(out, key);
        } else {
            yaml_text(out, &Plaintext::from(key.as_str()), depth);
        }
        out.push(b":");
        // A list stands at the column of its key.
        let deeper = if matches!(value.value, Value::List(_)) { depth } else { depth + 1 };
        yaml(out, value, deeper, Position::Key);
    }
}

/// Sorts keys as go-yaml v2 does. Its comparison is no total order for every set of keys, which the sorts of the standard
/// library may answer with a panic; merging cannot.
fn merge_sorted(mut entries: Vec<&(String, Node)>) -> Vec<&(String, Node)> {
    if entries.len() < 2 {
        return entries;
    }
    let upper = merge_sorted(entries.split_off(entries.len() / 2));
    let mut lower = merge_sorted(entries).into_iter().peekable();
    let mut merged = Vec::with_capacity(lower.len() + upper.len());
    for entry in upper {
        while let Some(other) = lower.next_if(|other| !comes_before(&entry.0, &other.0)) {
            merged.push(other);
        }
        merged.push(entry);
    }
    merged.extend(lower);
    merged
}

/// `keyList.Less` of go-yaml 2.4: numbers within keys by value, letters after anything else (`a2` before `a10`).
fn comes_before(a: &str, b: &str) -> bool {
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(a, b)| a != b) else { return left.len() < right.len() };
    let (first, second) = (left[at], right[at]);
    match (first.is_alphabetic(), second.is_alphabetic()) {
        (true, true) => return first < second,
        // Within a number the letter ends it.
        (letter, other) if letter || other => {
            return if at > 0 && left[at - 1].is_ascii_digit() { letter } else { other };
        }
        _ => {}
    }
    let zero = first == '0' || second == '0';
    let before = left[..at].iter().rev().take_while(|rune| rune.is_ascii_digit());
    let start = i64::from(zero && before.into_iter().any(|rune| *rune != '0'));
    let number = |runes: &[char]| {
        let digits = runes[at..].iter().map_while(|rune| rune.to_digit(10));
        digits.fold((start, 0), |(value, count), digit| {
            (value.wrapping_mul(10).wrapping_add(digit.into()), count + 1)
        })
    };
    let (left, right) = (number(&left), number(&right));
    if left == right { first < second } else { left < right }
}

fn yaml_list(out: &mut Plaintext, items: &[Node], depth: usize, position: Position) {
    if position == Position::Key {
        out.push(b"\n");
    }
    for (index, item) in items.iter().enumerate() {
        if position != Position::Dash || index > 0 {
            indent(out, depth);
        }
        out.push(b"- ");
        yaml(out, item, depth + 1, Position::Dash);
    }
}

fn yaml_text(out: &mut Plaintext, text: &Plaintext, depth: usize) {
    match text.expose_str() {
        None => json_quoted(out, text.expose()),
        Some(words) => match style_of(words) {
            Style::Plain => out.push(words.as_bytes()),
            Style::Single => {
                out.push(b"'");
                for (index, part) in words.split('\'').enumerate() {
                    if index > 0 {
                        out.push(b"''");
                    }
                    out.push(part.as_bytes());
                }
                out.push(b"'");
            }
            Style::Double => yaml_double_quoted(out, words),
            Style::Block => yaml_block(out, words, depth),
        },
    }
}

/// Returns a text that is no secret as one YAML word, on one line; `in_brackets` for a place inside `{}` or `[]`.
pub(super) fn yaml_word(words: &str, in_brackets: bool) -> String {
    let mut out = Plaintext::default();
    let breaks_out = in_brackets && words.contains([',', '[', ']', '{', '}']);
    match style_of(words) {
        Style::Plain if !breaks_out => out.push(words.as_bytes()),
        Style::Single | Style::Plain => {
            out.push(b"'");
            out.push(words.replace('\'', "''").as_bytes());
            out.push(b"'");
        }
        Style::Double | Style::Block => yaml_double_quoted(&mut out, words),
    }
    out.expose_str().unwrap_or_default().to_owned()
}

/// What go-yaml writes unescaped: nothing above U+FFFF.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn yaml_block(out: &mut Plaintext, words: &str, depth: usize) {
    out.push(if !words.ends_with('\n') { b"|-" } else { b"|" });
    for line in words.strip_suffix('\n').unwrap_or(words).split('\n') {
        out.push(b"\n");
        if !line.is_empty() {
            indent(out, depth);
            out.push(line.as_bytes());
        }
    }
}

#[derive(Debug, PartialEq)]
enum Style {
    Plain,
    Single,
    Double,
    Block,
}

fn style_of(text: &str) -> Style {
    if text.is_empty() || !text.chars().all(|c| is_printable(c) || c == '\n') {
        return Style::Double;
    }
    if text.contains('\n') {
        let fits = !text.starts_with([' ', '\n']) && !text.ends_with("\n\n") && !text.contains(" \n");
        return if fits && !text.ends_with(' ') { Style::Block } else { Style::Double };
    }
    if needs_quotes_to_stay_text(text) {
        return Style::Double;
    }
    let indicator = text.starts_with([
        '-', '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', ' ',
        '.', '~', '=',
    ]);
    let inner = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    if indicator || inner { Style::Single } else { Style::Plain }
}

fn indent(out: &mut Plaintext, depth: usize) {
    for _ in 0..depth {
        out.push(b"  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    #[test]
    fn writes_the_layout_of_kubectl() {
        let node = Node::from(serde_json::json!({
            "kind": "X", "apiVersion": "v1",
            "metadata": {"annotations": {"a/b": "true", "empty": ""}, "labels": {}, "n": 3},
            "list": [{"b": "1", "a": [1, "x y"]}, "*star", "colon: here"],
            "text": "line one\nline two\n", "null": null,
        }));
        let expected = "apiVersion: v1\nkind: X\nlist:\n- a:\n  - 1\n  - x y\n  b: \"1\"\n- '*star'\n- 'colon: here'\nmetadata:\n  annotations:\n    a/b: \"true\"\n    empty: \"\"\n  labels: {}\n  \"n\": 3\n\"null\": null\ntext: |\n  line one\n  line two\n";
        assert_eq!(to_yaml(&node).expose_str().unwrap(), expected);
    }

    #[test]
    fn whatever_is_written_reads_back_equal() {
        let nasty = [
            "",
            " ",
            "a ",
            " a",
            "\n",
            "a\n",
            "a\n\n",
            "\na",
            "a\nb",
            "a \nb",
            "  a\nb",
            "tab\there",
            "\u{0}",
            "é",
            "😀",
            "'",
            "\"",
            "\\",
            "#",
            "a #b",
            "a: b",
            "a:",
            ":",
            "-",
            "- a",
            "---",
            "...",
            "?",
            "yes",
            "No",
            "~",
            "null",
            "0777",
            "1e3",
            ".5",
            "+1",
            "2001-01-01",
            "<<",
            "=",
            "|",
            ">",
            "!x",
            "&x",
            "*x",
            "%x",
            "@x",
            "`x",
            "{}",
            "[]",
            "a\r\nb",
            "\u{85}",
            "\u{2028}",
            "\u{feff}x",
            "a,b",
            "[a",
            "0x",
            "x\n  y\n",
        ];
        for text in nasty {
            let node = Node::map([("k", Node::text(text)), (text, Node::text("v"))]);
            for written in [to_yaml(&node), to_json(&node)] {
                let back = parse(written.expose()).unwrap_or_else(|e| panic!("{text:?}: {e}"));
                assert_eq!(back[0].root.str_at(&["k"]), Some(text), "value {text:?}");
                if text != "k" {
                    assert_eq!(back[0].root.str_at(&[text]), Some("v"), "key {text:?}");
                }
            }
        }
    }
}
