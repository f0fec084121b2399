//! Ours against SOPS's stores.

use std::collections::BTreeMap;

use sealops_formats::tree::{
    EmitError, Entry, Format, Item, Layout, Map, Node, ParseProblem, Tree, emit, emit_example, emit_value,
    parse,
};

use crate::cells::Cells;
use crate::oracle::{Answer, Request, ask};
use crate::{dump, generate};

/// Where we differ on purpose. Everything else is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Intended {
    /// SOPS reads the first object and ignores what follows: data lost without a word.
    JsonTrailing,
    /// SOPS takes a JSON text that ends in the middle for a shorter one.
    JsonTruncated,
    /// SOPS turns a value that does not fit its tag (`!!int foo`) into null, where it does not refuse it.
    WrongTag,
    /// SOPS reads maps and lists as keys (in all documents but the first) and then fails to encrypt them.
    ComplexKey,
    /// SOPS writes null for a text of several lines that starts with a tab.
    TabText,
    /// SOPS stumbles over a U+FEFF in a text when one of its buffers happens to start there.
    ByteOrderMark,
    /// SOPS writes the second of two inline comments into the text of lines that they stand at.
    CommentInLiteral,
    /// SOPS does not indent an empty list or map after a comment that was left over, and cannot read its own file then.
    EmptyAfterComment,
    /// SOPS writes a wrong indentation (`|4`) for a text in a list that starts with a blank or a break, and cannot read
    /// its own file then.
    IndentHint,
    /// SOPS writes `%!s(int=1)` or dies where a format has text keys only.
    KeyNotText,
    /// SOPS writes Go's notation of a map or list as the value of an INI key.
    IniNested,
    /// SOPS keeps the last of two values of one key in an INI section: data lost without a word.
    IniDuplicate,
    /// SOPS dies on an INI comment with an empty line.
    IniComment,
}

enum Outcome {
    Equal,
    BothRefuse,
    Intended(Intended),
}

/// `SEALOPS_TEST_CASES` asks for more cases than 2,000, `SEALOPS_TEST_SEED` for others.
#[test]
fn generated_texts_give_the_trees_and_texts_of_sops() {
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap());
    let (count, first) = (number("SEALOPS_TEST_CASES", 2_000), number("SEALOPS_TEST_SEED", 0));
    let mut tally = Tally::default();
    for chunk in (first..first + count).collect::<Vec<_>>().chunks(5_000) {
        let requests: Vec<Request> = chunk.iter().map(|seed| generate::request(*seed)).collect();
        for ((seed, request), answer) in chunk.iter().zip(&requests).zip(ask(&requests)) {
            tally.add(*seed, request, &answer);
        }
    }
    tally.report(count >= 2_000);
}

#[derive(Default)]
struct Tally {
    equal: usize,
    refused: usize,
    intended: BTreeMap<Intended, usize>,
    cells: Cells,
    /// By the start of the message: how often, and the shortest.
    differences: BTreeMap<String, (usize, String)>,
}

impl Tally {
    fn add(&mut self, seed: u64, request: &Request, answer: &Answer) {
        match self.compare(request, answer) {
            Ok(Outcome::Equal) => self.equal += 1,
            Ok(Outcome::BothRefuse) => self.refused += 1,
            Ok(Outcome::Intended(which)) => *self.intended.entry(which).or_default() += 1,
            Err(what) => {
                let kind = what.split(" | ").next().unwrap_or_default().to_owned();
                let Request { format, output, indent, input, .. } = request;
                let input = String::from_utf8_lossy(input);
                let text =
                    format!("seed {seed} {format:?}->{output:?} {indent:?}\n{input:?}\n{input}\n{what}");
                let entry = self.differences.entry(kind).or_insert((0, text.clone()));
                entry.0 += 1;
                if text.len() < entry.1.len() {
                    entry.1 = text;
                }
            }
        }
    }

    fn report(&self, all_cells: bool) {
        let empty = self.cells.report();
        let differences: usize = self.differences.values().map(|(count, _)| count).sum();
        let intended: usize = self.intended.values().sum();
        println!(
            "{} equal, {} refused by both, {intended} intended differences {:?}, {differences} differences",
            self.equal, self.refused, self.intended
        );
        for (kind, (count, text)) in &self.differences {
            println!("=== {count} x {kind}\n{text}");
        }
        assert_eq!(differences, 0);
        assert!(!all_cells || empty.is_empty(), "never compared: {empty:?}");
    }

