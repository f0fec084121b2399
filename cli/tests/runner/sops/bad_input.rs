//! Bad input by number (security list 31-72, as far as the command line is concerned): one clear failure with SOPS's exit
//! code, no panic, no value in any output, the file as it was.

use super::fixtures::{PGP, fixtures};
use super::world::{AGE_A, AGE_B, Side, World, finish};

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
        bad(
            60,
            "f.ini",
            format!("[s]\na = {CANARY}\nb = x\na = {CANARY}-2\n"),
            "encrypt -i --age %A f.ini",
            unreadable(),
        ),
        bad(
            60,
            "f.ini",
            format!("[s]\na = {CANARY}\n[t]\nb = x\n[s]\na = {CANARY}-2\n"),
            "encrypt -i --age %A f.ini",
            Accepted, // nothing is lost: both sections stay
        ),
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

/// Runs a command on both names and expects one failure of this kind: exit code, a part of the text, nothing on stdout, no
/// value anywhere, the file as it was.
fn both_names_refuse(
    world: &World,
    number: u8,
    what: &str,
    content: &[u8],
    file: &str,
    code: i32,
    text: &str,
) {
    world.write(file, content);
    let sealops = std::path::Path::new(env!("CARGO_BIN_EXE_sealops"));
    for program in [Side::Ours.program(), sealops] {
        let mut command = std::process::Command::new(program);
        world.environment(&mut command);
        let start = std::time::Instant::now();
        let run = finish(
            {
                command.args(["decrypt", file]);
                command
            },
            &[],
        );
        let words: String = run.err.split_whitespace().collect::<Vec<_>>().join(" ").replace(" | ", " ");
        assert!(
            run.code == code && words.contains(text),
            "{number} {what}: exit code {}: {}",
            run.code,
            run.err
        );
        assert!(
            run.out.is_empty() && !run.err.contains(CANARY) && !run.err.contains("panicked"),
            "{}",
            run.err
        );
        assert!(world.read(file) == content && start.elapsed().as_secs() < 60);
    }
}

/// Number 56: the first document's metadata counts, and without it there is none.
#[test]
fn b7_56_a_document_without_metadata() {
    let world = World::new();
    world.write("f.yaml", format!("a: {CANARY}\n---\nb: {CANARY}-2\n"));
    let text =
        String::from_utf8(world.run(Side::Ours, &["encrypt", "--age", AGE_A, "f.yaml"], &[]).ok()).unwrap();
    let (first, second) = text.split_once("\n---\n").unwrap();
    let values = |document: &str| document.split("sops:").next().unwrap().trim_end().to_owned();
    for (what, text) in [
        ("the first has none", format!("{}\n---\n{second}", values(first))),
        ("neither has", format!("{}\n---\n{}\n", values(first), values(second))),
    ] {
        both_names_refuse(&world, 56, what, text.as_bytes(), "f.yaml", 1, "sops metadata not found");
    }
    // Of a second document SOPS needs no copy; the MAC covers its values all the same.
    let text = format!("{first}\n---\n{}\n", values(second));
    world.write("f.yaml", &text);
    let [theirs, ours] =
        [Side::Theirs, Side::Ours].map(|side| world.run(side, &["decrypt", "f.yaml"], &[]).ok());
    assert_eq!(theirs, ours);
    let text = text.replace("\nb: ENC[", "\nc: x\nb: ENC[");
    both_names_refuse(&world, 56, "and a value more", text.as_bytes(), "f.yaml", 25, "");
}

/// Returns an age message for the recipient A.
fn age_message(world: &World, content: &[u8]) -> String {
    let mut command = std::process::Command::new("age");
    world.environment(&mut command);
    command.args(["--armor", "--recipient", AGE_A]);
    String::from_utf8(finish(command, content).ok()).unwrap()
}

