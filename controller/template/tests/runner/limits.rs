//! Every bound at its limit and one beyond.

use std::time::Duration;

use sealops_template::budget::{BudgetError, MAX_NESTING, MAX_NODES, MAX_TEMPLATE_BYTES, MAX_VALUE_DEPTH};
use sealops_template::{Capabilities, Limits, Options, Template, Value};

use crate::support::{builtins, render};

fn with(text: &str, limits: Limits) -> Result<usize, BudgetError> {
    let template = Template::parse("key", text.as_bytes(), &builtins(), Options::default()).unwrap();
    let root = Value::of_strings([]);
    match template.execute(&root, limits, Capabilities::default()) {
        Ok(output) => Ok(output.len()),
        Err(error) => Err(error.budget.unwrap_or_else(|| panic!("{error}"))),
    }
}

/// Finds the smallest limit under which the text renders, and checks that one less is refused.
fn edge(text: &str, set: fn(&mut Limits, usize), wanted: fn(usize) -> BudgetError) -> usize {
    let limits = |value| {
        let mut limits = Limits::default();
        set(&mut limits, value);
        limits
    };
    let (mut low, mut high) = (0, 1 << 24);
    while low < high {
        let middle = (low + high) / 2;
        if with(text, limits(middle)).is_ok() { high = middle } else { low = middle + 1 }
    }
    assert!(with(text, limits(low)).is_ok());
    assert_eq!(with(text, limits(low - 1)), Err(wanted(low - 1)));
    low
}

#[test]
fn refuses_one_step_too_many() {
    let steps = edge(
        "{{range 100}}x{{end}}",
        |limits, value| limits.steps = value as u64,
        |value| BudgetError::Steps(value as u64),
    );
    assert!((200..2000).contains(&steps), "{steps} steps for a hundred iterations");
}

#[test]
fn refuses_one_byte_of_output_too_many() {
    let set = |limits: &mut Limits, value| limits.output_bytes = value;
    assert_eq!(edge("{{range 100}}x{{end}}", set, BudgetError::Output), 100);
    assert_eq!(edge("{{printf \"%1000d\" 1}}", set, BudgetError::Output), 1000);
    assert_eq!(edge("{{print (list 1 2)}}", set, BudgetError::Output), 5);
}

#[test]
fn refuses_one_byte_of_memory_too_many() {
    let bytes = edge(
        "{{len (printf \"%1000s\" \"\")}}",
        |limits, value| limits.allocated_bytes = value,
        BudgetError::Allocated,
    );
    assert!((1000..2000).contains(&bytes), "{bytes} bytes for a text of 1000");
}

#[test]
fn refuses_one_call_too_deep() {
    let text = "{{define \"a\"}}{{range .}}{{template \"a\" .}}{{end}}{{end}}{{template \"a\" (list (list (list)))}}";
    assert_eq!(edge(text, |limits, value| limits.call_depth = value, BudgetError::CallDepth), 3);
}

#[test]
fn refuses_one_level_too_many() {
    let nested = |depth: usize| format!("{}{}", "{{if true}}".repeat(depth), "{{end}}".repeat(depth));
    let set = |limits: &mut Limits, value| limits.levels = value;
    let (ten, twenty) =
        (edge(&nested(10), set, BudgetError::Levels), edge(&nested(20), set, BudgetError::Levels));
    assert_eq!(twenty - ten, 10);
}

#[test]
fn refuses_after_the_time() {
    let spent = Limits { time: Duration::ZERO, ..Limits::default() };
    assert_eq!(with("x", spent), Err(BudgetError::Time(Duration::ZERO)));
    assert_eq!(with("x", Limits { time: Duration::from_secs(60), ..Limits::default() }), Ok(1));
}

fn parses(text: &str) -> Result<(), String> {
    Template::parse("key", text.as_bytes(), &builtins(), Options::default())
        .map(drop)
        .map_err(|error| error.to_string())
}

#[test]
fn refuses_one_nesting_too_many() {
    for (open, close) in [("{{if true}}", "{{end}}"), ("{{with 1}}", "{{end}}"), ("{{range 1}}", "{{end}}")] {
        let nested = |depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
        assert_eq!(parses(&nested(MAX_NESTING)), Ok(()));
        assert!(
            parses(&nested(MAX_NESTING + 1)).unwrap_err().ends_with("max expression depth exceeded (200)")
        );
    }
    let parentheses = |depth: usize| format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(parses(&parentheses(MAX_NESTING)), Ok(()));
    assert!(parses(&parentheses(MAX_NESTING + 1)).is_err());
    let chain = |length: usize| format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(length));
    assert_eq!(parses(&chain(MAX_NESTING - 1)), Ok(()));
    assert!(parses(&chain(MAX_NESTING)).is_err());
}

#[test]
fn refuses_one_byte_of_text_too_many() {
    assert_eq!(parses(&"x".repeat(MAX_TEMPLATE_BYTES)), Ok(()));
    assert!(parses(&"x".repeat(MAX_TEMPLATE_BYTES + 1)).unwrap_err().contains("larger than 1048576 bytes"));
}

#[test]
fn refuses_to_walk_one_value_too_deep() {
    let nested = |depth: usize| {
        format!("{{{{$x := 1}}}}{{{{range {depth}}}}}{{{{$x = list $x}}}}{{{{end}}}}{{{{print $x}}}}")
    };
    assert!(with(&nested(MAX_VALUE_DEPTH), Limits::default()).is_ok());
    assert_eq!(with(&nested(MAX_VALUE_DEPTH + 1), Limits::default()), Err(BudgetError::ValueDepth));
}

#[test]
fn refuses_one_node_too_many() {
    // An action, its command and its operand.
    let text = |actions: usize| format!("{}x", "{{1}}".repeat(actions));
    assert_eq!(parses(&text((MAX_NODES - 1) / 3)), Ok(()));
    assert!(parses(&text(MAX_NODES / 3 + 1)).unwrap_err().contains("more than 32768 actions"));
}

/// Deep values that nobody walks cost no stack, not even when they go.
#[test]
fn drops_deep_values_without_recursion() {
    let text = "{{$x := 1}}{{range 50000}}{{$x = list $x}}{{end}}{{$d := 1}}{{range 10000}}{{$d = dict \"a\" $d}}{{end}}done";
    assert_eq!(render(text, &builtins(), Options::default(), &[], Limits::default()), Ok(b"done".to_vec()));
}

/// All bounds of nesting together fit a small stack.
#[test]
fn fits_a_stack_of_one_mebibyte() {
    let deepest = || {
        let conditions = MAX_NESTING - 1;
        let body = format!(
            "{}{{{{template \"a\" .}}}}{}",
            "{{if (not false)}}".repeat(conditions - 1),
            "{{end}}".repeat(conditions - 1)
        );
        let recursion = format!("{{{{define \"a\"}}}}{body}{{{{end}}}}{{{{template \"a\" 1}}}}");
        assert!(matches!(with(&recursion, Limits::default()), Err(BudgetError::Levels(_))));
        let calls = format!("{{{{{}1{}}}}}", "print (".repeat(MAX_NESTING), ")".repeat(MAX_NESTING));
        assert_eq!(with(&calls, Limits::default()), Ok(1));
        let value = format!(
            "{{{{$x := 1}}}}{{{{range {MAX_VALUE_DEPTH}}}}}{{{{$x = list $x}}}}{{{{end}}}}{{{{printf \"%v\" $x}}}}"
        );
        assert!(with(&value, Limits::default()).is_ok());
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(deepest).unwrap().join().unwrap();
}