    fn compare(&mut self, request: &Request, answer: &Answer) -> Result<Outcome, String> {
        let tree = match (parse(request.format, &request.input), answer.error.as_str()) {
            (Ok(tree), "") => tree,
            (Err(_), error) if !error.is_empty() => return Ok(Outcome::BothRefuse),
            (Err(error), _) => {
                return intended_refusal(request.format, error.problem).map(Outcome::Intended).ok_or_else(
                    || {
                        format!(
                            "only we refuse {:?}: {} | {}",
                            request.format,
                            error.problem,
                            dump::readable(&answer.tree)
                        )
                    },
                );
            }
            (Ok(_), _) if has_inner_mark(request) => return Ok(Outcome::Intended(Intended::ByteOrderMark)),
            (Ok(tree), error) => {
                let ours = dump::readable(&dump::tree(&tree));
                return Err(format!("only SOPS refuses {:?} | {error}\n{ours}", request.format));
            }
        };
        let ours = dump::tree(&tree);
        if ours != answer.tree && has_inner_mark(request) {
            return Ok(Outcome::Intended(Intended::ByteOrderMark));
        }
        if ours != answer.tree {
            let (ours, theirs) = (dump::readable(&ours), dump::readable(&answer.tree));
            return Err(format!("trees differ {:?} | \nours   {ours}\ntheirs {theirs}", request.format));
        }
        let outcome = written(request, &tree, answer)?;
        if matches!(outcome, Outcome::Equal) {
            self.cells.count(request.format, &tree);
            values(request, &tree, answer)?;
        }
        Ok(outcome)
    }
}

fn has_inner_mark(request: &Request) -> bool {
    let long = request.input.len() > 256;
    request.format == Format::Yaml
        && long
        && request.input[1..].windows(3).any(|bytes| bytes == b"\xef\xbb\xbf")
}

fn intended_refusal(format: Format, problem: ParseProblem) -> Option<Intended> {
    match problem {
        ParseProblem::Trailing => Some(Intended::JsonTrailing),
        ParseProblem::Truncated => Some(Intended::JsonTruncated),
        ParseProblem::WrongTag => Some(Intended::WrongTag),
        ParseProblem::ComplexKey => Some(Intended::ComplexKey),
        ParseProblem::DuplicateKey { .. } if format == Format::Ini => Some(Intended::IniDuplicate),
        _ => None,
    }
}

fn written(request: &Request, tree: &Tree, answer: &Answer) -> Result<Outcome, String> {
    let layout = Layout { indent: request.indent };
    let output = request.output;
    match (emit(output, tree, &layout), answer.emit_error.as_str()) {
        (Ok(text), "") if text.expose() == answer.emitted() => Ok(Outcome::Equal),
        (Ok(text), "")
            if output == Format::Yaml && loses(tree, &answer.emitted()) && !loses(tree, text.expose()) =>
        {
            Ok(Outcome::Intended(match () {
                () if any(tree, is_tab_text) => Intended::TabText,
                () if any(tree, needs_hint) => Intended::IndentHint,
                () if any(tree, |text| text.contains(&b'\n')) => Intended::CommentInLiteral,
                () => Intended::EmptyAfterComment,
            }))
        }
        (Ok(text), "") => Err(format!(
            "texts differ {output:?} | {}\nours:\n{}\ntheirs:\n{}",
            dump::readable(&dump::tree(tree)),
            String::from_utf8_lossy(text.expose()),
            String::from_utf8_lossy(&answer.emitted())
        )),
        (Ok(_), error) if output == Format::Ini && error.contains("index out of range") => {
            Ok(Outcome::Intended(Intended::IniComment))
        }
        (Ok(_), error) if error.contains("unknown kind 0") && any(tree, is_tab_text) => {
            Ok(Outcome::Intended(Intended::TabText))
        }
        (Ok(_), error) => Err(format!("only SOPS cannot write {output:?} | {error}")),
        (Err(EmitError::KeyNotText), "") => Ok(Outcome::Intended(Intended::KeyNotText)),
        (Err(EmitError::Complex), "") if output == Format::Ini => Ok(Outcome::Intended(Intended::IniNested)),
        (Err(error), "") => Err(format!(
            "only we cannot write {output:?}: {error} | {}",
            String::from_utf8_lossy(&answer.emitted())
        )),
        (Err(_), _) => Ok(Outcome::BothRefuse),
    }
}

