//! Templates with what Go 1.26 itself makes of them: `testdata/templates/engine.jsonl`.

use std::path::Path;

use sealops_formats::base64;
use sealops_template::{Delimiters, Limits, MissingKey, Options};
use serde_json::Value as Json;

use crate::support;

/// The data that the recorded answers were made from.
const DATA: &[(&str, &[u8])] = &[
    ("a", b"x"),
    ("b", b"2"),
    ("name", b"web"),
    ("empty", b""),
    ("bin", b"\xff\x00\xfe"),
    ("multi", b"l1\nl2\n"),
    ("quote", b"a\"b'c<d>&e"),
    ("uni", "héllo wörld €\u{1f600}".as_bytes()),
    ("dash-ed", b"d"),
    ("n", b"42"),
    ("t.dot", b"dotted"),
];

fn options(case: &Json) -> Options {
    let mut options = Options {
        missing_key: match case["missingkey"].as_str() {
            Some("zero") => MissingKey::Zero,
            Some("error") => MissingKey::Error,
            _ => MissingKey::Default,
        },
        ..Options::default()
    };
    if let [Json::String(left), Json::String(right)] =
        case["delimiters"].as_array().map_or(&[][..], Vec::as_slice)
    {
        options.delimiters = Delimiters { left: left.clone(), right: right.clone() };
    }
    options
}

fn expected(case: &Json) -> Result<Vec<u8>, String> {
    match (&case["output"], &case["base64"], &case["ours"], &case["error"]) {
        (Json::String(text), ..) => Ok(text.clone().into_bytes()),
        (_, Json::String(text), ..) => Ok(base64::decode(text.as_bytes()).unwrap().expose().to_vec()),
        (_, _, Json::String(error), _) | (.., Json::String(error)) => Err(error.clone()),
        _ => panic!("a case without a result: {case}"),
    }
}

#[test]
fn renders_and_fails_word_for_word_as_go() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/templates/engine.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let (mut good, mut bad, mut wrong) = (0, 0, Vec::new());
    for line in text.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let template = case["template"].as_str().unwrap();
        let wanted = expected(&case);
        let got = support::render(template, &support::builtins(), options(&case), DATA, Limits::default());
        if wanted.is_ok() {
            good += 1;
        } else {
            bad += 1;
        }
        if got != wanted {
            let shown = |result: &Result<Vec<u8>, String>| match result {
                Ok(bytes) => format!("ok    {:?}", String::from_utf8_lossy(bytes)),
                Err(text) => format!("error {text}"),
            };
            wrong.push(format!("{template:?}\n   go:   {}\n   ours: {}", shown(&wanted), shown(&got)));
        }
    }
    assert!(good > 300 && bad > 200, "only {good} that render and {bad} that fail");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), good + bad, wrong.join("\n"));
}
