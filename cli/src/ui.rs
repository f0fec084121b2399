//! Where output goes: stdout is data, stderr is talk. Colour only on a terminal and not with `NO_COLOR`.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::error::CommandError;
use crate::files::io_text;

/// Writes data. A reader that went away (`| head`) is no failure.
pub(crate) fn data(bytes: &[u8]) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CommandError::input(format!("write to stdout: {}", io_text(&error))))
        }
        _ => Ok(()),
    }
}

/// Tells something that needs no attention.
pub(crate) fn note(text: &str) {
    say(text);
}

/// Tells something that is probably not meant.
pub(crate) fn warn(text: &str) {
    say(&format!("{} {text}", label("33", "warning:")));
}

/// Tells something in the form of sops' log, which wrappers filter.
pub(crate) fn log_line(logger: &str, level: &str, text: &str) {
    say(&log_text(logger, level, text));
}

/// Returns a line of sops' log.
pub(crate) fn log_text(logger: &str, level: &str, text: &str) -> String {
    let time = jiff::Timestamp::now().to_string();
    let time = time.split('.').next().unwrap_or_default().trim_end_matches('Z');
    format!("[{logger}]\t time=\"{time}Z\" level={level} msg={text:?}")
}

/// Tells a text as it is.
pub(crate) fn plain(text: &str) {
    say(text);
}

/// Tells why the command failed.
pub(crate) fn report(error: &CommandError) {
    say(&format!("{} {}", label("31", "error:"), error.error));
    for hint in &error.hints {
        say(&format!("{} {hint}", label("36", "hint:")));
    }
}

/// Nobody is left to hear of a failure here.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn label(colour: &str, word: &str) -> String {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stderr().is_terminal() {
        format!("\x1b[1;{colour}m{word}\x1b[0m")
    } else {
        word.to_owned()
    }
}
