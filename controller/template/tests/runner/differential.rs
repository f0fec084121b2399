//! The engine against Go itself: the same templates and data, the same bytes, or both fail.
//!
//! `make test` runs 5,000 templates for each function set, `make differential` (or the environment variable
//! `SEALOPS_DIFFERENTIAL_CASES`) as many as one likes. The counts are printed; a function or feature that did not
//! occur fails the run.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;
use sealops_template::functions::{external_secrets, sealed_secrets};
use sealops_template::system::capabilities;
use sealops_template::{Capabilities, Delimiters, FunctionSet, Limits, MissingKey, Options, Template, Value};
use sealops_testenv::{TemplateCase, TemplateSet, evaluate_with_go, function_names_of_go};

use crate::generator::{Counts, FEATURES, Generator, data};

/// Templates of one run, for each set.
const CASES: usize = 5_000;
/// Templates that one process of Go answers.
const BATCH: usize = 5_000;

/// Where we differ on purpose: name, reason, and how it is told.
const INTENDED: &[(&str, &str)] = &[
    ("budget", "a template that needs too much is refused; Go has no bounds"),
    ("fromYaml error text", "Go's may quote the value; ours does not (compared without the key Error)"),
    ("order of keys and values", "Go's is random, ours sorted (compared sorted)"),
    ("sortAlpha in place", "Go's sorts a []string for everybody who has it; our lists never change"),
    ("slice beyond the length", "Go's appended lists have room that a slice may reach into"),
    ("methods with arguments", "values have none, such as Compare of a version or Format of a time"),
    ("map into itself", "refused, since it could never be printed or freed"),
];

/// Returns both sets with their names.
pub(crate) fn sets() -> [(TemplateSet, FunctionSet); 2] {
    [(TemplateSet::SealedSecrets, sealed_secrets()), (TemplateSet::ExternalSecrets, external_secrets())]
}

/// Executes a case here: output, or the error's text and whether it is the budget's.
pub(crate) fn evaluate(
    functions: &FunctionSet,
    case: &TemplateCase,
    capabilities: Capabilities<'_>,
) -> Result<Vec<u8>, (String, bool)> {
    let options = Options {
        missing_key: match case.missing_key {
            "zero" => MissingKey::Zero,
            "error" => MissingKey::Error,
            _ => MissingKey::Default,
        },
        delimiters: case.delimiters.map_or_else(Delimiters::default, |(left, right)| Delimiters {
            left: left.to_owned(),
            right: right.to_owned(),
        }),
    };
    let template = Template::parse(&case.name, &case.template, functions, options)
        .map_err(|error| (error.to_string(), false))?;
    let values: Vec<(&str, Plaintext)> =
        case.data.iter().map(|(key, value)| (key.as_str(), Plaintext::from(value.as_slice()))).collect();
    let root = Value::of_strings(values.iter().map(|(key, value)| (*key, value)));
    match template.execute(&root, Limits::default(), capabilities) {
        Ok(output) => Ok(output.expose().to_vec()),
        Err(error) => Err((error.text.clone(), error.budget.is_some())),
    }
}

#[test]
fn each_set_has_upstreams_names() {
    for (set, functions) in sets() {
        let builtins = FunctionSet::builtins();
        let sprigs_own = ["slice"];
        let names: Vec<&str> = functions
            .names()
            .into_iter()
            .filter(|name| builtins.find(name).is_none() || sprigs_own.contains(name))
            .collect();
        assert_eq!(names, function_names_of_go(set).unwrap(), "{set:?}");
    }
}

#[test]
fn generated_templates_give_what_go_gives() {
    let wanted = std::env::var("SEALOPS_DIFFERENTIAL_CASES").ok().and_then(|count| count.parse().ok());
    let cases = wanted.unwrap_or(CASES);
    let seed =
        std::env::var("SEALOPS_DIFFERENTIAL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut differing = Vec::new();
    for (set, functions) in sets() {
        let mut generator = Generator::new(seed, &functions);
        let (mut outcomes, mut number) = (Counts::new(), 0);
        while number < cases {
            let batch: Vec<TemplateCase> =
                (number..cases.min(number + BATCH)).map(|number| case(&mut generator, number)).collect();
            number += batch.len();
            compare(set, &functions, &batch, &mut outcomes, &mut differing);
        }
        report(set, &functions, &generator, &outcomes);
    }
    for (name, reason) in INTENDED {
        println!("intended difference: {name}: {reason}");
    }
    assert!(INTENDED.len() <= 10);
    for text in differing.iter().take(40) {
        println!("{text}");
    }
    assert!(differing.is_empty(), "{} templates differ, see above", differing.len());
}

fn case(generator: &mut Generator<'_>, number: usize) -> TemplateCase {
    let mut template = generator.template(number).into_bytes();
    let mut case = TemplateCase { name: "key".to_owned(), data: data(), ..TemplateCase::default() };
    let mut feature = |name: &str| *generator.features.entry(name.to_owned()).or_default() += 1;
    match number % 7 {
        1 => {
            feature("missingkey=zero");
            case.missing_key = "zero";
        }
        2 => {
            feature("missingkey=error");
            case.missing_key = "error";
        }
        3 => {
            feature("delimiters");
            let text = String::from_utf8_lossy(&template).replace("{{", "<%").replace("}}", "%>");
            template = text.into_bytes();
            case.delimiters = Some(("<%", "%>"));
        }
        _ => {}
    }
    case.template = template;
    case
}

fn compare(
    set: TemplateSet,
    functions: &FunctionSet,
    batch: &[TemplateCase],
    outcomes: &mut BTreeMap<String, u64>,
    differing: &mut Vec<String>,
) {
    let answers = evaluate_with_go(set, batch).unwrap();
    for (case, answer) in batch.iter().zip(answers) {
        let ours = evaluate(functions, case, capabilities());
        let outcome = match (&ours, &answer) {
            (Ok(ours), Ok(theirs)) if ours == theirs => "same bytes",
            (Err(_), Err(_)) => "both fail",
            (Err((_, true)), Ok(_)) => "intended: budget",
            _ => {
                differing.push(format!(
                    "{set:?} missingkey={:?}\n  template: {}\n  Go:   {}\n  ours: {}",
                    case.missing_key,
                    String::from_utf8_lossy(&case.template),
                    answer.as_ref().map_or_else(|error| format!("error {error}"), |bytes| shown(bytes)),
                    ours.as_ref().map_or_else(|(error, _)| format!("error {error}"), |bytes| shown(bytes)),
                ));
                "different"
            }
        };
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Prints what was covered, and fails where something was not.
fn report(set: TemplateSet, functions: &FunctionSet, generator: &Generator<'_>, outcomes: &Counts) {
    println!("{set:?}: {outcomes:?}");
    println!("{set:?} features: {:?}", generator.features);
    println!("{set:?} functions: {:?}", generator.used);
    for feature in FEATURES {
        assert!(generator.features.contains_key(*feature), "{set:?}: no {feature}");
    }
    for name in functions.names() {
        assert!(generator.used.contains_key(name), "{set:?}: no call of {name}");
    }
}
