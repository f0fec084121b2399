//! Bad input by number (security list 31-72, as far as the command line is concerned): one clear failure with SOPS's exit
//! code, no panic, no value in any output, the file as it was.

use super::world::{AGE_A, AGE_B, Side, World};

const CANARY: &str = "CANARY-7c1e";

/// What happens.
enum Expect {
    /// This exit code, and this on stderr.
    Fails(u8, &'static str),
    Accepted,
}
use Expect::{Accepted, Fails};

struct Bad {
    number: u8,
    name: &'static str,
    content: Vec<u8>,
    arguments: Vec<String>,
    expect: Expect,
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(|word| word.replace("%A", AGE_A).replace("%B", AGE_B)).collect()
}

fn bad(number: u8, name: &'static str, content: impl AsRef<[u8]>, line: &str, expect: Expect) -> Bad {
    Bad { number, name, content: content.as_ref().to_vec(), arguments: words(line), expect }
}

/// Replaces a part of the line that begins with `key`.
fn altered(text: &str, key: &str, from: &str, to: &str) -> String {
    let mut done = false;
    let lines = text.lines().map(|line| {
        if line.starts_with(key) && !done {
            done = true;
            let start = line.find(from).unwrap_or_else(|| panic!("no {from} in {line}"));
            let end = line[start..].find([',', ']']).map_or(line.len(), |at| start + at);
            format!("{}{to}{}\n", &line[..start], &line[end..])
        } else {
            format!("{line}\n")
        }
    });
    let text: String = lines.collect();
    assert!(done, "no line begins with {key}");
    text
}

fn with_line(text: &str, key: &str, new: &str) -> String {
    text.lines()
        .map(|line| if line.starts_with(key) { format!("{new}\n") } else { format!("{line}\n") })
        .collect()
}

fn encrypted_cases(text: &str) -> Vec<Bad> {
    let d = "decrypt f.yaml";
    let broken = || Fails(25, "Error decrypting tree: ");
    let typed = |to: &str| altered(text, "s: ", "type:str", to);
    let start = text.find("sops:").unwrap();
    vec![
        bad(31, "f.yaml", &text[..start], d, Fails(1, "sops metadata not found")),
        bad(32, "f.yaml", format!("{}sops: [a]\n", &text[..start]), d, Fails(1, "mapping")),
        bad(32, "f.yaml", format!("{}sops: text\n", &text[..start]), d, Fails(1, "mapping")),
        bad(
            33,
            "f.yaml",
            with_line(text, "    mac:", "    x: y"),
            d,
            Fails(51, "MAC mismatch. File has no MAC"),
        ),
        bad(
            34,
            "f.yaml",
            altered(text, "    mac:", "data:", "data:AAAA"),
            d,
            Fails(51, "Cannot decrypt MAC: "),
        ),
        bad(
            34,
            "f.yaml",
            with_line(text, "    mac:", "    mac: nonsense"),
            d,
            Fails(51, "Cannot decrypt MAC: "),
        ),
        bad(
            35,
            "f.yaml",
            with_line(text, "o_unencrypted:", "o_unencrypted: changed"),
            d,
            Fails(51, "MAC mismatch."),
        ),
        bad(36, "f.yaml", with_line(text, "    lastmodified:", "    x: y"), d, Fails(1, "")),
        bad(
            36,
            "f.yaml",
            with_line(text, "    lastmodified:", "    lastmodified: \"soon\""),
            d,
            Fails(1, ""),
        ),
        bad(37, "f.yaml", with_line(text, "s:", "s: ENC[AES256_GCM,data:AAAA"), d, broken()),
        bad(37, "f.yaml", text.replacen("s: ENC[AES256_GCM", "s: ENC[AES128_GCM", 1), d, broken()),
        bad(
            38,
            "f.yaml",
            altered(text, "s: ", "type:str", "type:str] more text[").replacen("[]", "", 1),
            d,
            Accepted,
        ),
        bad(39, "f.yaml", altered(text, "s: ", "iv:", "iv:"), d, broken()),
        bad(39, "f.yaml", altered(text, "s: ", "iv:", &format!("iv:{}", "A".repeat(5464))), d, broken()),
        bad(40, "f.yaml", altered(text, "s: ", "tag:", "tag:"), d, broken()),
        bad(40, "f.yaml", altered(text, "s: ", "tag:", "tag:AAAAAA=="), d, broken()),
        bad(40, "f.yaml", altered(text, "s: ", "tag:", "tag:AAAAAAAAAAAAAAAAAAAA"), d, broken()),
        bad(41, "f.yaml", typed("type:unknown"), d, broken()),
        bad(41, "f.yaml", typed("type:"), d, broken()),
        bad(42, "f.yaml", typed("type:int"), d, broken()),
        bad(43, "f.yaml", typed("type:bool"), d, broken()),
        bad(44, "f.yaml", typed("type:time"), d, broken()),
        bad(45, "f.yaml", with_line(text, "s:", "s: 5"), d, broken()),
        bad(45, "f.yaml", with_line(text, "s:", "s: null"), d, Fails(51, "MAC mismatch.")),
        bad(45, "f.yaml", with_line(text, "s:", "s: []"), d, Fails(51, "MAC mismatch.")),
        bad(46, "f.yaml", with_line(text, "s:", &format!("s: {CANARY}")), d, broken()),
        bad(67, "f.yaml", text, "encrypt -i --age %A f.yaml", Fails(203, "encrypted")),
    ]
}

fn plain_cases() -> Vec<Bad> {
    let e = "encrypt -i --age %A f.yaml";
    let unreadable = || Fails(2, "Error unmarshalling file: ");
    let bomb: String = (0..40)
        .map(|level| {
            let last =
                if level == 0 { "x".to_owned() } else { vec![format!("*a{}", level - 1); 9].join(",") };
            format!("a{level}: &a{level} [{last}]\n")
        })
        .collect();
    vec![
        bad(47, "f.yaml", format!("a: {CANARY}\na: {CANARY}\n"), e, unreadable()),
        bad(48, "f.yaml", format!("1: {CANARY}\n"), e, Fails(23, "non-string key")),
        bad(48, "f.yaml", format!("? [a]\n: {CANARY}\n"), e, unreadable()),
        bad(49, "f.yaml", format!("\"a:b\": {CANARY}\n"), e, Accepted),
        bad(50, "f.yaml", format!("x: &x {{a: {CANARY}}}\ny:\n  <<: *x\n"), e, Accepted),
        bad(51, "f.yaml", format!("a: !python/object {CANARY}\n"), e, Accepted),
        bad(52, "f.yaml", format!("a: {}", "[".repeat(100_000)), e, unreadable()),
        bad(53, "f.yaml", bomb, e, unreadable()),
        bad(54, "f.yaml", format!("\u{feff}a: {CANARY}\n"), e, Accepted),
        bad(54, "f.yaml", b"a: \xff\xfe\n", e, unreadable()),
        bad(54, "f.yaml", format!("a: {CANARY}\0\n"), e, unreadable()),
        bad(55, "f.yaml", format!("a: {CANARY}\r\nb: c"), e, Accepted),
        bad(57, "f.env", format!("{CANARY}\n"), "encrypt -i --age %A f.env", unreadable()),
        bad(58, "f.env", format!("a key\"=x {CANARY}\n"), "encrypt -i --age %A f.env", Accepted),
        bad(59, "f.env", format!("A=x\\n{CANARY}\n"), "encrypt -i --age %A f.env", Accepted),
        bad(61, "f.ini", format!("a = {CANARY}\n"), "encrypt -i --age %A f.ini", Accepted),
        bad(62, "f.bin", "{\"data\": 5, \"x\": {}}", "decrypt f.bin", Fails(1, "sops metadata not found")),
        bad(
            64,
            "f.yaml",
            "a: 1\n",
            "encrypt --age %A --encrypted-regex a --unencrypted-suffix b f.yaml",
            Fails(8, "more than one"),
        ),
        bad(
            64,
            "f.yaml",
            "a: 1\n",
            "encrypt --age %A --encrypted-regex ( f.yaml",
            Fails(8, "encrypted_regex"),
        ),
        bad(69, "f.yaml", "a: 1\n", "encrypt --age age1nonsense f.yaml", Fails(1, "malformed recipient")),
        bad(69, "f.yaml", "a: 1\n", "encrypt --age AGE1XYZ f.yaml", Fails(1, "unknown recipient type")),
        bad(70, "f.yaml", "a: 1\n", "encrypt --age age1../../x1qqqq f.yaml", Fails(1, "")),
        bad(73, "f.yaml", "a: 1\n", "encrypt --kms nonsense f.yaml", Fails(1, "Could not generate data key")),
    ]
}

#[test]
fn every_number_fails_as_it_should() {
    let world = World::new();
    world.write("f.yaml", format!("s: 1e3 {CANARY}\no_unencrypted: x\n"));
    let text = world.run(Side::Ours, &["encrypt", "--age", AGE_A, "f.yaml"], &[]).ok();
    let text = String::from_utf8(text).unwrap();
    let mut problems = Vec::new();
    let mut numbers = Vec::new();
    for case in encrypted_cases(&text).into_iter().chain(plain_cases()) {
        numbers.push(case.number);
        world.reset();
        world.write(case.name, &case.content);
        let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
        let run = world.run(Side::Ours, &arguments, &[]);
        let mut add = |problem: String| {
            problems.push(format!("{} {:?}: {problem}\n  {}", case.number, case.arguments, run.err));
        };
        match case.expect {
            Fails(code, text) => {
                if run.code != i32::from(code) || !run.err.contains(text) || !run.out.is_empty() {
                    add(format!("exit code {}, wanted {code} and {text:?}", run.code));
                }
                if world.read(case.name) != case.content {
                    add("the file has changed".to_owned());
                }
            }
            Accepted if run.code != 0 => add(format!("exit code {}", run.code)),
            Accepted => {}
        }
        if run.err.contains(CANARY) || run.err.contains("panicked") {
            add("stderr tells too much".to_owned());
        }
    }
    numbers.dedup();
    println!(
        "sops bad input: {} cases of {} numbers, {} problems",
        encrypted_cases(&text).len() + plain_cases().len(),
        numbers.len(),
        problems.len()
    );
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Numbers 63, 65 and 68: the configuration, thresholds, paths.
#[test]
fn configurations_and_paths() {
    let world = World::new();
    let rule = |rest: &str| format!("creation_rules:\n    - age: {AGE_A}\n{rest}");
    let groups = |threshold: usize, count: usize| {
        let groups = format!("          - age: [{AGE_A}]\n").repeat(count);
        format!("creation_rules:\n    - shamir_threshold: {threshold}\n      key_groups:\n{groups}")
    };
    for (number, config, code) in [
        (63, "creation_rules: [\n".to_owned(), 1),
        (63, rule("      path_regex: (\n"), 1),
        (63, rule("      encrypted_regex: (\n"), 1),
        (63, rule("      unknown_key: x\n"), 0),
        (63, rule("      path_regex: (a*)*b|.\n"), 0),
        (65, groups(0, 2), 0),
        (65, groups(1, 2), 1),
        (65, groups(3, 2), 1),
        (65, groups(2, 256), 1),
    ] {
        world.reset();
        world.write("f.yaml", format!("a: {CANARY}\n"));
        world.write(".sops.yaml", &config);
        let run = world.run(Side::Ours, &["encrypt", "f.yaml"], &[]);
        assert_eq!(run.code, code, "{number} {config}: {}", run.err);
        assert!(!run.err.contains(CANARY) && !run.err.contains("panicked"), "{}", run.err);
    }
    world.reset();
    std::os::unix::fs::symlink("loop.yaml", world.path("loop.yaml")).unwrap();
    let run = world.run(Side::Ours, &["encrypt", "-i", "--age", AGE_A, "loop.yaml"], &[]);
    assert_eq!(run.code, 100, "68: {}", run.err);
}
