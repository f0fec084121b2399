//! Template bombs: each is refused within 50 ms of processor time and 16 MiB.
//!
//! Every bomb goes off in a process of its own, so that memory which an earlier one left behind hides nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that shows its table")]

use std::process::Command;
use std::time::Duration;

use sealops_formats::Plaintext;
use sealops_template::{Capabilities, Limits, Options, Template, Value, functions};

/// Processor time for parsing and executing.
const MOST_TIME: Duration = Duration::from_millis(50);
/// Growth of the resident memory.
const MOST_KIB: u64 = 16 * 1024;
/// How often a bomb is tried that takes too much: on a machine whose processors are shared, what others take counts as our
/// time.
const TRIES: usize = 8;
const TOO_MUCH: &str = "too much";
/// Names the bomb that a process is to try.
const BOMB: &str = "SEALOPS_TEST_BOMB";

/// What stops a bomb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// A bound of the execution.
    Budget,
    /// A capability that it lacks.
    Capability,
    /// The parser.
    Parser,
    /// The function itself, which refuses the argument.
    Function,
}
use Stop::{Budget, Capability, Function, Parser};

/// The bombs: a name, the template (`@N@` repeats what stands before up to the preceding `~`), and what stops it.
const BOMBS: &[(&str, &str, Stop)] = &[
    // Loops
    ("range", "{{range 1000000000}}{{end}}", Budget),
    ("range, nested", "{{range 100000}}{{range 100000}}{{end}}{{end}}", Budget),
    (
        "range, nested deep",
        "{{range 99}}{{range 99}}{{range 99}}{{range 99}}{{range 99}}{{end}}{{end}}{{end}}{{end}}{{end}}",
        Budget,
    ),
    (
        "range with text",
        "{{range 1000000000}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}",
        Budget,
    ),
    ("range, largest", "{{range 9223372036854775807}}{{end}}", Budget),
    ("range that continues", "{{range 1000000000}}{{continue}}{{end}}", Budget),
    (
        "range over a growing list",
        "{{$x := list 1}}{{range 1000}}{{$x = concat $x $x}}{{range $x}}{{end}}{{end}}",
        Budget,
    ),
    // Recursion
    ("recursion", "{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}", Budget),
    (
        "recursion, mutual",
        "{{define \"a\"}}{{template \"b\" .}}{{end}}{{define \"b\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}",
        Budget,
    ),
    ("recursion by block", "{{block \"a\" .}}{{template \"a\" .}}{{end}}", Budget),
    (
        "recursion in a range",
        "{{define \"a\"}}{{range 1000}}{{template \"a\" .}}{{end}}{{end}}{{template \"a\" .}}",
        Budget,
    ),
    (
        "recursion that prints",
        "{{define \"a\"}}{{print .}}{{template \"a\" (print . .)}}{{end}}{{template \"a\" \"xxxxxxxx\"}}",
        Budget,
    ),
    (
        "recursion through blocks",
        "{{define \"a\"}}~{{if true}}@150@{{template \"a\" .}}~{{end}}@150@{{end}}{{template \"a\" .}}",
        Budget,
    ),
    (
        "calls that double",
        "{{define \"a\"}}x{{end}}{{define \"b\"}}~{{template \"a\"}}@50@{{end}}{{define \"c\"}}~{{template \"b\"}}@50@{{end}}{{define \"d\"}}~{{template \"c\"}}@50@{{end}}{{define \"e\"}}~{{template \"d\"}}@50@{{end}}{{template \"e\"}}",
        Budget,
    ),
    // Texts that the parser has to refuse, or to get through
    ("blocks without end", "~{{if true}}@90000@", Parser),
    ("parentheses without end", "{{~(@500000@", Parser),
    ("else without end", "{{if 0}}~{{else if 0}}@70000@{{end}}", Parser),
    ("a text too large", "~xxxxxxxxxxxxxxxx@70000@", Parser),
    ("a large text in a range", "{{range 1000}}~xxxxxxxxxxxxxxxx@60000@{{end}}", Budget),
    ("many actions in a range", "{{range 10000}}~{{.a}}@100000@{{end}}", Parser),
    ("very many variables", "~{{$x := 1}}@50000@{{$x}}", Parser),
    ("many variables", "{{$a := 1}}~{{$x := 1}}@8000@{{range 10000000}}{{$a}}{{end}}", Budget),
    ("many operands", "{{range 100000}}{{and ~1 @30000@}}{{end}}", Budget),
    ("many pipes", "{{range 100000}}{{1~ | print@10000@}}{{end}}", Budget),
    ("a long chain of fields", "{{range 100000}}{{$~.b@30000@}}{{end}}", Budget),
    // printf
    ("printf, wide", "{{range 1000}}{{printf \"%1000000d\" 1}}{{end}}", Budget),
    ("printf, wide and dropped", "{{range 1000}}{{$x := printf \"%1000000d\" 1}}{{end}}", Budget),
    ("printf, wide by argument", "{{range 1000}}{{printf \"%*d\" 1000000 1}}{{end}}", Budget),
    (
        "printf, wide many times",
        "{{printf \"~%1000000d@1000@\" 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9}}",
        Budget,
    ),
    ("printf, precise", "{{range 1000}}{{printf \"%.1000000f\" 1.5}}{{end}}", Budget),
    ("printf, precise exponent", "{{range 1000}}{{printf \"%.1000000e\" 1.5}}{{end}}", Budget),
    ("printf, precise integer", "{{range 1000}}{{printf \"%.1000000d\" 1}}{{end}}", Budget),
    ("printf, precise sharp", "{{range 1000}}{{printf \"%#.1000000g\" 1.5}}{{end}}", Budget),
    ("printf, precise hexadecimal", "{{range 1000}}{{printf \"%.1000000x\" 1.5}}{{end}}", Budget),
    ("printf, precise code point", "{{range 1000}}{{printf \"%.1000000U\" 1}}{{end}}", Budget),
    ("printf, wide text", "{{range 1000}}{{printf \"%1000000s\" \"\"}}{{end}}", Budget),
    ("printf, wide items", "{{printf \"%1000000v\" (list 1 2 3 4 5 6 7 8 9)}}", Budget),
    ("printf, errors", "{{$x := printf \"~%d@100000@\"}}{{range 100}}{{$x = printf $x}}{{end}}", Budget),
    (
        "printf, one argument many times",
        "{{$x := printf \"%100000d\" 1}}{{printf \"~%[1]s@100000@\" $x}}",
        Budget,
    ),
    // Doubling
    ("print doubles", "{{$x := \"xxxxxxxx\"}}{{range 100}}{{$x = print $x $x}}{{end}}", Budget),
    ("printf doubles", "{{$x := \"xxxxxxxx\"}}{{range 100}}{{$x = printf \"%s%s\" $x $x}}{{end}}", Budget),
    ("printf quotes quotes", "{{$x := \"\\\"\"}}{{range 100}}{{$x = printf \"%q\" $x}}{{end}}", Budget),
    ("printf hexadecimal", "{{$x := \"xx\"}}{{range 100}}{{$x = printf \"% x\" $x}}{{end}}", Budget),
    ("html grows", "{{$x := \"&\"}}{{range 1000000}}{{$x = html $x $x}}{{end}}", Budget),
    ("js grows", "{{$x := \"\\\\\"}}{{range 100}}{{$x = js $x}}{{end}}", Budget),
    ("urlquery grows", "{{$x := \"%%%%%\"}}{{range 1000000}}{{$x = urlquery $x}}{{end}}", Budget),
    ("lists double", "{{$x := list 1}}{{range 100}}{{$x = list $x $x}}{{end}}{{$x}}", Budget),
    ("maps double", "{{$x := dict}}{{range 100}}{{$x = dict \"a\" $x \"b\" $x}}{{end}}{{$x}}", Budget),
    ("lists nest", "{{$x := list 1}}{{range 100000}}{{$x = list $x}}{{end}}{{$x}}", Budget),
    ("lists for ever", "{{$x := list}}{{range 10000000}}{{$x = list $x 1 2 3 4 5 6 7 8 9}}{{end}}", Budget),
    // sprig
    ("repeat", "{{repeat 1000000000 \"x\"}}", Budget),
    ("repeat, dropped", "{{range 100}}{{$x := repeat 1000000 \"x\"}}{{end}}", Budget),
    ("repeat of repeat", "{{\"x\" | repeat 1000 | repeat 1000 | repeat 1000}}", Budget),
    ("repeat of nothing", "{{range 1000000}}{{repeat 9223372036854775807 \"\"}}{{end}}", Budget),
    ("until", "{{until 1000000000}}", Budget),
    ("until in until", "{{range until 10000}}{{range until 10000}}{{end}}{{end}}", Budget),
    ("untilStep", "{{untilStep 0 1000000000 1}}", Budget),
    ("seq", "{{seq 1 1000000000}}", Budget),
    ("indent", "{{indent 1000000000 \"x\"}}", Budget),
    ("nindent", "{{range 100}}{{nindent 1000000 \"x\"}}{{end}}", Budget),
    ("replace doubles", "{{$x := \"x\"}}{{range 100}}{{$x = replace \"x\" \"xx\" $x}}{{end}}", Budget),
    ("replace nothing", "{{$x := repeat 1000 \"x\"}}{{range 100}}{{$x = replace \"\" $x $x}}{{end}}", Budget),
    ("cat doubles", "{{$x := \"x\"}}{{range 100}}{{$x = cat $x $x}}{{end}}", Budget),
    (
        "join",
        "{{$x := join (repeat 1000 \"x\") (until 1000)}}{{range 100}}{{$x = join $x (until 10)}}{{end}}",
        Budget,
    ),
    ("concat doubles", "{{$x := list 1 2}}{{range 100}}{{$x = concat $x $x}}{{end}}", Budget),
    ("append for ever", "{{$x := list}}{{range 1000000}}{{$x = append $x 1}}{{end}}", Budget),
    ("split to bytes", "{{range 100}}{{$x := splitList \"\" (repeat 100000 \"x\")}}{{end}}", Budget),
    ("uniq", "{{range 100}}{{$x := uniq (until 20000)}}{{end}}", Budget),
    ("without", "{{range 100000}}{{$x := without (until 1000) 1 2 3}}{{end}}", Budget),
    ("sort", "{{range 100000}}{{$x := sortAlpha (until 1000)}}{{end}}", Budget),
    ("quote doubles", "{{$x := \"\\\"\"}}{{range 100}}{{$x = quote $x $x}}{{end}}", Budget),
    ("base64 grows", "{{$x := \"xx\"}}{{range 100000}}{{$x = b64enc $x}}{{end}}", Budget),
    ("JSON doubles", "{{$x := list 1}}{{range 100}}{{$x = list $x $x}}{{end}}{{toJson $x}}", Budget),
    ("JSON quotes quotes", "{{$x := \"\\\"\"}}{{range 100}}{{$x = toJson $x}}{{end}}", Budget),
    (
        "JSON nests",
        "{{fromJson (repeat 100000 \"[\")}}{{range 100000}}{{fromJson (repeat 1000 \"[\")}}{{end}}",
        Budget,
    ),
    (
        "JSON of a deep value",
        "{{$x := list 1}}{{range 1000}}{{$x = list $x}}{{end}}{{mustToJson $x}}",
        Budget,
    ),
    (
        "copies double",
        "{{$x := list 1}}{{range 100}}{{$x = list (deepCopy $x) (deepCopy $x)}}{{end}}",
        Budget,
    ),
    (
        "deepEqual",
        "{{$x := list 1}}{{$y := list 1}}{{range 60}}{{$x = list $x $x}}{{$y = list $y $y}}{{end}}{{deepEqual $x $y}}",
        Budget,
    ),
    ("a map in itself", "{{$x := dict}}{{$x = set $x \"a\" (list $x)}}{{$x}}", Function),
    ("maps without end", "{{$x := dict}}{{range $i := 1000000}}{{$x = set $x (print $i) $i}}{{end}}", Budget),
    (
        "hashes for ever",
        "{{$x := repeat 100000 \"x\"}}{{range 1000000}}{{$y := sha256sum $x}}{{end}}",
        Budget,
    ),
    ("regex, repeated", "{{mustRegexMatch \"((((x{30}){30}){30}){30}){30}\" \"x\"}}", Function),
    ("regex, backtracking", "{{range 1000000}}{{regexMatch \"^(x+)+$\" (repeat 1000 \"x\")}}{{end}}", Budget),
    (
        "regex that doubles",
        "{{$x := \"x\"}}{{range 100}}{{$x = regexReplaceAll \"x\" $x \"xx\"}}{{end}}",
        Budget,
    ),
    (
        "regex, every place",
        "{{range 1000}}{{$x := regexFindAll \"\" (repeat 100000 \"x\") -1}}{{end}}",
        Budget,
    ),
    (
        "regex, compiled for ever",
        "{{range $i := 1000000}}{{$x := regexMatch (printf \"x{1,%d}\" (add 1 (mod $i 900))) \"x\"}}{{end}}",
        Budget,
    ),
    (
        "YAML nests",
        "{{fromYaml (repeat 100000 \"[\")}}{{range 100000}}{{fromYaml (repeat 1000 \"[\")}}{{end}}",
        Budget,
    ),
    (
        "YAML aliases",
        "{{toYaml (fromYaml \"a: &a [x,x,x,x,x,x,x,x,x]\\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\\n\")}}{{range 1000000000}}{{end}}",
        Budget,
    ),
    ("wrap", "{{range 1000}}{{$x := wrapWith 1 (repeat 1000 \"x\") (repeat 1000 \"x \")}}{{end}}", Budget),
    ("random text", "{{randAlphaNum 1000000000}}", Capability),
    ("private keys", "{{range 1000}}{{genPrivateKey \"rsa\"}}{{end}}", Capability),
    ("authorities", "{{range 1000}}{{$x := genCA \"a\" 1}}{{end}}", Capability),
    ("password hashes", "{{range 1000}}{{bcrypt \"x\"}}{{end}}", Capability),
];