/// A file in JSON, and where its first wrapped key is.
fn json_file(world: &World, arguments: &[&str]) -> serde_json::Value {
    world.write("f.json", format!("{{\"a\": \"{CANARY}\"}}"));
    let mut line = vec!["encrypt"];
    line.extend(arguments);
    line.push("f.json");
    serde_json::from_slice(&world.run(Side::Ours, &line, &[]).ok()).unwrap()
}

/// Number 66: shares that cannot be put together.
#[test]
fn b7_66_shares_that_are_repeated_empty_or_cut() {
    let world = World::new();
    let groups = format!("          - age: [{AGE_A}]\n").repeat(3);
    world.write(
        ".sops.yaml",
        format!("creation_rules:\n    - shamir_threshold: 2\n      key_groups:\n{groups}"),
    );
    let file = json_file(&world, &[]);
    // What a share is: 32 bytes of the key's, and its place.
    let share = |place: u8, length: usize| [vec![7; length], vec![place]].concat();
    for (what, shares) in [
        ("repeated", [share(1, 32), share(1, 32)]),
        ("place 0", [share(0, 32), share(1, 32)]),
        ("cut", [share(1, 31), share(2, 32)]),
        ("empty", [Vec::new(), share(2, 32)]),
        ("only places", [share(1, 0), share(2, 0)]),
    ] {
        let mut file = file.clone();
        let groups = file["sops"]["key_groups"].as_array_mut().unwrap();
        groups.truncate(2);
        for (group, share) in groups.iter_mut().zip(&shares) {
            group["age"][0]["enc"] = age_message(&world, share).into();
        }
        both_names_refuse(&world, 66, what, file.to_string().as_bytes(), "f.json", 128, "");
    }
    // The counter-test: shares of the right form that belong to another key.
    let mut other = file;
    for (place, group) in (1..).zip(other["sops"]["key_groups"].as_array_mut().unwrap().iter_mut()) {
        group["age"][0]["enc"] = age_message(&world, &share(place, 32)).into();
    }
    both_names_refuse(
        &world,
        66,
        "of another key",
        other.to_string().as_bytes(),
        "f.json",
        25,
        "Could not decrypt",
    );
}

/// Number 71: every part of an age message broken.
#[test]
fn b7_71_broken_age_messages() {
    let world = World::new();
    let file = json_file(&world, &["--age", AGE_A]);
    let good = file["sops"]["age"][0]["enc"].as_str().unwrap().to_owned();
    let body: String = good.lines().filter(|line| !line.starts_with("-----")).collect();
    let bytes = sealops_formats::base64::decode(body.as_bytes()).unwrap();
    let bytes = bytes.expose().to_vec();
    let armoured = |bytes: &[u8]| {
        let text = sealops_formats::base64::encode_public(bytes);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!(
            "-----BEGIN AGE ENCRYPTED FILE-----\n{}\n-----END AGE ENCRYPTED FILE-----\n",
            lines.join("\n")
        )
    };
    assert_eq!(armoured(&bytes), good);
    let header_end = bytes.windows(4).position(|window| window == b"\n---").unwrap() + 1;
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        armoured(&bytes)
    };
    let mac_end = header_end + bytes[header_end..].iter().position(|byte| *byte == b'\n').unwrap();
    let other = {
        let mut command = std::process::Command::new("age");
        world.environment(&mut command);
        command.args(["--armor", "--recipient", AGE_B]);
        String::from_utf8(finish(command, &[1; 32]).ok()).unwrap()
    };
    for (what, enc) in [
        ("header: version", armoured(&[b"age-encryption.org/v9", &bytes[21..]].concat())),
        ("header: cut", armoured(&bytes[..header_end - 10])),
        ("header: nothing", armoured(b"")),
        ("HMAC: changed", changed(header_end + 8)),
        ("armor: no end", good.replace("-----END AGE ENCRYPTED FILE-----\n", "")),
        ("armor: no beginning", good.replace("-----BEGIN AGE ENCRYPTED FILE-----\n", "")),
        ("armor: not base64", good.replacen(&good[40..44], "!!!!", 1)),
        ("armor: no text at all", String::new()),
        ("payload: changed", changed(bytes.len() - 1)),
        ("payload: nonce changed", changed(mac_end + 3)),
        ("payload: cut", armoured(&bytes[..bytes.len() - 5])),
        ("no match", other),
    ] {
        let mut file = file.clone();
        file["sops"]["age"][0]["enc"] = enc.into();
        world.write("f.json", file.to_string());
        let theirs = world.run(Side::Theirs, &["decrypt", "f.json"], &[]);
        assert_eq!(theirs.code, 128, "{what}: {}", theirs.err);
        both_names_refuse(&world, 71, what, file.to_string().as_bytes(), "f.json", 128, "FAILED");
    }
    // A key of the wrong length is opened, and then of no use.
    for length in [0, 31, 33] {
        let mut file = file.clone();
        file["sops"]["age"][0]["enc"] = age_message(&world, &vec![1; length]).into();
        world.write("f.json", file.to_string());
        let theirs = world.run(Side::Theirs, &["decrypt", "f.json"], &[]);
        let ours = world.run(Side::Ours, &["decrypt", "f.json"], &[]);
        assert!(
            ours.code != 0 && theirs.code != 0 && !ours.err.contains("panicked"),
            "{length}: {}",
            ours.err
        );
    }
}

