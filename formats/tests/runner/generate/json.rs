//! JSON.

use super::{Random, TEXTS};

pub(super) fn text(random: &mut Random) -> Vec<u8> {
    let mut out = String::new();
    value(random, &mut out, 0);
    match random.below(25) {
        0 => out.push_str("\n{\"more\": 1}"),
        1 => drop(out.pop()),
        2 => out.push_str("\n\n"),
        _ => {}
    }
    let mut out = out.into_bytes();
    if random.chance(5) && out.len() > 4 {
        let at = random.below(out.len());
        out.insert(at, b"\xff,:]}\"0"[random.below(7)]);
    }
    out
}

fn value(random: &mut Random, out: &mut String, depth: usize) {
    const LEAVES: &[&str] = &[
        "1",
        "-1",
        "0",
        "-0",
        "1.0",
        "1e2",
        "1E-7",
        "0.1",
        "1e21",
        "123456789012345678901234567890",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1.7976931348623157e308",
        "1e400",
        "1e-400",
        "true",
        "false",
        "null",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\udc00x\"",
        "\"\\u00e9\\/\\b\\f\\t\\u0000\"",
        "\"<&>\u{2028}\u{2029}\u{7f}\"",
        "\"ENC[x]\"",
        "[]",
        "{}",
        "[1, [2, {}], null]",
    ];
    let kind = if depth == 0 && random.chance(96) { 0 } else { random.below(10) };
    match kind {
        0..=2 if depth < 4 => {
            out.push('{');
            for index in 0..random.below(5) {
                out.push_str(if index > 0 { ", " } else { " " });
                let key =
                    if random.chance(80) { random.pick(&["a", "b", "c", "d"]) } else { random.pick(TEXTS) };
                out.push_str(&serde_json::to_string(key).unwrap());
                out.push_str(random.pick(&[":", ": ", " :\n "]));
                value(random, out, depth + 1);
            }
            out.push('}');
        }
        3 | 4 if depth < 4 => {
            out.push('[');
            for index in 0..random.below(5) {
                out.push_str(if index > 0 { "," } else { "" });
                value(random, out, depth + 1);
            }
            out.push(']');
        }
        5 | 6 => out.push_str(&serde_json::to_string(random.pick(TEXTS)).unwrap()),
        _ => out.push_str(random.pick(LEAVES)),
    }
}
