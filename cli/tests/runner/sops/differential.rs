//! Generated documents through both programs: what one encrypts the other opens, what one changes the other reads.
//!
//! ```text
//!   text ─ours encrypt─► E1 ─theirs decrypt─► = ◄─ours decrypt─ E2 ◄─theirs encrypt─ text
//!                        └─theirs change, ours decrypt─► = ◄─theirs decrypt, ours change─┘
//! ```
//!
//! Selectors come from `.sops.yaml`, by folder. The run counts format x selector x kind of value; a cell that can be and is
//! empty fails. `SOPS_DIFFERENTIAL_CASES` makes it longer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sealops_formats::tree::{self, Entry, Format, Item, Map, Node, ParseProblem, Scalar, Tree};

use super::world::{AGE_A, AGE_C, Side, World, is_encrypted, masked};

#[path = "../../../../formats/tests/runner/generate/mod.rs"]
mod generate;

/// Cases of a plain run: each document counts once per direction.
const CASES: usize = 2_000;
const CASES_OF_A_ROUND: usize = 4;

/// Folder, and what its rule says beside the key.
const SELECTORS: [(&str, &str); 8] = [
    ("none", ""),
    ("unencrypted_suffix", "unencrypted_suffix: '1'"),
    ("encrypted_suffix", "encrypted_suffix: '0'"),
    ("unencrypted_regex", "unencrypted_regex: '^[a-e1]'"),
    ("encrypted_regex", "encrypted_regex: '[k-z0]'"),
    ("unencrypted_comment_regex", "unencrypted_comment_regex: '[aeiou]'"),
    ("encrypted_comment_regex", "encrypted_comment_regex: '[aeiou]'"),
    ("mac_only_encrypted", "encrypted_regex: '[k-z0]'\n      mac_only_encrypted: true"),
];

const KINDS: [&str; 10] =
    ["map", "list", "text", "empty text", "int", "float", "bool", "time", "null", "comment"];

type Cells = BTreeMap<(&'static str, &'static str, &'static str), usize>;

#[derive(Default)]
struct Totals {
    opened: usize,
    changed: usize,
    refused: usize,
    known: BTreeMap<&'static str, usize>,
    cells: Cells,
    differences: Vec<String>,
}

#[test]
fn both_open_and_change_what_the_other_wrote() {
    let cases: usize =
        std::env::var("SOPS_DIFFERENTIAL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let totals = Mutex::new(Totals::default());
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let world = World::new();
                while done.load(Ordering::Relaxed) < cases {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    let counted = run(&world, round, &totals);
                    done.fetch_add(counted, Ordering::Relaxed);
                }
            });
        }
    });
    let totals = totals.into_inner().unwrap();
    let empty = report(&totals.cells);
    println!(
        "sops differential: {} documents opened across, {} changed across, {} refused by both, known differences {:?}, \
         {} differences",
        totals.opened,
        totals.changed,
        totals.refused,
        totals.known,
        totals.differences.len()
    );
    let shown: Vec<_> = totals.differences.iter().take(10).map(String::as_str).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n\n"));
    assert!(empty.is_empty(), "never met: {empty:?}");
}

fn configuration(second: bool) -> String {
    let keys = if second { format!("{AGE_A},{AGE_C}") } else { AGE_A.to_owned() };
    let rules = SELECTORS
        .iter()
        .map(|(folder, rule)| format!("    - path_regex: ^{folder}/\n      age: {keys}\n      {rule}\n"));
    format!("creation_rules:\n{}", rules.collect::<String>())
}

