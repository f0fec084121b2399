//! What a command works on: a file, or stdin.

use std::io::{self, IsTerminal};
use std::path::Path;

use sealops_formats::Plaintext;
use sealops_formats::manifest::MAX_BYTES;

use crate::error::CommandError;
use crate::{files, ui};

/// A text with the name that errors call it by.
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) text: Plaintext,
}

/// Reads a file, or stdin where there is none or it is `-`. On a terminal it says what is `expected`.
pub(crate) fn read(path: Option<&Path>, expected: &str) -> Result<Input, CommandError> {
    match path.filter(|path| *path != "-") {
        Some(path) => Ok(Input { name: path.display().to_string(), text: files::read(path, MAX_BYTES)? }),
        None => stdin(expected),
    }
}

fn stdin(expected: &str) -> Result<Input, CommandError> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        ui::note(&format!("(tty detected: expecting {expected} in stdin)"));
    }
    let name = "stdin".to_owned();
    match files::read_from(stdin, MAX_BYTES) {
        Ok(Some(text)) => Ok(Input { name, text }),
        Ok(None) => Err(files::too_large(&name, MAX_BYTES)),
        Err(error) => Err(CommandError::input(format!("read {name}: {}", files::io_text(&error)))),
    }
}
