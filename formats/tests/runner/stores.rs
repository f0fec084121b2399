//! Ours against SOPS's stores.

use sealops_formats::tree::{Layout, emit, parse};

use crate::oracle::{Answer, Request, ask};
use crate::{dump, generate};

#[test]
fn generated_texts_give_the_trees_and_texts_of_sops() {
    let count = std::env::var("SEALOPS_TEST_CASES").map_or(2_000, |count| count.parse().unwrap());
    let first: u64 = std::env::var("SEALOPS_TEST_SEED").map_or(0, |seed| seed.parse().unwrap());
    let requests: Vec<Request> = (first..first + count).map(generate::request).collect();
    let answers = ask(&requests);
    let mut differences = std::collections::BTreeMap::<String, (usize, String)>::new();
    let (mut read, mut refused) = (0, 0);
    for (seed, (request, answer)) in (first..).zip(requests.iter().zip(&answers)) {
        match compare(request, answer) {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(what) => {
                let kind = what.split(" | ").next().unwrap().to_owned();
                let text = format!(
                    "seed {seed} {:?}->{:?} {:?}\n{}\n{what}",
                    request.format,
                    request.output,
                    request.indent,
                    String::from_utf8_lossy(&request.input)
                );
                let entry = differences.entry(kind).or_insert((0, text.clone()));
                entry.0 += 1;
                if text.len() < entry.1.len() {
                    entry.1 = text;
                }
            }
        }
    }
    println!(
        "{read} read, {refused} refused by both, differences: {}",
        differences.values().map(|d| d.0).sum::<usize>()
    );
    for (kind, (count, text)) in &differences {
        println!("=== {count} x {kind}\n{text}");
    }
    assert!(differences.is_empty());
}

fn compare(request: &Request, answer: &Answer) -> Result<bool, String> {
    let tree = match parse(request.format, &request.input) {
        Ok(tree) => tree,
        Err(error) if answer.error.is_empty() => {
            return Err(format!(
                "only we refuse {:?}: {} | {error} | {}",
                request.format,
                error.problem,
                dump::readable(&answer.tree)
            ));
        }
        Err(_) => return Ok(false),
    };
    if !answer.error.is_empty() {
        let short: String = answer.error.chars().filter(|c| !c.is_ascii_digit()).collect();
        return Err(format!(
            "only SOPS refuses {:?}: {} | {}",
            request.format,
            short,
            dump::readable(&dump::tree(&tree))
        ));
    }
    let ours = dump::tree(&tree);
    if ours != answer.tree {
        return Err(format!(
            "trees differ {:?} | \nours   {}\ntheirs {}",
            request.format,
            dump::readable(&ours),
            dump::readable(&answer.tree)
        ));
    }
    let layout = Layout { indent: request.indent };
    match emit(request.output, &tree, &layout) {
        Ok(text) if answer.emit_error.is_empty() => {
            if text.expose() != answer.emitted() {
                return Err(format!(
                    "texts differ {:?} | {}\nours:\n{}\ntheirs:\n{}",
                    request.output,
                    dump::readable(&ours),
                    String::from_utf8_lossy(text.expose()),
                    String::from_utf8_lossy(&answer.emitted())
                ));
            }
        }
        Ok(_) => return Err(format!("only SOPS cannot write {:?}: {} |", request.output, answer.emit_error)),
        Err(error) if answer.emit_error.is_empty() => {
            return Err(format!(
                "only we cannot write {:?}: {error} | {}",
                request.output,
                String::from_utf8_lossy(&answer.emitted())
            ));
        }
        Err(_) => {}
    }
    Ok(true)
}
