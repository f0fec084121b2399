use super::parse::{ParseError, Parsed};
use super::{App, Command, Flag, Kind, app_help, command_help, completions};

static FLAGS: &[Flag] = &[
    Flag { names: &["raw", "r"], kind: Kind::Bool, variable: None, usage: "u" },
    Flag { names: &["local"], kind: Kind::BoolOn, variable: None, usage: "u" },
    Flag { names: &["age", "a"], kind: Kind::Text(""), variable: None, usage: "u" },
    Flag { names: &["net"], kind: Kind::Text("tcp"), variable: None, usage: "u" },
    Flag { names: &["service"], kind: Kind::Texts, variable: None, usage: "u" },
    Flag { names: &["indent"], kind: Kind::Number, variable: None, usage: "u" },
];

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn read(line: &str) -> Result<Parsed, ParseError> {
    let (parsed, error) = Parsed::read(FLAGS.iter(), &words(line));
    error.map_or(Ok(parsed), Err)
}

#[test]
fn reads_every_spelling() {
    for line in ["-a x", "--a x", "-a=x", "--age=x", "-age x", "-age y -age x"] {
        assert_eq!(read(line).unwrap().text("age"), "x", "{line}");
    }
    for (line, value) in
        [("", 0), ("-indent 4", 4), ("-indent=-1", -1), ("-indent 0x10", 16), ("-indent 010", 8)]
    {
        assert_eq!(read(line).unwrap().number("indent"), value, "{line}");
    }
    assert!(read("-r").unwrap().is_on("raw") && !read("-r=false").unwrap().is_on("raw"));
    assert!(read("").unwrap().is_on("local") && !read("-local=0").unwrap().is_on("local"));
    assert_eq!(read("--service a --service b,c").unwrap().list("service"), ["a", "b,c"]);
    assert_eq!(read("").unwrap().text("net"), "tcp");
    assert!(read("-indent 0").unwrap().is_given("indent") && !read("").unwrap().is_given("indent"));
}

#[test]
fn flags_end_at_the_first_argument() {
    assert_eq!(read("-r f -a x").unwrap().rest, ["f", "-a", "x"]);
    assert_eq!(read("-r -- -a x").unwrap().rest, ["-a", "x"]);
    assert_eq!(read("- -r").unwrap().rest, ["-", "-r"]);
}

/// A boolean draws the next argument in front of later flags, which then are none: `reorderArgs` of command.go.
#[test]
fn flags_are_moved_in_front() {
    for (line, age, rest) in [
        ("f -a x", "x", &["f"][..]),
        ("f --age=x g", "x", &["f", "g"]),
        ("-r f -a x", "", &["f", "-a", "x"]),
        ("-r=true f -a x", "x", &["f"]),
        ("f -nosuch -a x", "x", &["f", "-nosuch"]),
        ("f -- -a x", "", &["f", "-a", "x"]),
    ] {
        let (parsed, error) = Parsed::read_reordered(FLAGS.iter(), &words(line));
        assert_eq!(error, None, "{line}");
        assert_eq!(
            (parsed.text("age"), parsed.rest.as_slice()),
            (age, &words(&rest.join(" "))[..]),
            "{line}"
        );
    }
}

/// Printed by sops 3.13.3.
#[test]
fn errors_are_those_of_go() {
    for (line, text) in [
        ("--nope", "flag provided but not defined: -nope"),
        ("-ra", "flag provided but not defined: -ra"),
        ("---x", "bad flag syntax: ---x"),
        ("-=x", "bad flag syntax: -=x"),
        ("--age", "flag needs an argument: -age"),
        ("--raw=maybe", "invalid boolean value \"maybe\" for -raw: parse error"),
        ("--indent=x", "invalid value \"x\" for flag -indent: parse error"),
    ] {
        assert_eq!(read(line).unwrap_err(), ParseError::Usage(text.to_owned()), "{line}");
    }
    let text = "Cannot use two forms of the same flag: a age";
    assert_eq!(read("-a x --age y").unwrap_err(), ParseError::TwoForms(text.to_owned()));
}

static COMMANDS: &[Command] =
    &[Command { name: "open", usage: "opens", arguments: "file", flags: &[FLAGS], commands: &[] }];
static TOP: &[&[Flag]] = &[FLAGS];
static APP: App = App { name: "t", usage: "tests", text: "t", version: "1", flags: TOP, commands: COMMANDS };

#[test]
fn help_has_urfaves_layout() {
    let help = app_help(&APP);
    assert!(help.contains("\nGLOBAL OPTIONS:\n   --raw, -r              u\n"), "{help}");
    let help = command_help("t", &COMMANDS[0]);
    assert!(
        help.starts_with(
            "NAME:\n   t open - opens\n\nUSAGE:\n   t open [command options] file\n\nOPTIONS:\n"
        )
    );
    assert!(
        help.contains("   --indent value         u (default: 0)\n") && help.ends_with("\n   \n"),
        "{help}"
    );
}

#[test]
fn completes_words() {
    assert_eq!(completions(&APP, None, &words("t")), "open\nhelp\nh\n");
    assert_eq!(completions(&APP, Some(&COMMANDS[0]), &words("t open")), "");
    assert_eq!(completions(&APP, None, &words("t --ra")), "--raw\n");
    assert_eq!(completions(&APP, None, &words("t --raw --ra")), "", "not twice");
}
