//! YAML: documents of nested values, documents about one value, and lines in no order.

use super::{Random, TEXTS};

/// Documents of nested values, with comments wherever YAML takes them.
pub(super) fn documents(random: &mut Random) -> Vec<u8> {
    Yaml::new(random).documents()
}

const PLAIN: &[&str] = &[
    "foo",
    "bar baz",
    "x",
    "1",
    "-17",
    "0",
    "0x1F",
    "0X1f",
    "017",
    "08",
    "0o17",
    "0b101",
    "-0b11",
    "1_000",
    "0x_1",
    "1.5",
    "-0.0",
    "1e3",
    "1E+06",
    "1.0",
    "1000000.0",
    "123456.5",
    "1234567.5",
    "0.00001",
    "1e23",
    "1e-7",
    ".5",
    "5.",
    "+.5",
    ".inf",
    "-.INF",
    ".nan",
    "1e400",
    "true",
    "False",
    "TRUE",
    "tRue",
    "yes",
    "No",
    "on",
    "y",
    "null",
    "~",
    "Null",
    "",
    "2001-01-01",
    "2001-1-1",
    "2001-02-30",
    "2001-12-14t21:59:43.10-05:00",
    "2001-12-14T21:59:43Z",
    "2001-12-14 21:59:43.1",
    "2001-12-14 21:59:43Z",
    "2001-12-14   1:2:3",
    "2024-02-29T00:00:00.123456789+07:06",
    "2001-12-14T21:59:43,5Z",
    "2001-12-14T1:2:3+24:60",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "0xFFFFFFFFFFFFFFFFFF",
    "12:30:45",
    "<<",
    "=",
    "a:b",
    "a#b",
    "é",
    "日本語 x",
    "😀",
    "a\u{a0}b",
    "http://x/y?z",
    "-x",
    "?x",
    ":x",
    "a\tb",
    "1__2",
    "+",
    "-",
    ".",
    "._5",
    ".1_0",
    "0o8",
    "e3",
    "1e",
    "--",
    "a'b",
    "a\"b",
    "x\\y",
    "!!str 12",
    "!!int \"12\"",
    "!!float 3",
    "!!float 0x10",
    "!!binary aGk=",
    "!!binary /w==",
    "!!binary x",
    "!foo 12",
    "! 12",
    "!!bool yes",
    "!!null ''",
    "!!timestamp 2001-01-01",
    "!!timestamp x",
    "!!int foo",
    "!!str",
    "!!str ~",
    "!<tag:yaml.org,2002:int> 3",
    "!e!x y",
    "!!map x",
    "!!merge x",
    "!!set {a: b}",
    "!local [1, 2]",
];

const VALUES: &[&str] = &[
    "{x: 1}",
    "*m",
    "{}",
    "*e",
    "[1, two]",
    "*l",
    "[]",
    "*n",
    "text",
    "'a # b'",
    "\"\"",
    "''",
    "\"a\\nb\\n\"",
    "\"a\\n\"",
    "*t",
    "!!binary /w==",
    "*b",
    "42",
    "-7",
    "18446744073709551615",
    "9223372036854775808",
    "1.5",
    "1e30",
    "true",
    "False",
    "2024-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "null",
    "~",
    "",
];

/// How many documents [`cell`] knows: each value at five places in a map and in a list.
pub(super) const CELLS: usize = VALUES.len() * 5 * 2;

