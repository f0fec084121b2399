use super::*;

const PEOPLE: &str = r#"{
  "name": {"first": "Tom", "last": "Anderson"},
  "age": 37,
  "children": ["Sara", "Alex", "Jack"],
  "fav.movie": "Deer Hunter",
  "friends": [
    {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"]},
    {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"]},
    {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]}
  ]
}"#;

fn at(text: &str, path: &str) -> Option<String> {
    get(text, path).map(|value| value.expose_str().unwrap().to_owned())
}

/// The examples of gjson's own description of its syntax.
#[test]
fn does_what_the_description_says() {
    for (path, expected) in [
        ("name.last", "Anderson"),
        ("age", "37"),
        ("children", r#"["Sara", "Alex", "Jack"]"#),
        ("children.0", "Sara"),
        ("children.1", "Alex"),
        ("children.#", "3"),
        ("child*.2", "Jack"),
        ("c?ildren.0", "Sara"),
        (r"fav\.movie", "Deer Hunter"),
        ("friends.#.first", r#"["Dale","Roger","Jane"]"#),
        ("friends.1.first", "Roger"),
        (r#"friends.#(last=="Murphy").first"#, "Dale"),
        (r#"friends.#(last=="Murphy")#.first"#, r#"["Dale","Jane"]"#),
        ("friends.#(age>45)#.last", r#"["Craig","Murphy"]"#),
        (r#"friends.#(first%"D*").last"#, "Murphy"),
        (r#"friends.#(first!%"D*").last"#, "Craig"),
        (r#"friends.#(nets.#(=="fb"))#.first"#, r#"["Dale","Roger"]"#),
        ("friends.#.nets.0", r#"["ig","fb","ig"]"#),
        ("friends.#.nets|0", r#"["ig", "fb", "tw"]"#),
        ("friends.#(age>100)#", "[]"),
        ("friends|0|first", "Dale"),
        ("friends.#.first|0", "Dale"),
        ("children|@reverse", r#"["Jack","Alex","Sara"]"#),
        ("children.@reverse.0", "Jack"),
        ("children|@reverse|0", "Jack"),
        ("name|@keys", r#"["first","last"]"#),
        ("name|@values", r#"["Tom", "Anderson"]"#),
        (r"{name.first,age,the murphys:friends.#(last=Murphy)#.first}", ""),
        ("[age,name.first]", r#"[37,"Tom"]"#),
        ("{name.first,a:age}", r#"{"first":"Tom","a":37}"#),
        (r#"{"x":age}.x"#, "37"),
        ("friends.0.nets.@this", r#"["ig", "fb", "tw"]"#),
        ("friends.0.nets|@ugly", r#"["ig","fb","tw"]"#),
        ("friends.#.{first,age}|0", r#"{"first":"Dale","age":44}"#),
        ("@dig:last", ""),
        (r#"name.first|@tostr"#, r#""Tom""#),
    ] {
        let found = at(PEOPLE, path);
        if expected.is_empty() {
            assert!(found.is_some(), "{path}");
        } else if path == "name|@values" {
            assert_eq!(found.unwrap().replace(',', ", "), expected, "{path}");
        } else {
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
    }
    for path in [
        "nobody",
        "name.middle",
        "age.x",
        "children.9",
        "children.x",
        "friends.#(first=Nobody)",
        "children.#(x",
    ] {
        assert_eq!(at(PEOPLE, path), None, "{path}");
    }
}

#[test]
fn modifiers_change_shapes() {
    for (text, path, expected) in [
        ("[1,[2],[3,4],[5,[6,7]]]", "@flatten", "[1,2,3,4,5,[6,7]]"),
        ("[1,[2],[3,4],[5,[6,7]]]", r#"@flatten:{"deep":true}"#, "[1,2,3,4,5,6,7]"),
        (r#"[{"a":1},{"a":2,"b":3}]"#, "@join", r#"{"a":2,"b":3}"#),
        (r#"[{"a":1},{"a":2,"b":3}]"#, r#"@join:{"preserve":true}"#, r#"{"a":1,"a":2,"b":3}"#),
        (r#"{"a":[1,2],"b":[3,4]}"#, "@group", r#"[{"a":1,"b":3},{"a":2,"b":4}]"#),
        (r#"{"a":"{\"b\":\"c\"}"}"#, "a.@fromstr.b", "c"),
        (r#"{"a":1,"b":2}"#, "@reverse", r#"{"b":2,"a":1}"#),
        (r#"{"a":1.50}"#, "a", "1.5"),
        (r#"{"a":12345678901234567890}"#, "a", "12345678901234567890"),
        (r#"{"a":null}"#, "a", ""),
        (r#"[{"ok":true},{"ok":false},{"x":1}]"#, "#(ok==~true)#", r#"[{"ok":true}]"#),
        (r#"[{"ok":true},{"ok":false},{"x":1}]"#, "#(ok==~null)#", r#"[{"x":1}]"#),
    ] {
        assert_eq!(at(text, path).as_deref(), Some(expected), "{path}");
    }
    assert_eq!(
        at(r#"{"b":[1,2],"a":{}}"#, r#"@pretty:{"sortKeys":true}"#).unwrap(),
        "{\n  \"a\": {},\n  \"b\": [1, 2]\n}\n"
    );
}

#[test]
fn odd_paths_and_texts_end() {
    assert_eq!(at("plain text", "a"), None);
    assert_eq!(at("", "a"), None);
    for path in [
        "", ".", "..", "|", "#", "#(", "#()", "\\", "{", "[", "@", "!", "@this:", "{}", "[,]", "a\\", "#(\"",
        "!{",
    ] {
        let _ = at(PEOPLE, path);
        let _ = at("[1,2]", path);
    }
    let doubling = "[@this,@this]|".repeat(60) + "0";
    assert_eq!(at(PEOPLE, &doubling), None, "too much");
    assert_eq!(at(PEOPLE, &"@this|".repeat(1000)), None, "too deep");
    let wild = format!("{}b", "*a".repeat(500));
    assert_eq!(at(&format!("{{\"{}\":1}}", "a".repeat(2000)), &wild), None);
}
