//! Finds the functions that short calls of the command line run, for `cli/start-order.txt`.
//!
//! ```text
//!   bench-order LINK-MAP PROGRAM > cli/start-order.txt
//! ```
//!
//! `PROGRAM` is a release build of `sealops` and `LINK-MAP` lld's map of it (`make start-order` makes both). Each call is
//! run with a breakpoint at the start of every function; what is hit is printed in the order of its first hit.
//!
//! A line is a crate, or `*`, and the name of an input section after `.text.`, as the linker's script takes it: `*` stands
//! there for the parts of a symbol that change with every version of a dependency. Or it is an archive's member, whose
//! functions are one section. What would name much that is not run is left out.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};

mod calls;
mod map;
mod trace;

use map::Function;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [map, program] = &arguments[..] else { bail!("usage: bench-order LINK-MAP PROGRAM") };
    let map = fs::read_to_string(map).with_context(|| map.display().to_string())?;
    let functions = map::functions(&map);
    ensure!(functions.len() > 1000, "the map lists {} functions: it is not one of lld's", functions.len());
    let folder = tempfile::tempdir()?;
    let mut order: Vec<&Function> = Vec::new();
    let mut seen = HashSet::new();
    for call in calls::all(Path::new(program), folder.path())? {
        let hits = trace::trace(&call, &functions).with_context(|| format!("{:?}", call.arguments))?;
        let new: Vec<_> = hits.into_iter().filter(|function| seen.insert(function.address)).collect();
        writeln!(io::stderr(), "{:5} new functions: {:?}", new.len(), call.arguments)?;
        order.extend(new);
    }
    let mut printed = HashSet::new();
    let all = sizes(&functions);
    let run = sizes(order.iter().copied());
    let mut output = io::stdout().lock();
    for function in &order {
        let line = function.section.as_str();
        if all[line] - run[line] <= MAX_WASTE && printed.insert(line) {
            writeln!(output, "{line}")?;
        }
    }
    Ok(())
}

/// Most code that a line may name without its being run, in bytes.
const MAX_WASTE: u64 = 16 << 10;

fn sizes<'a>(functions: impl IntoIterator<Item = &'a Function>) -> HashMap<&'a str, u64> {
    let mut sizes = HashMap::new();
    for function in functions {
        *sizes.entry(function.section.as_str()).or_default() += function.size;
    }
    sizes
}