/// The first values, one by one, as `--extract` writes them.
fn values(request: &Request, tree: &Tree, answer: &Answer) -> Result<(), String> {
    let layout = Layout { indent: request.indent };
    let pairs = tree.documents.first().map_or(&[] as &[Entry], |document| &document.entries).iter();
    let nodes = pairs.filter_map(|entry| match entry {
        Entry::Pair { value, .. } => Some(value),
        Entry::Comment(_) => None,
    });
    for (node, theirs) in nodes.zip(answer.values()) {
        // What `written` names as lossy is written by the same code here.
        let ours = emit_value(request.output, node, &layout).ok();
        let lossy = any_in_node(node, is_tab_text) || any_in_node(node, needs_hint);
        let lists = request.output == Format::Ini && matches!(node, Node::Map(_) | Node::Seq(_));
        if ours.as_ref().map(|text| text.expose()) != theirs.as_deref() && !lists && !lossy {
            return Err(format!(
                "values differ {:?} | {ours:?} {:?}",
                request.output,
                theirs.map(String::from_utf8)
            ));
        }
    }
    Ok(())
}

/// Returns whether a tree has texts that SOPS may write so that it cannot read them.
pub(crate) fn is_lossy_in_sops(tree: &Tree) -> bool {
    any(tree, |text| is_tab_text(text) || needs_hint(text))
}

fn is_tab_text(text: &[u8]) -> bool {
    text.starts_with(b"\t") && text.contains(&b'\n')
}

fn needs_hint(text: &[u8]) -> bool {
    text.contains(&b'\n') && matches!(text, [b' ' | b'\n', ..] | [0xe2, 0x80, 0xa8 | 0xa9, ..])
}

/// Returns whether a YAML text, read again, has other values than the tree that it was written from.
fn loses(tree: &Tree, text: &[u8]) -> bool {
    let values = |tree: &Tree| dump::values(tree, usize::MAX, Format::Yaml);
    // Behind an empty document keys may come twice, as they may in JSON.
    let text = [b"---\n---\n", text].concat();
    parse(Format::Yaml, &text).map_or(true, |again| values(&again) != format!("{{}};{}", values(tree)))
}

/// Returns whether any key or text of a tree is such.
fn any(tree: &Tree, such: fn(&[u8]) -> bool) -> bool {
    tree.documents.iter().any(|map| any_in_map(map, such))
}

fn any_in_map(map: &Map, such: fn(&[u8]) -> bool) -> bool {
    map.entries.iter().any(|entry| match entry {
        Entry::Pair { key, value } => key.as_bytes().is_some_and(such) || any_in_node(value, such),
        Entry::Comment(_) => false,
    })
}

fn any_in_node(node: &Node, such: fn(&[u8]) -> bool) -> bool {
    match node {
        Node::Map(map) => any_in_map(map, such),
        Node::Seq(items) => {
            items.iter().any(|item| matches!(item, Item::Node(node) if any_in_node(node, such)))
        }
        leaf => leaf.as_text().is_some_and(|text| such(text.expose())),
    }
}

#[test]
fn the_sample_of_edit_is_that_of_sops() {
    let texts = Format::ALL.map(|format| (format, if format == Format::Json { "{}" } else { "" }));
    let requests = texts.map(|(format, text)| Request {
        format,
        output: format,
        indent: Some(2),
        input: text.into(),
        encrypted: false,
    });
    for (request, answer) in requests.iter().zip(ask(&requests)) {
        let ours = emit_example(request.format, &Layout { indent: request.indent }).unwrap();
        assert_eq!(ours.expose_str(), std::str::from_utf8(&answer.example()).ok(), "{:?}", request.format);
    }
}

/// What we write, we read back: every value of it, in every format that has a form for it.
#[test]
fn generated_trees_survive_being_written_and_read() {
    let mut survived = 0;
    let count = std::env::var("SEALOPS_TEST_CASES").map_or(4_000, |text| text.parse::<u64>().unwrap());
    for seed in 0..count {
        let request = generate::request(seed);
        let Ok(tree) = parse(request.format, &request.input) else { continue };
        for format in [Format::Yaml, Format::Json] {
            let layout = Layout { indent: request.indent.map(|indent| indent.max(0)) };
            let Ok(text) = emit(format, &tree, &layout) else { continue };
            let words = String::from_utf8_lossy(text.expose()).into_owned();
            let again = match parse(format, text.expose()) {
                Ok(again) => again,
                // JSON takes keys twice, and `<<` for a key like others; SOPS and we write them to YAML as they are.
                Err(error)
                    if matches!(error.problem, ParseProblem::DuplicateKey { .. } | ParseProblem::Merge) =>
                {
                    continue;
                }
                Err(error) => panic!("seed {seed} {format:?}: {error}\n{words}"),
            };
            let documents = if format == Format::Json { 1 } else { tree.documents.len() };
            let (before, after) =
                (dump::values(&tree, documents, format), dump::values(&again, documents, format));
            assert_eq!(before, after, "seed {seed} {format:?} {layout:?}\n{words}");
            survived += 1;
        }
    }
    assert!(survived > 2_000, "only {survived}");
}
