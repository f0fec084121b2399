//! Why a command failed, for people: one text, and hints that are commands or flags.

use std::fmt;
use std::process::ExitCode;

/// What kind of failure it is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was given cannot be used: exit code 1.
    Input,
    /// The command line is wrong: exit code 2, as clap's own.
    Usage,
    /// A server did not answer as it should, so that trying again may help: exit code 3.
    Connection,
    /// One of the numbers that SOPS gives its failures, or a child's.
    Code(u8),
}

/// A failed command. No text in here may hold a value or a part of the input.
#[derive(Debug, Clone)]
pub(crate) struct CommandError {
    pub(crate) kind: Kind,
    pub(crate) error: String,
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    pub(crate) fn input(error: impl fmt::Display) -> Self {
        Self { kind: Kind::Input, error: error.to_string(), hints: Vec::new() }
    }

    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self { kind: Kind::Usage, ..Self::input(error) }
    }

    pub(crate) fn connection(error: impl fmt::Display) -> Self {
        Self { kind: Kind::Connection, ..Self::input(error) }
    }

    /// Makes one error of many; a failed connection among them decides the exit code.
    pub(crate) fn all(what: &str, problems: Vec<Self>) -> Self {
        let mut problems = problems;
        if problems.len() == 1
            && let Some(only) = problems.pop()
        {
            return only;
        }
        let is_connection = problems.iter().any(|problem| matches!(problem.kind, Kind::Connection));
        let mut all = Self::input(format!("{} objects {what}", problems.len()));
        if is_connection {
            all.kind = Kind::Connection;
        }
        for problem in problems {
            all.error.push_str(&format!("\n  {}", problem.error));
            for hint in problem.hints {
                if !all.hints.contains(&hint) {
                    all.hints.push(hint);
                }
            }
        }
        all
    }

    /// A failure with an exit code of its own.
    pub(crate) fn code(code: u8, error: impl fmt::Display) -> Self {
        Self { kind: Kind::Code(code), ..Self::input(error) }
    }

    /// Adds what the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts a place in front of the text.
    pub(crate) fn within(mut self, place: impl fmt::Display) -> Self {
        self.error = format!("{place}: {}", self.error);
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.kind {
            Kind::Input => ExitCode::from(1),
            Kind::Usage => ExitCode::from(2),
            Kind::Connection => ExitCode::from(3),
            Kind::Code(code) => ExitCode::from(code),
        }
    }
}
