//! dotenv and INI.

use super::Random;

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
