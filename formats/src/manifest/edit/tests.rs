use super::*;

fn edit(text: &str, edits: &[(&str, &str)]) -> Result<String, EditError> {
    let edits: Vec<Edit> = edits
        .iter()
        .map(|(path, value)| {
            let mut path = path.split('.');
            let document = path.next().unwrap().parse().unwrap();
            Edit { document, path: path.map(str::to_owned).collect(), value: (*value).to_owned() }
        })
        .collect();
    let new = Source::parse(text.as_bytes()).unwrap().apply(&edits)?;
    Ok(new.expose_str().unwrap().to_owned())
}

/// Each line: the text, the path with its document, the value, the text that must come out.
#[test]
fn replaces_a_value_and_nothing_else() {
    for (text, path, value, new) in [
        ("a: x # c\nb: y\n", "0.a", "QQ==", "a: QQ== # c\nb: y\n"),
        ("a: \"x\"  # c\n", "0.a", "QQ==", "a: \"QQ==\"  # c\n"),
        ("a: 'x'\r\nb: y\r\n", "0.a", "QQ==", "a: 'QQ=='\r\nb: y\r\n"),
        ("{a: x, b: y}", "0.b", "QQ==", "{a: x, b: QQ==}"),
        ("a: &anchor x\n", "0.a", "QQ==", "a: &anchor QQ==\n"),
        ("a: !!str x\n", "0.a", "QQ==", "a: !!str QQ==\n"),
        ("a:\nb: y\n", "0.a", "QQ==", "a: QQ==\nb: y\n"),
        ("a: # why\nb: y\n", "0.a", "QQ==", "a: QQ== # why\nb: y\n"),
        ("a: ~\n", "0.a", "QQ==", "a: QQ==\n"),
        ("a: &x AA\nb: *x\n", "0.b", "QQ==", "a: &x AA\nb: QQ==\n"),
        ("\u{feff}a: x\n", "0.a", "QQ==", "\u{feff}a: QQ==\n"),
        ("a: x\n---\n---\n# c\na: y\n", "1.a", "QQ==", "a: x\n---\n---\n# c\na: QQ==\n"),
        ("- a: x\n- a: y\n", "0.1.a", "QQ==", "- a: x\n- a: QQ==\n"),
        ("a: x\na: y\n", "0.a", "QQ==", "a: x\na: QQ==\n"),
        ("grüße: ü\na: x\n", "0.a", "QQ==", "grüße: ü\na: QQ==\n"),
        ("a: x\n", "0.a", "true", "a: \"true\"\n"),
        ("{\"a\": \"x\", \"b\":\"y\"}", "0.b", "QQ==", "{\"a\": \"x\", \"b\":\"QQ==\"}"),
        ("{\"a\": {\"\\u0062\": null}}{\"a\": 1}", "0.a.b", "Q", "{\"a\": {\"\\u0062\": \"Q\"}}{\"a\": 1}"),
        (
            "{\"a\": [1, {\"b\": \"\\\"\"}]}\n{\"a\": 1}\n",
            "1.a",
            "Q",
            "{\"a\": [1, {\"b\": \"\\\"\"}]}\n{\"a\": \"Q\"}\n",
        ),
    ] {
        assert_eq!(edit(text, &[(path, value)]).as_deref(), Ok(new), "{text:?}");
    }
}

#[test]
fn keeps_the_breaks_of_a_block() {
    let text = "e:\n  a: |-\n    AAAA\n    BBBB\n    CC\n\n  # c\n  b: >-\n      XX\n  c: |\n    ONE\n";
    let new = "e:\n  a: |-\n    1111\n    2222\n    333\n\n  # c\n  b: >-\n      YYYY\n  c: |\n    TWO\n";
    let edits = [("0.e.a", "11112222333"), ("0.e.b", "YYYY"), ("0.e.c", "TWO")];
    assert_eq!(edit(text, &edits).unwrap(), new);
    assert_eq!(edit(&text.replace('\n', "\r\n"), &edits).unwrap(), new.replace('\n', "\r\n"));
}