/// Runs one round; returns how many cases it was.
fn run(world: &World, round: usize, totals: &Mutex<Totals>) -> usize {
    let seed = u64::try_from(round).unwrap();
    // Formats and selectors in turn, and every kind of value, so that no cell depends on luck.
    let (format, input) = match round % 3 {
        0 => {
            let format = Format::ALL[round / 3 % Format::ALL.len()];
            (format, every_kind(format, round).into_bytes())
        }
        _ => {
            let request = generate::request(seed);
            (request.format, request.input)
        }
    };
    let turn = if round.is_multiple_of(3) { round / 15 } else { round / 3 };
    let (selector, _) = SELECTORS[turn % SELECTORS.len()];
    world.reset();
    world.write(".sops.yaml", configuration(false));
    world.write("second.yaml", configuration(true));
    let suffix = match format {
        Format::Yaml => ".yaml",
        Format::Json => ".json",
        Format::Dotenv => ".env",
        Format::Ini => ".ini",
        Format::Binary => ".bin",
    };
    let name = |what: &str| format!("{selector}/{what}{suffix}");
    let (plain, ours, theirs) = (name("plain"), name("ours"), name("theirs"));
    world.write(&plain, &input);
    let one = world.run(Side::Ours, &["encrypt", "--output", &ours, &plain], &[]);
    let two = world.run(Side::Theirs, &["encrypt", "--output", &theirs, &plain], &[]);
    let fail = |text: String| {
        let shown = String::from_utf8_lossy(&input).into_owned();
        totals
            .lock()
            .unwrap()
            .differences
            .push(format!("round {round} ({selector}, {format:?}): {text}\n{shown}"));
    };
    if one.code != two.code || one.code != 0 {
        if let Some(name) = known(format, &input, one.code, two.code) {
            *totals.lock().unwrap().known.entry(name).or_default() += 1;
        } else if one.code != two.code {
            fail(format!("encrypt: {} ({}), theirs {} ({})", one.code, one.err, two.code, two.err));
        } else {
            totals.lock().unwrap().refused += 1;
        }
        return 0;
    }
    let (e1, e2) = (masked(&world.read(&ours), world.root()), masked(&world.read(&theirs), world.root()));
    if e1 != e2 && without_empty_comments(&e1) == without_empty_comments(&e2) {
        let name = "an empty comment in a list becomes an empty text";
        *totals.lock().unwrap().known.entry(name).or_default() += 1;
        return 0;
    }
    if e1 != e2 {
        fail(format!("encrypted texts differ:\n--- theirs\n{e2}\n--- ours\n{e1}\n---"));
        return 0;
    }
    let tree = tree::parse(format, &input).unwrap_or_default();
    let inline = has_inline(&tree);
    let compare = |what: &str, one: super::world::Outcome, two: super::world::Outcome| {
        if inline && one.code == two.code && without_comments(&one.out) == without_comments(&two.out) {
            let name = "an inline comment becomes one above, or goes, when it is decrypted";
            *totals.lock().unwrap().known.entry(name).or_default() += 1;
            return true;
        }
        let (left, right) = (masked(&one.out, world.root()), masked(&two.out, world.root()));
        if one.code == two.code && one.out != two.out && left == right {
            let name = "a comment that sops moves under another key cannot be decrypted any more";
            *totals.lock().unwrap().known.entry(name).or_default() += 1;
            return true;
        }
        if (one.code, &one.out) != (two.code, &two.out) {
            fail(format!(
                "{what}: {} {}, {} {}\n--- one\n{}\n--- other\n{}\n---",
                one.code,
                one.err,
                two.code,
                two.err,
                String::from_utf8_lossy(&one.out),
                String::from_utf8_lossy(&two.out)
            ));
            return false;
        }
        true
    };
    let one = world.run(Side::Theirs, &["decrypt", &ours], &[]);
    let two = world.run(Side::Ours, &["decrypt", &theirs], &[]);
    let both_failed = one.code != 0 && one.code == two.code;
    // sops forgets a marker that other comments follow, and then cannot read what it wrote itself (#2281).
    if one.code == 51 && two.code == 0 && world.run(Side::Theirs, &["decrypt", &theirs], &[]).code == 51 {
        let name =
            "encrypted_comment_regex: several comments in front of an element give a wrong MAC (#2281)";
        *totals.lock().unwrap().known.entry(name).or_default() += 1;
        return 0;
    }
    if !compare("decrypt (ours by theirs, theirs by ours)", one, two) || both_failed {
        return 0;
    }
    {
        let mut totals = totals.lock().unwrap();
        count(&mut totals.cells, format.name(), selector, &tree);
        totals.opened += 2;
    }
    let change = change(round, format, &tree);
    let apply = |side, file: &str| {
        let arguments: Vec<&str> =
            change.iter().map(|word| if word == "FILE" { file } else { word }).collect();
        let mut command = world.command(side);
        command.args(arguments).env("EDITOR", "sed -i -e s/foo/fooy/");
        super::world::finish(command, &[])
    };
    let one = apply(Side::Theirs, &ours);
    let two = apply(Side::Ours, &theirs);
    if one.code != two.code {
        fail(format!("{change:?}: theirs {} {}, ours {} {}", one.code, one.err, two.code, two.err));
        return 2;
    }
    let one = world.run(Side::Ours, &["decrypt", &ours], &[]);
    let two = world.run(Side::Theirs, &["decrypt", &theirs], &[]);
    if compare(&format!("{change:?}"), one, two) {
        totals.lock().unwrap().changed += 2;
    }
    assert!(is_encrypted(&world.read(&ours)) || input.is_empty() || e1.contains("mac"));
    CASES_OF_A_ROUND
}