/// Writes the repetitions out.
fn template(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('~') {
        let (unit, after) = after.split_once('@').unwrap();
        let (count, after) = after.split_once('@').unwrap();
        out.push_str(before);
        out.push_str(&unit.repeat(count.parse().unwrap()));
        rest = after;
    }
    out + rest
}

/// Returns this process's time on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// Returns the largest resident memory so far.
fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sets a bomb off and says what became of it.
fn set_off(index: usize) -> String {
    let (name, text, stop) = BOMBS[index];
    let text = template(text);
    let functions = functions::external_secrets();
    let value = Plaintext::from("x");
    let root = Value::of_strings([("a", &value)]);
    let (memory, time) = (resident_kib(), processor_time());
    let result = Template::parse("key", text.as_bytes(), &functions, Options::default());
    let stopped = match &result {
        Err(error) => Err((Parser, error.to_string())),
        Ok(template) => match template.execute(&root, Limits::default(), Capabilities::default()) {
            Ok(output) => Ok(output.len()),
            Err(error) if error.budget.is_some() => Err((Budget, error.text)),
            Err(error) if error.missing_capability.is_some() => Err((Capability, error.text)),
            Err(error) => Err((Function, error.text)),
        },
    };
    let (time, memory) = (processor_time() - time, resident_kib() - memory);
    let figures = format!("{:6.1} ms {memory:6} KiB", time.as_secs_f64() * 1e3);
    let short =
        |text: &str| text.chars().rev().take(90).collect::<Vec<_>>().into_iter().rev().collect::<String>();
    match stopped {
        Ok(bytes) => format!("WRONG {figures} {name}: rendered {bytes} bytes"),
        Err((by, error)) if by != stop => format!("WRONG {figures} {name}: {by:?}: {}", short(&error)),
        Err(_) if time > MOST_TIME || memory > MOST_KIB => format!("WRONG {figures} {name}: {TOO_MUCH}"),
        Err((by, error)) => format!("right {figures} {name}: {by:?}: {}", short(&error)),
    }
}

