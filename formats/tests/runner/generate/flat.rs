//! dotenv and INI.

use sealops_formats::tree::Format;

use super::Random;

/// Every kind of value with comments at every place that the format has.
pub(super) const CELLS: &[(Format, &[u8])] = &[
    (Format::Dotenv, b"A=x\nB=\nC=a\\nb\nD=\xff\n"),
    (Format::Dotenv, b"# c\nA=x\n# c\nB=\n# c\nC=a\\nb\n# c\nD=\xff\n"),
    (Format::Dotenv, b"A=x\n# c\n"),
    (Format::Dotenv, b"A=\n# c\n"),
    (Format::Dotenv, b"A=a\\nb\n# c\n"),
    (Format::Dotenv, b"A=\xff\n# c\n"),
    (Format::Ini, b"a = x\nb =\nc = `a\nb`\nd = \xff\n[e]\n"),
    (Format::Ini, b"; c\n[s]\na = x\n; c\n[t]\na =\n; c\n[u]\na = `a\nb`\n; c\n[v]\na = \xff\n"),
    (Format::Ini, b"[s]\na = x ; c\n[t]\n; c\na =\n[u]\n; c\na = `a\nb`\n[v]\na = \xff # c\n"),
    (Format::Json, br#"{"a": {}, "b": [], "c": {"d": [1, -2.5, true, null, "x", "", "y\nz"]}}"#),
    (Format::Binary, b""),
    (Format::Binary, b"x"),
    (Format::Binary, b"x\ny\n"),
    (Format::Binary, b"\xff\x00"),
];

pub(super) fn dotenv(random: &mut Random) -> Vec<u8> {
    const LINES: &[&str] = &[
        "A=b",
        "# c",
        "#",
        "",
        "  B = two ",
        "C=a\\nb",
        "C=\\\\n",
        "D=",
        "=x",
        "E=a=b",
        "export F=1",
        "G='q'",
        " # x=y",
        "H=é😀",
        "A=again",
        "I=x # y",
        "novalue",
        "J=\\",
        "K=\\n\\n",
    ];
    let mut out = Vec::new();
    for _ in 0..random.below(8) {
        let mut line = random.pick(LINES);
        if line == "novalue" && !random.chance(10) {
            line = "A=b";
        }
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(if random.chance(4) { b"\xff\r\n" } else { b"\n" });
    }
    if random.chance(20) {
        out.extend_from_slice(random.pick(&[
            b"L=\xff\n# below\n".as_slice(),
            b"# above\nM=\xff\n",
            b"N=\n# below\n",
        ]));
    }
    out
}

pub(super) fn ini(random: &mut Random) -> Vec<u8> {
    const LINES: &[&str] = &[
        "a = b",
        "key=value",
        "long key name = x",
        "a: b",
        "; c",
        "# d",
        ";; e",
        "#  # f",
        "",
        "[s]",
        "[other section]",
        "[s] ; after",
        "[DEFAULT]",
        "[default]",
        "[]",
        "[x",
        "[a]b]",
        "k = v ; c",
        "k = v # d",
        "k=v;c",
        "q = \"x\"",
        "q = 'y'",
        "q = \"a\"b\"",
        "q = ` raw ; x `",
        "t = \"\"\"one",
        "two\"\"\"",
        "t = \"\"\"x\"\"\" ; y",
        "m = `a",
        "b` # z",
        "c = a \\",
        "  more",
        "- = auto",
        "-=x",
        "lines = \"\"\"a\nb\"\"\"",
        "\"quo ted\" = x",
        "`a=b` = y",
        "e =",
        "e = ",
        "noeq",
        "= x",
        "sp = \" x \"",
        "u = é\u{a0}",
        "p = %(a)s",
        "h = #x",
        "bs = x\\",
        "\"\"\"a\"b\"\"\" = z",
        "dup = 1",
        "dup = 2",
    ];
    let mut out = String::new();
    for _ in 0..random.below(12) {
        let mut line = random.pick(LINES);
        if matches!(line, "[]" | "[x" | "noeq" | "= x") && !random.chance(5) {
            line = "a = b";
        }
        out.push_str(random.pick(&["", "", "", "", "  ", "\t"]));
        out.push_str(line);
        out.push('\n');
    }
    let mut out = out.into_bytes();
    if random.chance(15) {
        out.extend_from_slice(random.pick(&[
            b"; above\nbytes = \xff\n".as_slice(),
            b"bytes = \xff\nnext = 1\n",
            b"bytes = \xff\n",
        ]));
    }
    out
}