/// A document about one value: every kind of it, with comments at every place.
pub(super) fn cell(random: &mut Random, cell: usize) -> Vec<u8> {
    let (value, place, list) = (VALUES[cell / 10], cell % 5, cell % 10 < 5);
    let mut out = String::from(
        "anchors:\n  - &m\n    x: 1\n  - &e {}\n  - &l\n    - 1\n  - &n []\n  - &t |\n    a\n    b\n  - &b !!binary /w==\n",
    );
    out.push_str("top:\n");
    for index in 0..1 + random.below(3) {
        if matches!(place, 1 | 3) {
            out.push_str(random.pick(&[
                "    # above\n",
                "    # above\n    # twice\n",
                "\n    # above\n",
                "    # above\n\n",
            ]));
        }
        let start = if list { "    - ".to_owned() } else { format!("    k{index}: ") };
        out.push_str(&start);
        out.push_str(value);
        if matches!(place, 2 | 3) {
            out.push_str(" # inline");
        }
        out.push('\n');
    }
    if place == 4 {
        out.push_str(random.pick(&[
            "    # below\n",
            "\n    # below\n",
            "    # below\n\n    # twice\n",
            "  # left\n",
        ]));
    }
    if random.chance(50) {
        out.push_str("end: 1\n");
    }
    out.into_bytes()
}

const KEYS: &[&str] = &[
    "a",
    "b",
    "c",
    "key",
    "some key",
    "data",
    "x_unencrypted",
    "\"q\"",
    "'s q'",
    "y",
    "n",
    "yes",
    "1",
    "1.5",
    "true",
    "null",
    "~",
    "é",
    "日本",
    "a.b",
    "a:b",
    "a#b",
    "\"a\\nb\"",
    "\"a: b\"",
    "'# x'",
    "<<",
    "-x",
    "\"\"",
    "!!str 12",
    "? x",
    "2001-01-01",
    "0x10",
    "\"😀\"",
    "sops",
    "sops_x",
    "!!binary aGk=",
    "!!binary /w==",
    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
];

const REMARKS: &[&str] = &[
    "# c",
    "# two words",
    "#",
    "#c",
    "# ",
    "#  x",
    "## y",
    "# é 😀",
    "# a: b",
    "#- x",
    "#\tt",
    "# 'q\" ",
    "# ENC[AES256_GCM,data:x]",
];

struct Yaml<'r> {
    random: &'r mut Random,
    out: String,
    comments: usize,
    anchors: usize,
    fresh: usize,
}

impl<'r> Yaml<'r> {
    fn new(random: &'r mut Random) -> Self {
        let comments = [0, 10, 30, 60][random.below(4)];
        Self { random, out: String::new(), comments, anchors: 0, fresh: 0 }
    }

    fn documents(mut self) -> Vec<u8> {
        if self.random.chance(3) {
            self.out.push_str("%YAML 1.1\n---\n");
        }
        let count = [1, 1, 1, 1, 2, 3][self.random.below(6)];
        for index in 0..count {
            if index > 0 || self.random.chance(15) {
                self.out.push_str("---");
                let tail = self.random.pick(&["", "", " # d", "\n# e", "\n\n# f\n"]);
                self.out.push_str(tail);
                self.out.push('\n');
            }
            self.remarks(0);
            if self.random.chance(4) {
                continue;
            }
            self.map(0, 0);
            self.remarks(0);
            if self.random.chance(4) {
                self.out.push_str("...\n");
            }
        }
        self.out.into_bytes()
    }

    fn remarks(&mut self, indent: usize) {
        while self.random.chance(self.comments / 2) {
            if self.random.chance(25) {
                self.out.push('\n');
            }
            let indent = if self.random.chance(85) { indent } else { self.random.below(indent + 5) };
            let remark = self.random.pick(REMARKS);
            self.out.push_str(&" ".repeat(indent));
            self.out.push_str(remark);
            self.out.push('\n');
            if self.random.chance(25) {
                self.out.push('\n');
            }
        }
    }

    fn end_line(&mut self) {
        if self.random.chance(self.comments / 2) {
            let remark = self.random.pick(REMARKS);
            self.out.push_str(if self.random.chance(80) { " " } else { "   " });
            self.out.push_str(remark);
        }
        self.out.push('\n');
    }

    fn map(&mut self, indent: usize, depth: usize) {
        for index in 0..=self.random.below(4) {
            if index > 0 || depth == 0 {
                self.remarks(indent);
                self.out.push_str(&" ".repeat(indent));
            }
            self.key();
            self.out.push(':');
            self.value(indent, depth, true);
            if self.random.chance(5) {
                self.out.push('\n');
            }
        }
    }

