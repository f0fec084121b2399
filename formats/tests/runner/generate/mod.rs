//! Texts in all five formats, from a seed.

mod flat;
mod json;
mod yaml;

use sealops_formats::tree::Format;

use crate::oracle::Request;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Returns the text of a seed, and what it is to be written as.
pub(crate) fn request(seed: u64) -> Request {
    let mut random = Random::new(seed + 1);
    random.next();
    // One in five goes through every cell in turn, so that none is left to chance.
    if seed.is_multiple_of(5) {
        let cell = usize::try_from(seed / 5).unwrap() % (yaml::CELLS + flat::CELLS.len());
        let (format, input) = match cell.checked_sub(yaml::CELLS) {
            None => (Format::Yaml, yaml::cell(&mut random, cell)),
            Some(flat) => (flat::CELLS[flat].0, flat::CELLS[flat].1.to_vec()),
        };
        return Request { format, output: format, indent: None, input, encrypted: false };
    }
    let format = match random.below(20) {
        0..13 => Format::Yaml,
        13..15 => Format::Json,
        15..17 => Format::Dotenv,
        17..19 => Format::Ini,
        _ => Format::Binary,
    };
    let output = if random.chance(75) { format } else { Format::ALL[random.below(Format::ALL.len())] };
    let indent = match output {
        _ if random.chance(3) => Some(-2),
        Format::Yaml => [None, None, Some(0), Some(1), Some(2), Some(3), Some(7), Some(12)][random.below(8)],
        _ => [None, None, Some(0), Some(-1), Some(2)][random.below(5)],
    };
    let mut input = match format {
        Format::Yaml if random.chance(25) => {
            let cell = random.below(yaml::CELLS);
            yaml::cell(&mut random, cell)
        }
        Format::Yaml if random.chance(55) => yaml::documents(&mut random),
        Format::Yaml => yaml::chaos(&mut random),
        Format::Json => json::text(&mut random),
        Format::Dotenv => flat::dotenv(&mut random),
        Format::Ini => flat::ini(&mut random),
        Format::Binary if random.chance(10) => Vec::new(),
        Format::Binary if random.chance(50) => random.pick(TEXTS).as_bytes().to_vec(),
        Format::Binary => (0..random.below(60)).map(|_| u8::try_from(random.below(256)).unwrap()).collect(),
    };
    if random.chance(15) {
        mutate(&mut random, &mut input);
    }
    match random.below(30) {
        0 => input = String::from_utf8_lossy(&input).replace('\n', "\r\n").into_bytes(),
        1 => input.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
        2 => drop(input.pop()),
        3 if format != Format::Binary => input.extend_from_slice(b"\n\n"),
        _ => {}
    }
    Request { format, output, indent, input, encrypted: false }
}

/// Changes a few bytes to others that mean something.
fn mutate(random: &mut Random, text: &mut Vec<u8>) {
    const PIECES: &[&str] = &[
        "\n", "\n\n", "\r", "\t", " ", "  ", ":", ": ", "-", "- ", "?", "? ", "[", "]", "{", "}", ",", "#",
        " # m", "&a1 ", "*a1", "!", "!!str ", "|", ">", "'", "\"", "%", "@", "\\", "<<: ", "---\n", "...\n",
        "0", ".", "=", ";", "\u{85}", "\u{2028}", "é",
    ];
    for _ in 0..=random.below(3) {
        let at = random.below(text.len() + 1);
        match random.below(3) {
            0 if at < text.len() => drop(text.drain(at..(at + 1 + random.below(4)).min(text.len()))),
            1 if at < text.len() => drop(text.splice(at..=at, random.pick(PIECES).bytes())),
            _ => drop(text.splice(at..at, random.pick(PIECES).bytes())),
        }
    }
}

const TEXTS: &[&str] = &[
    "foo",
    "bar baz",
    "x",
    "hello world, this is text",
    "ENC[AES256_GCM,data:K3s=,iv:M4XB=,tag:Is=,type:str]",
    "a: b",
    "# no comment",
    "it's",
    "say \"hi\"",
    "back\\slash",
    "tab\there",
    "é ü ñ",
    "日本語",
    "emoji 😀",
    "nel\u{85}x",
    "ls\u{2028}x",
    "ps\u{2029}",
    "nbsp\u{a0}",
    "bom\u{feff}x",
    "\u{feff}x y",
    "\u{7f}",
    "bell\u{7}",
    "esc\u{1b}[0m",
    "",
    " ",
    "  lead",
    "trail ",
    "-",
    "- a",
    "--",
    "---",
    "...",
    "?",
    "? a",
    ":",
    "a:",
    ":a",
    "*star",
    "&amp",
    "!tag",
    "|",
    ">",
    "%x",
    "@x",
    "`x",
    "{",
    "}",
    "[",
    "]",
    ",",
    "[a]",
    "{a: b}",
    "yes",
    "no",
    "on",
    "OFF",
    "y",
    "N",
    "true",
    "False",
    "null",
    "~",
    "Null",
    "12",
    "0x1F",
    "017",
    "1_000",
    "1e3",
    "1.5",
    ".5",
    "5.",
    "-0",
    "+1",
    "12:30:45",
    "190:20:30.15",
    "1:61",
    "2001-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43.1",
    "<<",
    "=",
    "0b101",
    "0o17",
    ".inf",
    ".nan",
    "\n",
    "a\n",
    "a\nb",
    "a\nb\n",
    "a\nb\n\n",
    "\na",
    "\n\na\n",
    " a\nb",
    "  a\n b\n",
    "a \nb",
    "a\n  b\nc",
    "a\tb\nc",
    "\ta\nb",
    "a\n\tb\n",
    "a\r\nb",
    "é\nü\n",
    "😀\nx",
    "#a\n#b",
    "a\n#b",
    "- a\n- b\n",
    "---\na: b\n",
    "a\n\n\nb",
    "a\u{2028}b\nc",
    "\u{2028}a",
    "a\n ",
    "a\n\n ",
    "key=value",
    ";x",
    "x ; y",
    "x # y",
    "x #y",
    "`",
    "a`b\n",
    "\"\"\"",
    "'quoted'",
    "\"quoted\"",
    "\\n",
    "\\\n",
    "x\\",
    "1e400",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
];
