//! Where and with what was measured. No host name: results are shown to others.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::programs::Programs;

/// Returns a short name of the kind of machine, for a file name.
pub(crate) fn short_name() -> String {
    let model: String =
        model().to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<&str> = model.split('-').filter(|word| word.len() > 1).take(4).collect();
    format!("{}x-{}", processors(), words.join("-"))
}

/// Returns what decides the speed of the machine.
pub(crate) fn describe() -> Value {
    json!({
        "processors": processors(),
        "model": model(),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "load_average_at_the_end": read("/proc/loadavg"),
    })
}

/// Returns the versions of both sides.
pub(crate) fn versions(programs: &Programs) -> Value {
    json!({
        "kubeseal": output(&programs.kubeseal, &["--version"]),
        "sealops": output(&programs.sealops, &["--version"]),
        "sealops-controller": output(&programs.controller, &["--version"]),
        "commit": output(Path::new("git"), &["rev-parse", "--short", "HEAD"]),
    })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

fn model() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn output(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().map(|output| output.stdout);
    String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
}
