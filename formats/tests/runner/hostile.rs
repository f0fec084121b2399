//! Texts that nobody meant: never a panic, never a value in an error, never past a limit.

use std::fmt::Write;

use sealops_formats::tree::{
    Format, Layout, MAX_BYTES, MAX_DEPTH, ParseProblem, Tree, emit, parse, split_metadata,
};

use crate::generate::{self, Random};

fn problem(format: Format, text: &[u8]) -> ParseProblem {
    parse(format, text).unwrap_err().problem
}

#[test]
fn mutated_texts_never_panic() {
    const BYTES: &[u8] =
        b"\n\r\t :-?[]{},&*!|>'\"%@`#~<=.0a\\;/+\x00\x7f\xc2\x85\xc3\xa9\xe2\x80\xa8\xef\xbb\xbf\xf0\x9f\xff";
    let mut random = Random::new(7);
    let mut read = 0;
    for seed in 0..30_000 {
        let request = generate::request(seed % 5_000);
        let mut text = request.input;
        for _ in 0..=random.below(4) {
            let at = random.below(text.len() + 1);
            match random.below(3) {
                0 if at < text.len() => text[at] = BYTES[random.below(BYTES.len())],
                1 if at < text.len() => drop(text.drain(at..(at + 1 + random.below(6)).min(text.len()))),
                _ => text.insert(at, BYTES[random.below(BYTES.len())]),
            }
        }
        let Ok(tree) = parse(request.format, &text) else { continue };
        read += 1;
        for format in Format::ALL {
            let _ = emit(format, &tree, &Layout { indent: request.indent });
        }
        let _ = split_metadata(request.format, tree);
    }
    assert!(read > 5_000, "only {read} mutated texts were read");
}

#[test]
fn errors_say_where_and_never_what() {
    for (format, text) in [
        (Format::Yaml, "a: 'hunter2"),
        (Format::Yaml, "a: [hunter2"),
        (Format::Yaml, "a: *hunter2"),
        (Format::Yaml, "hunter2: 1\nhunter2: 2"),
        (Format::Yaml, "a: !!int hunter2"),
        (Format::Yaml, "a: hunter2: 1"),
        (Format::Yaml, "hunter2"),
        (Format::Json, "{\"hunter2\": hunter2}"),
        (Format::Json, "{\"a\": \"hunter2"),
        (Format::Json, "[\"hunter2\"]"),
        (Format::Dotenv, "hunter2"),
        (Format::Ini, "hunter2"),
        (Format::Ini, "a = `hunter2"),
        (Format::Ini, "[hunter2"),
    ] {
        let error = parse(format, text.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
        assert!(error.line > 0, "{error}");
    }
    let error = parse(Format::Yaml, b"a: 1\nb: c\n d: e\n").unwrap_err();
    assert_eq!((error.line, error.column), (3, 3));
    let error = parse(Format::Json, b"{\n  \"a\": tru\n}").unwrap_err();
    assert_eq!((error.line, error.column), (2, 8));
}

#[test]
fn limits_hold_at_the_limit_and_one_above() {
    assert_eq!(problem(Format::Binary, &vec![0; MAX_BYTES + 1]), ParseProblem::TooLarge);
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    for (format, head, open, close) in
        [(Format::Json, "", "{\"a\":", "}"), (Format::Yaml, "a: ", "[", "]"), (Format::Yaml, "", "{a: ", "}")]
    {
        let below = format!("{head}{}", nested(open, close, MAX_DEPTH / 2));
        let above = format!("{head}{}", nested(open, close, MAX_DEPTH + 1));
        assert!(parse(format, below.as_bytes()).is_ok());
        assert_eq!(problem(format, above.as_bytes()), ParseProblem::TooDeep);
    }
    let json = nested("{\"a\":", "}", MAX_DEPTH);
    assert!(parse(Format::Json, json.as_bytes()).is_ok());
    for text in ["[", "{\"a\":[", "- ", "? ", "a: &a [", "!!x &b "] {
        assert!(parse(Format::Json, text.repeat(100_000).as_bytes()).is_err());
        assert!(parse(Format::Yaml, text.repeat(100_000).as_bytes()).is_err());
    }
}

#[test]
fn aliases_do_not_multiply_without_end() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    assert_eq!(
        problem(Format::Yaml, bomb.as_bytes()),
        ParseProblem::Syntax("document contains excessive aliasing")
    );
    // SOPS looks at the first document only.
    assert_eq!(problem(Format::Yaml, format!("---\n---\n{bomb}").as_bytes()), ParseProblem::TooManyNodes);
    for text in ["a: &a [*a]", "---\n---\na: &a {b: *a}", "---\n---\n? &a [*a]\n: 1"] {
        assert!(parse(Format::Yaml, text.as_bytes()).is_err());
    }
}

#[test]
fn nothing_of_a_tree_is_printed() {
    for (format, text) in [
        (Format::Yaml, "k: hunter2 # hunter3\nl: [hunter4, 12345]\n"),
        (Format::Json, "{\"k\": \"hunter2\"}"),
        (Format::Dotenv, "k=hunter2\n#hunter3\n"),
        (Format::Ini, "k = hunter2 ; hunter3\n"),
        (Format::Binary, "hunter2"),
    ] {
        let tree: Tree = parse(format, text.as_bytes()).unwrap();
        let printed = format!("{tree:?} {tree:#?}");
        assert!(!printed.contains("hunter") && !printed.contains("12345"), "{printed}");
    }
}