/// Sets off the bomb that the environment names, or the first one.
#[test]
fn one_bomb_is_refused() {
    let index = std::env::var(BOMB).map_or(0, |index| index.parse().unwrap());
    let outcome = set_off(index);
    println!("outcome: {outcome}");
    assert!(outcome.starts_with("right"), "{outcome}");
}

#[test]
fn every_bomb_is_refused() {
    assert!(BOMBS.len() >= 60);
    let this = std::env::current_exe().unwrap();
    let mut wrong = Vec::new();
    for (index, (name, ..)) in BOMBS.iter().enumerate() {
        let tries = (0..TRIES).map(|_| {
            let output = Command::new(&this)
                .args(["--exact", "one_bomb_is_refused", "--nocapture"])
                .env(BOMB, index.to_string())
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let outcome = text.lines().find_map(|line| line.split_once("outcome: "));
            let outcome = outcome.map_or("WRONG: no outcome", |(_, outcome)| outcome).to_owned();
            println!("{index:3} {outcome}");
            (output.status.success() && outcome.starts_with("right"), outcome)
        });
        let mut last = String::new();
        let mut right = false;
        for next in tries {
            (right, last) = next;
            if right || !last.ends_with(TOO_MUCH) {
                break;
            }
        }
        if !right {
            wrong.push(format!("{index} {name}: {last}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), BOMBS.len(), wrong.join("\n"));
}