    /// Mostly what can be read.
    fn plain(&mut self) -> &'static str {
        const REFUSED: [&str; 6] =
            ["!!binary x", "!!bool yes", "!!timestamp x", "!!int foo", "!e!x y", "- a"];
        loop {
            let plain = self.random.pick(PLAIN);
            if !REFUSED.contains(&plain) || self.random.chance(20) {
                return plain;
            }
        }
    }

    fn key(&mut self) {
        let key = if self.random.chance(60) {
            self.fresh += 1;
            format!("k{}", self.fresh)
        } else {
            self.random.pick(KEYS).to_owned()
        };
        self.out.push_str(&key);
    }

    fn list(&mut self, indent: usize, depth: usize) {
        for index in 0..=self.random.below(4) {
            if index > 0 {
                self.remarks(indent);
                self.out.push_str(&" ".repeat(indent));
            }
            self.out.push('-');
            self.value(indent, depth, false);
        }
    }

    /// What follows a `:` or a `-` at a column.
    fn value(&mut self, indent: usize, depth: usize, after_key: bool) {
        if self.random.chance(6) {
            self.anchors += 1;
            let anchor = format!(" &a{}", self.anchors);
            self.out.push_str(&anchor);
        } else if self.anchors > 0 && self.random.chance(8) {
            let alias = format!(" *a{}", 1 + self.random.below(self.anchors));
            self.out.push_str(&alias);
            return self.end_line();
        }
        match self.random.below(if depth > 3 { 6 } else { 10 }) {
            0..=2 => {
                let plain = self.plain();
                self.out.push(' ');
                self.out.push_str(plain);
                self.end_line();
            }
            3 => self.quoted(),
            4 => self.block(indent),
            5 => {
                self.out.push(' ');
                self.flow(0);
                self.end_line();
            }
            6 | 7 => {
                if !after_key && self.random.chance(70) {
                    self.out.push(' ');
                    return self.map(indent + 2, depth + 1);
                }
                self.end_line();
                let inner = indent + 1 + self.random.below(4);
                self.remarks(inner);
                self.out.push_str(&" ".repeat(inner));
                self.map(inner, depth + 1);
            }
            _ => {
                if !after_key && self.random.chance(70) {
                    self.out.push(' ');
                    return self.list(indent + 2, depth + 1);
                }
                self.end_line();
                let inner = if after_key && self.random.chance(40) {
                    indent
                } else {
                    indent + 1 + self.random.below(4)
                };
                self.remarks(inner);
                self.out.push_str(&" ".repeat(inner));
                self.list(inner, depth + 1);
            }
        }
    }

    fn text(&mut self) -> &'static str {
        loop {
            let text = self.random.pick(TEXTS);
            if !text.contains(['\u{7}', '\u{1b}', '\u{7f}']) || self.random.chance(20) {
                return text;
            }
        }
    }

    fn quoted(&mut self) {
        let text = self.text();
        let text = if self.random.chance(50) {
            format!(" {}", serde_json::to_string(text).unwrap().replace("\\u007f", "\u{7f}"))
        } else {
            format!(" '{}'", text.replace('\'', "''"))
        };
        self.out.push_str(&text);
        self.end_line();
    }

    fn block(&mut self, indent: usize) {
        let text = self.text();
        let head = self.random.pick(&["|", ">", "|-", ">-", "|+", ">+", "|2", "|2-", ">1+", "|-3"]);
        self.out.push(' ');
        self.out.push_str(head);
        self.end_line();
        let inner = head.bytes().find(u8::is_ascii_digit).map_or(2, |digit| usize::from(digit - b'0'));
        for line in text.split('\n') {
            if !line.is_empty() || self.random.chance(20) {
                self.out.push_str(&" ".repeat(indent + inner));
            }
            self.out.push_str(line);
            self.out.push('\n');
        }
    }

    fn flow(&mut self, depth: usize) {
        let list = self.random.chance(50);
        self.out.push(if list { '[' } else { '{' });
        for index in 0..self.random.below(4) {
            if index > 0 {
                self.out.push(',');
            }
            if self.random.chance(self.comments / 4) {
                self.out.push_str(" # f\n   ");
            }
            self.out.push_str(self.random.pick(&["", " ", "\n   ", "  "]));
            if !list || self.random.chance(5) {
                self.key();
                self.out.push_str(self.random.pick(&[": ", ": ", ":"]));
            }
            if depth < 2 && self.random.chance(20) {
                self.flow(depth + 1);
            } else {
                let plain = self.plain();
                self.out.push_str(plain);
            }
            if self.random.chance(self.comments / 6) {
                self.out.push_str(" # g\n   ");
            }
        }
        if self.random.chance(10) {
            self.out.push_str(",\n ");
        }
        self.out.push(if list { ']' } else { '}' });
    }
}