/// Makes empty elements and encrypted comments of up to three bytes the same.
fn without_empty_comments(text: &str) -> String {
    text.replace("- ENC[4 characters,type:comment]", "- \"\"")
}

/// Mistakes of sops that ours does not repeat (appendix B of the specification, F), recognised by the text.
fn known(format: Format, input: &[u8], ours: i32, theirs: i32) -> Option<&'static str> {
    let text = String::from_utf8_lossy(input);
    match (format, ours, theirs) {
        (Format::Json, 2, 0) => {
            let last = text.trim_end().chars().last();
            Some(if last == Some('}') {
                "trailing JSON content is ignored"
            } else {
                "JSON that stops early is accepted"
            })
        }
        (Format::Ini, 2, 0) => {
            let problem = tree::parse(format, input).err().map(|error| error.problem);
            matches!(problem, Some(ParseProblem::DuplicateKey { .. }))
                .then_some("of two values of a key in an INI section the first is lost")
        }
        // Both refuse it.
        (Format::Yaml, 2, 23) => Some("a key that is no text is found while encrypting, not while reading"),
        _ => None,
    }
}

/// Returns a text with every kind of value that the format has.
fn every_kind(format: Format, round: usize) -> String {
    match format {
        Format::Yaml => format!(
            "# about {round}\nk0: text {round}\na1: {round}\nl:\n    - {round}.5\n    # in between\n    - true\n    - \"\"\n\
             z:\n    k1: 2024-01-02T03:04:05Z\n    a0: null\n    # of the last\n    b0: \"a\\nb {round}\"\n"
        ),
        Format::Json => format!(
            "{{\"k0\": \"text {round}\", \"a1\": {round}, \"l\": [{round}.5, true, \"\"], \"z\": {{\"k1\": null, \"a0\": false}}}}"
        ),
        Format::Dotenv => format!("# about {round}\nk0=text {round}\na1=\nb0=a\\nb\n# end\nz1={round}\n"),
        Format::Ini => format!("[k0]\n; about {round}\na1 = text {round}\nk1 = \n[b1]\nz0 = {round}\n"),
        Format::Binary => format!("text {round}\0 and more"),
    }
}

fn has_inline(tree: &Tree) -> bool {
    fn in_node(node: &Node) -> bool {
        match node {
            Node::Map(map) => in_map(map),
            Node::Seq(items) => items.iter().any(|item| match item {
                Item::Comment(comment) => comment.inline,
                Item::Node(node) => in_node(node),
            }),
            _ => false,
        }
    }
    fn in_map(map: &Map) -> bool {
        map.entries.iter().any(|entry| match entry {
            Entry::Comment(comment) => comment.inline,
            Entry::Pair { value, .. } => in_node(value),
        })
    }
    tree.documents.iter().any(in_map)
}

/// Writes YAML anew without its comments.
fn without_comments(text: &[u8]) -> Option<Vec<u8>> {
    fn in_node(node: &mut Node) {
        match node {
            Node::Map(map) => in_map(map),
            Node::Seq(items) => {
                items.retain(|item| matches!(item, Item::Node(_)));
                items.iter_mut().for_each(|item| match item {
                    Item::Node(node) => in_node(node),
                    Item::Comment(_) => {}
                });
            }
            _ => {}
        }
    }
    fn in_map(map: &mut Map) {
        map.entries.retain(|entry| matches!(entry, Entry::Pair { .. }));
        map.entries.iter_mut().for_each(|entry| match entry {
            Entry::Pair { value, .. } => in_node(value),
            Entry::Comment(_) => {}
        });
    }
    let mut tree = tree::parse(Format::Yaml, text).ok()?;
    tree.documents.iter_mut().for_each(in_map);
    tree::emit(Format::Yaml, &tree, &tree::Layout::default()).ok().map(|text| text.expose().to_vec())
}

/// Returns a command line that changes FILE.
fn change(round: usize, format: Format, tree: &Tree) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let first_key = tree.documents.first().and_then(|document| {
        document.entries.iter().find_map(|entry| match entry {
            Entry::Pair { key, .. } => {
                let key = std::str::from_utf8(key.as_bytes()?).ok()?;
                (!key.is_empty() && !key.contains(['"', '\'', '[', ']', '\0', '\n'])).then(|| key.to_owned())
            }
            Entry::Comment(_) => None,
        })
    });
    match (round % 5, format, first_key) {
        (0, Format::Yaml | Format::Json | Format::Dotenv, _) => {
            words(&["set", "FILE", "[\"zz_k0\"]", "\"new value\""])
        }
        (0, Format::Ini, _) => words(&["set", "FILE", "[\"zz_k0\"][\"key\"]", "\"new value\""]),
        (1, Format::Yaml | Format::Json | Format::Dotenv, Some(key)) => {
            vec!["unset".to_owned(), "FILE".to_owned(), format!("[\"{key}\"]")]
        }
        (2, ..) => words(&["--config", "second.yaml", "updatekeys", "-y", "FILE"]),
        (3, ..) => words(&["edit", "FILE"]),
        _ => words(&["rotate", "-i", "FILE"]),
    }
}

