//! The body of the fuzz target on mutated templates, for a bounded number of rounds from a fixed seed.

use std::path::Path;

use sealops_template::fuzzing;

const ROUNDS: usize = 20_000;
const SEED: u64 = 0x5ea1_0b5e;
/// Pieces that templates are made of.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "{{end}}",
    "{{else}}",
    "{{if .a}}",
    "{{range .}}",
    "{{with .b}}",
    "{{define \"t\"}}",
    "{{template \"t\" .}}",
    "{{block \"b\" .}}",
    "{{break}}",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    ".a",
    "$",
    ".",
    "nil",
    "\"",
    "`",
    "'",
    "printf \"%",
    "%[1]*.[2]*v",
    "%#x",
    "index",
    "slice",
    "list",
    "dict",
    "0x1p-2",
    "1e9",
    "-1",
    "1_0",
    "/*",
    "*/",
    "\0",
    "\u{fffd}",
    "é",
    "\\x41",
    ",",
    "and",
    "or",
    "not",
    "eq",
    "len",
    "html",
    "js",
    "urlquery",
    "toJson",
    "fromJson",
    "regexMatch",
    "repeat",
    "set",
];

/// A generator whose numbers are the same in each run (xorshift*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

fn mutate(numbers: &mut Numbers, text: &mut Vec<u8>, other: &[u8]) {
    let at = numbers.below(text.len() + 1);
    match numbers.below(6) {
        0 => drop(text.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes())),
        1 => {
            let end = (at + numbers.below(8)).min(text.len());
            text.drain(at..end);
        }
        2 if at < text.len() => text[at] = numbers.below(256) as u8,
        3 => text.truncate(at),
        4 => {
            let from = numbers.below(other.len() + 1);
            let piece = other[from..].iter().copied().take(1 + numbers.below(30)).collect::<Vec<_>>();
            text.splice(at..at, piece);
        }
        _ => {
            let piece = text[at..].iter().copied().take(1 + numbers.below(20)).collect::<Vec<_>>();
            text.splice(at..at, piece);
        }
    }
}

#[test]
fn survives_mutated_templates() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/templates/engine.jsonl");
    let seeds: Vec<Vec<u8>> = std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|case| [&[1][..], case["template"].as_str().unwrap().as_bytes()].concat())
        .collect();
    let mut numbers = Numbers(SEED);
    for _ in 0..ROUNDS {
        let mut text = seeds[numbers.below(seeds.len())].clone();
        for _ in 0..=numbers.below(5) {
            let other = &seeds[numbers.below(seeds.len())];
            mutate(&mut numbers, &mut text, other);
        }
        fuzzing::run(&text);
    }
}