/// Lines of YAML in no order: comments, blank lines and indentation where nobody would write them.
pub(super) fn chaos(random: &mut Random) -> Vec<u8> {
    const PIECES: &[&str] = &[
        "a: b",
        "k: v",
        "x: 1",
        "- y",
        "- z: 1",
        "- - q",
        "m:",
        "n:",
        "-",
        "- ",
        "- k:",
        "# c",
        "# d",
        "#",
        "",
        "",
        "a: # t",
        "k: v # u",
        "- y # w",
        "m: # r",
        "-  # s",
        "- # s",
        "? p",
        ": q",
        "? - r",
        "f: [1, 2]",
        "f: {a: b}",
        "[1,",
        "2]",
        "f: [ # g",
        "1, # h",
        "# i",
        "]",
        "} # j",
        "f: {",
        "a: 1,",
        "t: |",
        "t: >-",
        "  text",
        "t: | # v",
        "'q",
        "q'",
        "\"d",
        "e\"",
        "plain",
        "  more",
        "---",
        "...",
        "--- # d",
        "&a",
        "k: &a v",
        "k: *a",
        "<<: *a",
        "k: &m",
        "- *a",
        "!!str",
        "k: !!map",
        "- !!seq",
        "k: !t",
        "s: 'a",
        "b'",
        "\tk: v",
        "k:\tv",
        "k: [a, b] # z",
        "k: {a: 1} # y",
        "- [a] # x",
        "k: '' # e",
        "o: # p\n\n",
        "- # a\n  - b",
        "- # a\n\n  - b",
        "- # a\n  b: c",
        "k:\n# under",
        "k:\n  # in\n  - a",
        "k:\n- a\n# after\n- b",
        "k: v\n\n# free\n\n",
        "k: [\n  # only\n]",
        "k: {\n  # only\n}",
        "k: [a,\n  # mid\n  b]",
        "k: [a, # after\n  b]",
        "k: {a: 1, # after\n  b: 2}",
    ];
    let mut out = String::new();
    let mut names = 0;
    let comments = random.chance(70);
    for _ in 0..1 + random.below(9) {
        let mut piece = random.pick(PIECES).to_owned();
        if !comments && piece.contains('#') {
            continue;
        }
        // Mostly distinct keys: duplicates are refused.
        if random.chance(80)
            && piece.len() > 1
            && piece.as_bytes()[0].is_ascii_lowercase()
            && piece.as_bytes()[1] == b':'
        {
            names += 1;
            piece = format!("{}{names}{}", &piece[..1], &piece[1..]);
        }
        if random.below(200) == 0 {
            // Past the 512 bytes that go-yaml looks through for a comment, and the 1,024 of a key.
            let long = [500 + random.below(30), 1_010 + random.below(30)][random.below(2)];
            out.push_str(&["\n", " ", "k", "# "][random.below(4)].repeat(long));
        }
        if random.chance(45) {
            out.push_str(&" ".repeat(1 + random.below(5)));
        }
        out.push_str(&piece);
        if !random.chance(4) {
            out.push('\n');
        }
    }
    out.into_bytes()
}