fn count(cells: &mut Cells, format: &'static str, selector: &'static str, tree: &Tree) {
    let mut add = |kind| *cells.entry((format, selector, kind)).or_default() += 1;
    tree.documents.iter().for_each(|document| count_map(document, &mut add));
}

fn count_map(map: &Map, add: &mut impl FnMut(&'static str)) {
    for entry in &map.entries {
        match entry {
            Entry::Comment(_) => add("comment"),
            Entry::Pair { value, .. } => count_node(value, add),
        }
    }
}

fn count_node(node: &Node, add: &mut impl FnMut(&'static str)) {
    match node {
        Node::Null => add("null"),
        Node::Map(map) => {
            add("map");
            count_map(map, add);
        }
        Node::Seq(items) => {
            add("list");
            for item in items {
                match item {
                    Item::Comment(_) => add("comment"),
                    Item::Node(node) => count_node(node, add),
                }
            }
        }
        Node::Scalar(Scalar::Str(text)) => add(if text.is_empty() { "empty text" } else { "text" }),
        Node::Scalar(Scalar::Int(_) | Scalar::Uint(_)) => add("int"),
        Node::Scalar(Scalar::Float(_)) => add("float"),
        Node::Scalar(Scalar::Bool(_)) => add("bool"),
        Node::Scalar(Scalar::Time(_)) => add("time"),
    }
}

/// Prints the table; returns the cells that should not be empty and are.
fn report(cells: &Cells) -> Vec<String> {
    let mut empty = Vec::new();
    for format in Format::ALL.map(Format::name) {
        println!("{format:>26} {}", KINDS.map(|kind| format!("{kind:>11}")).concat());
        for (selector, _) in SELECTORS {
            let counts = KINDS.map(|kind| cells.get(&(format, selector, kind)).copied().unwrap_or(0));
            println!("{selector:>26} {}", counts.map(|count| format!("{count:>11}")).concat());
            for (kind, count) in KINDS.iter().zip(counts) {
                if count == 0 && possible(format, kind) {
                    empty.push(format!("{format} {selector} {kind}"));
                }
            }
        }
    }
    empty
}

/// What a format can express.
fn possible(format: &str, kind: &str) -> bool {
    match format {
        "yaml" => true,
        "json" => !matches!(kind, "time" | "comment"),
        "dotenv" => matches!(kind, "text" | "empty text" | "comment"),
        "ini" => matches!(kind, "map" | "text" | "empty text" | "comment"),
        _ => kind == "text",
    }
}

/// go-yaml's floats are decimal: what looks like a hexadecimal one is a text, and an error where the tag asks for a float.
#[test]
fn hexadecimal_floats_are_texts() {
    let world = World::new();
    for (value, kind) in [
        ("0x1p-2", "str"),
        ("-0x1.8P+1", "str"),
        ("0x1.8", "str"),
        ("0X.8p0", "str"),
        ("0x10", "int"),
        ("0x_1f", "int"),
        ("1e3", "float"),
        (".5", "float"),
        ("+1.5E-3", "float"),
        ("1_0.5", "float"),
        ("!!float 0x10", "float"),
        ("!!float 0x1p-2", ""),
        ("!!float \"0x1p-2\"", ""),
    ] {
        world.write("f.yaml", format!("a: {value}\n"));
        let encrypted = [Side::Ours, Side::Theirs].map(|side| {
            let run = world.run(side, &["encrypt", "--age", AGE_A, "f.yaml"], &[]);
            let text = String::from_utf8(run.out).unwrap();
            let found = text.lines().next().and_then(|line| line.split("type:").nth(1)).map(str::to_owned);
            assert_eq!(
                found.as_deref().unwrap_or("").trim_end_matches(']'),
                kind,
                "{side:?} {value}: {}",
                run.err
            );
            text
        });
        if kind.is_empty() {
            continue;
        }
        let texts: Vec<Vec<u8>> = [(Side::Ours, &encrypted[1]), (Side::Theirs, &encrypted[0])]
            .into_iter()
            .map(|(side, text)| {
                world.write("f.yaml", text);
                world.run(side, &["decrypt", "f.yaml"], &[]).ok()
            })
            .collect();
        assert_eq!(texts[0], texts[1], "{value}");
    }
}