#[test]
fn adds_keys_in_the_manner_of_the_map() {
    for (text, path, new) in [
        ("a: x # c\nb: y # d\n# end\n", "0.c", "a: x # c\nb: y # d\nc: V\n# end\n"),
        ("s:\n    a: x\n    b:\n      - 1\n", "0.s.c", "s:\n    a: x\n    b:\n      - 1\n    c: V\n"),
        ("s:\n  a: x\nt: z", "0.s.c", "s:\n  a: x\n  c: V\nt: z"),
        ("s:\n  a: x", "0.s.c", "s:\n  a: x\n  c: V"),
        ("s:\r\n  a: x\r\nt: z\r\n", "0.s.c", "s:\r\n  a: x\r\n  c: V\r\nt: z\r\n"),
        ("s: {}\nt: z\n", "0.s.c", "s:\n  c: V\nt: z\n"),
        ("s:\nt: z\n", "0.s.c", "s:\n  c: V\nt: z\n"),
        ("s: null\n", "0.s.c.d", "s:\n  c:\n    d: V\n"),
        ("s: {a: x} # c\n", "0.s.c", "s: {a: x, c: V} # c\n"),
        ("s: {a: x, t: {}}\n", "0.s.t.c", "s: {a: x, t: {c: V}}\n"),
        ("- s: {}\n  t: z\n", "0.0.s.c", "- s:\n    c: V\n  t: z\n"),
        ("s:\n  a: |\n    one\n    two\nt: z\n", "0.s.c", "s:\n  a: |\n    one\n    two\n  c: V\nt: z\n"),
        ("{\"s\": {\"a\": 1}}", "0.s.c", "{\"s\": {\"a\": 1, \"c\": \"V\"}}"),
        ("{\"s\": {}}", "0.s.c.d", "{\"s\": {\"c\": {\"d\": \"V\"}}}"),
        (
            "{\n  \"s\": {\n    \"a\": 1\n  }\n}\n",
            "0.s.c",
            "{\n  \"s\": {\n    \"a\": 1,\n    \"c\": \"V\"\n  }\n}\n",
        ),
        (
            "{\n  \"s\": {}\n}\n",
            "0.s.c.d",
            "{\n  \"s\": {\n    \"c\": {\n      \"d\": \"V\"\n    }\n  }\n}\n",
        ),
        (
            "{\n\t\"s\": {\n\t\t\"a\": 1\n\t}\n}\n",
            "0.s.c",
            "{\n\t\"s\": {\n\t\t\"a\": 1,\n\t\t\"c\": \"V\"\n\t}\n}\n",
        ),
    ] {
        assert_eq!(edit(text, &[(path, "V")]).as_deref(), Ok(new), "{text:?}");
    }
}

#[test]
fn several_edits_go_into_one_text() {
    let text = "s:\n  a: x\nm: {}\n";
    let edits = [("0.s.b", "1"), ("0.s.a", "2"), ("0.s.c", "x: y"), ("0.m.k", "{"), ("0.q.o", "#")];
    let new = edit(text, &edits).unwrap();
    assert_eq!(new, "s:\n  a: \"2\"\n  b: \"1\"\n  c: 'x: y'\nm:\n  k: '{'\nq:\n  o: '#'\n");
}

#[test]
fn what_is_not_understood_changes_nothing() {
    for (text, path) in [
        ("a: &x {k: v}\nb: *x\n", "0.b.k"),
        ("a: x\n", "0.a.b"),
        ("a: [x]\n", "0.a.b"),
        ("a: &x AA\nb: *x\n", "0.a"),
    ] {
        assert!(edit(text, &[(path, "V")]).is_err(), "{text:?}");
    }
    let Err(EditError::Layout { line, path }) = edit("x: y\na: &x {k: v}\nb: *x\n", &[("0.b.k", "V")]) else {
        panic!("edited an alias");
    };
    assert_eq!((line, path.as_str()), (3, "b.k"));
}

/// Mutated texts: never a panic; what is edited was checked by `apply` itself.
#[test]
fn mutated_texts_never_panic() {
    let seeds = [
        "a: &x {b: [1, 'two'], ? c : d}\ne: *x\nf: |\n  text\n  more\ng:\n---\n- - x\n- s: {}\n...\n",
        "{\"a\": {\"b\": [1, 2.5, true, null, \"\\u00e9\"]}}\n{\"c\": \"d\"}",
        "kind: X # ü\r\nspec:\r\n  d:\r\n    k: >-\r\n      YQ==\r\n    \"q\": !!str 1\r\n",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let alphabet = b"\n\r\t :-?[]{},&*!|>'\"#~<=.0a\\\xc3\xa9";
    let paths = ["a", "a.b", "a.b.0", "f", "g.h", "spec.d.k", "spec.d.q", "spec.n.m", "0.0", "1.s.t", "c"];
    let mut edited = 0;
    for round in 0..20_000 {
        let mut text = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..random(4) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = alphabet[random(alphabet.len())],
                1 => text.insert(at, alphabet[random(alphabet.len())]),
                _ => drop(text.drain(at..(at + 1 + random(4)).min(text.len()))),
            }
        }
        let Ok(source) = Source::parse(&text) else { continue };
        let path = paths[random(paths.len())].split('.').map(str::to_owned).collect();
        let edit = Edit { document: random(2), path, value: "Ag==".to_owned() };
        edited += usize::from(source.apply(&[edit]).is_ok());
    }
    assert!(edited > 2_000, "only {edited} mutated texts were edited");
}