/// Number 72: an OpenPGP message that is cut, of an unknown version, or none; by gpg, and by the built-in implementation.
#[test]
fn b7_72_broken_openpgp_messages() {
    let fixtures = fixtures();
    for built_in in [false, true] {
        let world = World::new().with_gnupg(&fixtures.gnupg);
        let file = json_file(&world, &["--pgp", PGP]);
        let good = file["sops"]["pgp"][0]["enc"].as_str().unwrap().to_owned();
        let lines: Vec<&str> = good.lines().collect();
        let blank = lines.iter().position(|line| line.is_empty()).unwrap();
        let end = lines.iter().rposition(|line| line.starts_with('=') || line.starts_with("-----")).unwrap();
        let body: String =
            lines[blank + 1..end].iter().filter(|line| !line.starts_with('=')).copied().collect();
        let bytes = sealops_formats::base64::decode(body.as_bytes()).unwrap().expose().to_vec();
        let armoured = |bytes: &[u8]| {
            let text = sealops_formats::base64::encode_public(bytes);
            let lines: Vec<&str> =
                text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN PGP MESSAGE-----\n\n{}\n-----END PGP MESSAGE-----\n", lines.join("\n"))
        };
        // The version stands behind the tag and the length, which has one to three bytes.
        let header = if bytes[0] & 0x40 != 0 {
            if bytes[1] < 192 { 2 } else { 3 }
        } else {
            2 + usize::from(bytes[0] & 3)
        };
        let mut version = bytes.clone();
        assert_eq!(version[header], 3, "version of a session key packet");
        version[header] = 99;
        for (what, enc) in [
            ("cut in the first packet", armoured(&bytes[..40])),
            ("cut in the last packet", armoured(&bytes[..bytes.len() - 7])),
            ("unknown version", armoured(&version)),
            ("nothing", armoured(b"")),
            ("no armour", "nonsense".to_owned()),
        ] {
            let mut file = file.clone();
            file["sops"]["pgp"][0]["enc"] = enc.into();
            let text = file.to_string();
            if built_in {
                // Without the program, and with a key that is given as a text.
                world.write("f.json", &text);
                let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/keys/sops-pgp.asc");
                let mut command = world.command(Side::Ours);
                command
                    .env("PATH", "/nonexistent")
                    .env("SEALOPS_PGP_KEY", std::fs::read_to_string(key).unwrap());
                command.args(["decrypt", "f.json"]);
                let run = finish(command, &[]);
                assert!(
                    run.code == 128 && run.err.contains("FAILED") && run.out.is_empty(),
                    "{what}: {}",
                    run.err
                );
            } else {
                both_names_refuse(&world, 72, what, text.as_bytes(), "f.json", 128, "FAILED");
            }
        }
    }
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
