//! The command line of sops 3.13.3.
//!
//! Different on purpose, beside what `crate::sops` says: `--version` asks nobody for newer versions, and numbers of `set`
//! without a fraction are whole numbers.

mod actions;
mod completion;
mod flags;
mod legacy;

use std::ffi::OsString;
use std::process::ExitCode;

use self::flags::{APP, VERSION as SOPS_VERSION};
use super::urfave::{self, Command, HELP, ParseError, Parsed, VERSION};
use crate::error::{CommandError, Kind};
use crate::ui;

/// `urfave/cli` shows the words that may follow when this stands last.
const COMPLETE: &str = "--generate-bash-completion";
/// `No help topic`.
const NO_TOPIC: u8 = 3;

static HELP_COMMAND: Command = Command {
    name: "help",
    usage: "list the commands, or explain one",
    arguments: "[command]",
    flags: &[],
    commands: &[],
};

/// How a run ends: with a text and SOPS's exit code, or with a line that is no use.
enum Failure {
    Exit(CommandError),
    /// Logged as fatal.
    Fatal(String),
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::Exit(error)
    }
}

/// Runs the command line.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    match dispatch(words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Fatal(text)) => {
            ui::log_line("CMD", "fatal", &text);
            ExitCode::FAILURE
        }
        Err(Failure::Exit(error)) => {
            ui::plain(&error.error);
            match error.kind {
                Kind::Code(_) => error.exit_code(),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn dispatch(mut words: Vec<String>) -> Result<(), Failure> {
    let complete = words.last().is_some_and(|word| word == COMPLETE);
    if complete {
        words.pop();
    }
    let globals = APP.flags.iter().copied().flatten().chain([&HELP, &VERSION]);
    let (global, error) = Parsed::read(globals, words.get(1..).unwrap_or_default());
    let command = global.rest.first().and_then(|name| find(APP.commands, name));
    if complete {
        let group = command.filter(|command| !command.commands.is_empty());
        let text = match group {
            Some(group) => group
                .commands
                .iter()
                .map(|command| format!("{}\n", command.name))
                .chain(["help\nh\n".to_owned()])
                .collect(),
            None => urfave::completions(&APP, command, &words),
        };
        return print(&text);
    }
    match error {
        None => {}
        Some(ParseError::Variable(text)) => return Err(Failure::Fatal(text)),
        Some(ParseError::TwoForms(text)) => {
            print(&format!("{text}\n{}", urfave::app_help(&APP)))?;
            return Err(Failure::Fatal(text));
        }
        Some(ParseError::Usage(text)) => {
            print(&format!("Incorrect Usage. {text}\n\n{}", urfave::app_help(&APP)))?;
            return Err(Failure::Fatal(text));
        }
    }
    if global.is_on("help") {
        return print(&urfave::app_help(&APP));
    }
    if global.is_on("version") {
        return print(&format!("sops {SOPS_VERSION}\n"));
    }
    match (global.rest.split_first(), command) {
        (Some((_, rest)), Some(command)) if command.commands.is_empty() => {
            run_command("sops", command, &global, rest)
        }
        (Some((_, rest)), Some(group)) => run_group(group, &global, rest),
        (Some((name, rest)), None) if is_help(name) => {
            help(APP.commands, "sops", rest, || urfave::app_help(&APP))
        }
        _ => legacy::run(&global),
    }
}

fn find<'c>(commands: &'c [Command], name: &str) -> Option<&'c Command> {
    commands.iter().find(|command| command.name == name)
}

fn is_help(name: &str) -> bool {
    matches!(name, "help" | "h")
}

fn print(text: &str) -> Result<(), Failure> {
    ui::data(text.as_bytes()).map_err(Failure::Exit)
}

/// `help [command]`, at the top or in a group.
fn help(
    commands: &[Command],
    path: &str,
    arguments: &[String],
    everything: impl Fn() -> String,
) -> Result<(), Failure> {
    let (parsed, error) = Parsed::read_reordered([&HELP].into_iter(), arguments);
    if let Some(ParseError::Usage(text) | ParseError::TwoForms(text) | ParseError::Variable(text)) = error {
        print(&format!("Incorrect Usage: {text}\n\n{}", urfave::command_help(path, &HELP_COMMAND)))?;
        return Err(Failure::Fatal(text));
    }
    if parsed.is_on("help") {
        return print(&urfave::command_help(path, &HELP_COMMAND));
    }
    match parsed.rest.first() {
        None => print(&everything()),
        Some(name) if is_help(name) => print(&urfave::command_help(path, &HELP_COMMAND)),
        Some(name) => match find(commands, name) {
            Some(command) => print(&urfave::command_help(path, command)),
            None => Err(no_topic(name)),
        },
    }
}

fn no_topic(name: &str) -> Failure {
    Failure::Exit(CommandError::code(NO_TOPIC, format!("No help topic for '{name}'")))
}

fn run_group(group: &'static Command, global: &Parsed, arguments: &[String]) -> Result<(), Failure> {
    let text = || urfave::group_help("sops", group);
    let (parsed, error) = Parsed::read([&HELP].into_iter(), arguments);
    if let Some(ParseError::Usage(error) | ParseError::TwoForms(error) | ParseError::Variable(error)) = error
    {
        print(&format!("Incorrect Usage. {error}\n\n{}", text()))?;
        return Err(Failure::Fatal(error));
    }
    if parsed.is_on("help") {
        return print(&text());
    }
    let path = format!("sops {}", group.name);
    let Some((name, rest)) = parsed.rest.split_first() else { return print(&text()) };
    match find(group.commands, name) {
        Some(command) => run_command(&path, command, global, rest),
        None if is_help(name) => {
            help(group.commands, &path, rest, || urfave::group_as_app_help(&path, group, SOPS_VERSION))
        }
        None => Err(no_topic(name)),
    }
}

fn run_command(
    path: &str,
    command: &'static Command,
    global: &Parsed,
    arguments: &[String],
) -> Result<(), Failure> {
    let flags = command.flags.iter().copied().flatten().chain([&HELP]);
    let (local, error) = Parsed::read_reordered(flags, arguments);
    if let Some(ParseError::Usage(text) | ParseError::TwoForms(text) | ParseError::Variable(text)) = error {
        print(&format!("Incorrect Usage: {text}\n\n{}", urfave::command_help(path, command)))?;
        return Err(Failure::Fatal(text));
    }
    if local.is_on("help") {
        return print(&urfave::command_help(path, command));
    }
    actions::run(command.name, global, &local).map_err(Failure::Exit)
}
