//! Command lines as Go's `urfave/cli` 1.22 reads them: one table of commands gives parser, help, completion and
//! environment names.
//!
//! ```text
//!   program [global flags] command [flags and arguments in any order]        (globals: flags first, then the rest)
//! ```
//!
//! clap cannot be taught its grammar (`-flag` with one dash, values of booleans after `=` only, flags moved in front of
//! the arguments except behind a boolean) nor its texts, which wrappers match.

mod help;
mod parse;
#[cfg(test)]
mod tests;

pub(super) use help::{app_help, command_help, completions, group_as_app_help, group_help};
pub(super) use parse::{ParseError, Parsed};

/// The program, with its global flags.
pub(super) struct App {
    pub(super) name: &'static str,
    pub(super) usage: &'static str,
    pub(super) text: &'static str,
    pub(super) version: &'static str,
    pub(super) flags: &'static [&'static [Flag]],
    pub(super) commands: &'static [Command],
}

/// One command, or a group of them.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) usage: &'static str,
    /// What the usage line says about arguments.
    pub(super) arguments: &'static str,
    pub(super) flags: &'static [&'static [Flag]],
    pub(super) commands: &'static [Command],
}

/// One flag.
pub(super) struct Flag {
    /// All names, the long one first.
    pub(super) names: &'static [&'static str],
    pub(super) kind: Kind,
    /// The variable that gives the default.
    pub(super) variable: Option<&'static str>,
    pub(super) usage: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Nothing, or `=true` and `=false`.
    Bool,
    /// The same, on by default.
    BoolOn,
    /// A text, with its default.
    Text(&'static str),
    /// Texts, repeated.
    Texts,
    /// A whole number, 0 by default.
    Number,
}

impl Kind {
    fn takes_value(self) -> bool {
        !matches!(self, Self::Bool | Self::BoolOn)
    }
}

/// `--help`, which every command has.
pub(super) static HELP: Flag =
    Flag { names: &["help", "h"], kind: Kind::Bool, variable: None, usage: "show help" };

/// `--version`, which the program has.
pub(super) static VERSION: Flag =
    Flag { names: &["version", "v"], kind: Kind::Bool, variable: None, usage: "print the version" };
