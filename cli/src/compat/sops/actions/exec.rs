//! The commands that start another program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_formats::tree::Format;

use super::{session, types};
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
use crate::sops::code;
use crate::sops::decrypt::{self, Decryption};
use crate::sops::exec::{self, Program, Start};
use crate::sops::open::{self, Source};
use crate::sops::output::Output;
use crate::sops::session::{Session, read_order};
use crate::sops::variables::variables;

/// What both `exec` commands begin with.
fn execution(global: &Parsed, local: &Parsed) -> Result<(Session, PathBuf, Start), CommandError> {
    let [file, command] = local.rest.as_slice() else {
        return Err(CommandError::input("error: missing file to decrypt"));
    };
    let mut session = session(global, local)?;
    session.config_for(Some(Path::new(file)))?;
    session.order = read_order(local.text("decryption-order"))?;
    let start = Start {
        program: Program::Line(OsString::from(command)),
        user: local.non_empty("user").map(str::to_owned),
        background: local.is_on("background"),
    };
    Ok((session, PathBuf::from(file), start))
}

pub(super) fn exec_env(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let (session, path, start) = execution(global, local)?;
    let same_process = local.is_on("same-process");
    if start.background {
        session.warn(
            "exec-env's --background option is deprecated and will be removed in a future version of sops",
        );
        if same_process {
            let text = "Error: The --same-process flag cannot be used with --background";
            return Err(CommandError::code(code::CONFLICT, text));
        }
    }
    let format = Format::of_path(&path.to_string_lossy());
    let source = Source::File(path);
    let file = open::load(&source, format)?;
    let tree = open::open(&session, &source, file, false)?.into_tree();
    let variables = variables(tree)?;
    exec::with_environment(&start, local.is_on("pristine"), same_process, &variables)
}

pub(super) fn exec_file(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let (session, path, start) = execution(global, local)?;
    let decryption = Decryption {
        source: Source::File(path.clone()),
        name: path,
        types: types(local),
        extract: None,
        ignore_mac: false,
        output: Output::Stdout,
    };
    let text = Arc::new(decrypt::plaintext(&session, &decryption)?);
    if start.background {
        session.warn(
            "exec-file's --background option is deprecated and will be removed in a future version of sops",
        );
    }
    exec::with_file(&start, !local.is_on("no-fifo"), local.non_empty("filename"), &text)
}
