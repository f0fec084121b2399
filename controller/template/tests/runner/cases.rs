//! Hand-written calls of every function, each evaluated by Go too.
//!
//! A file of `tests/cases` has sections. `## NAME …` starts one, for one function or several that behave alike; each
//! line below is a template, in which `@` stands for the name. `~ ` before it compares success or failure only, for
//! results that are never the same twice. `//` starts a comment. The data is that of the generated templates. A
//! template runs on each set that has the function; each function has at least five, here or in `crypto_cases.rs`.

use std::collections::BTreeMap;
use std::path::Path;

use sealops_template::system::capabilities;
use sealops_testenv::{TemplateCase, evaluate_with_go};

use crate::crypto_cases;
use crate::differential::{evaluate, sets};
use crate::generator::data;

/// Templates that a function has at least.
const LEAST: usize = 5;

struct Line {
    function: String,
    template: String,
    outcome_only: bool,
}

fn lines() -> Vec<Line> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut names: Vec<String> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("//")) {
            if let Some(heading) = line.strip_prefix("## ") {
                names = heading.split_whitespace().map(str::to_owned).collect();
                continue;
            }
            assert!(!names.is_empty(), "{}: a template before the first section", file.display());
            let (outcome_only, template) = match line.strip_prefix("~ ") {
                Some(template) => (true, template),
                None => (false, line),
            };
            lines.extend(names.iter().map(|name| Line {
                function: name.clone(),
                template: template.replace('@', name),
                outcome_only,
            }));
        }
    }
    lines
}

#[test]
fn written_templates_give_what_go_gives() {
    let lines = lines();
    let mut differing = Vec::new();
    for (set, functions) in sets() {
        let own: Vec<&Line> = lines.iter().filter(|line| functions.find(&line.function).is_some()).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let cases: Vec<TemplateCase> = own
            .iter()
            .map(|line| {
                *counts.entry(&line.function).or_default() += 1;
                let template = line.template.clone().into_bytes();
                TemplateCase { name: "key".to_owned(), template, data: data(), ..TemplateCase::default() }
            })
            .collect();
        let answers = evaluate_with_go(set, &cases).unwrap();
        for ((line, case), answer) in own.iter().zip(&cases).zip(answers) {
            let ours = evaluate(&functions, case, capabilities());
            let same = match (&ours, &answer) {
                (Ok(ours), Ok(theirs)) => line.outcome_only || ours == theirs,
                (Err(_), Err(_)) => true,
                _ => false,
            };
            if !same {
                let text = |bytes: &Vec<u8>| bytes.escape_ascii().to_string();
                differing.push(format!(
                    "{set:?} {}\n  Go:   {:?}\n  ours: {:?}",
                    line.template,
                    answer.as_ref().map(text),
                    ours.as_ref().map(text)
                ));
            }
        }
        println!("{set:?}: {} templates for {} functions", cases.len(), counts.len());
        let few: Vec<_> = functions
            .names()
            .into_iter()
            .filter(|name| counts.get(name).copied().unwrap_or(0) + crypto_cases::count(name) < LEAST)
            .collect();
        assert!(few.is_empty(), "{set:?}: fewer than {LEAST} templates: {few:?}");
    }
    for text in &differing {
        println!("{text}");
    }
    assert!(differing.is_empty(), "{} templates differ, see above", differing.len());
}
