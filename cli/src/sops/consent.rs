//! Questions that a person answers with y or n.

use std::io::{self, BufRead, Write};

use crate::error::CommandError;
use crate::files::io_text;
use crate::ui;

/// Asks on stdout until the answer on stdin is y or n. Anything but one word is an error, as for Go's `Scanln`.
///
/// # Errors
/// Fails at the end of the input, for an empty line and for several words.
pub(crate) fn confirmed(question: &str) -> Result<bool, CommandError> {
    loop {
        ui::data(question.as_bytes())?;
        let _ = io::stdout().flush();
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(|error| CommandError::input(io_text(&error)))?;
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("y"), None) => return Ok(true),
            (Some("n"), None) => return Ok(false),
            (Some(_), None) => {}
            (Some(_), Some(_)) => return Err(CommandError::input("expected newline")),
            (None, _) => return Err(CommandError::input("unexpected newline")),
        }
    }
}
