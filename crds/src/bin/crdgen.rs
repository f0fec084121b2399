//! Writes `crds/*.yaml`; with `--check` it writes nothing and fails when one of them is stale.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use sealops_crds::schema::{COMMAND, File, files};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => write_all().map(|()| ExitCode::SUCCESS),
        ["--check"] => check_all(),
        _ => {
            writeln!(io::stderr(), "usage: crdgen [--check]")?;
            Ok(ExitCode::from(2))
        }
    }
}

fn write_all() -> io::Result<()> {
    files().iter().filter(|file| is_stale(file)).try_for_each(|file| {
        std::fs::write(folder().join(&file.name), &file.text)?;
        writeln!(io::stderr(), "wrote crds/{}", file.name)
    })
}

fn check_all() -> io::Result<ExitCode> {
    let stale: Vec<File> = files().into_iter().filter(is_stale).collect();
    for file in &stale {
        writeln!(io::stderr(), "crds/{} is stale", file.name)?;
    }
    if stale.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(io::stderr(), "hint: {COMMAND}")?;
    Ok(ExitCode::FAILURE)
}

fn is_stale(file: &File) -> bool {
    std::fs::read_to_string(folder().join(&file.name)).map_or(true, |text| text != file.text)
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
