//! Help in urfave's layout, and the words for a shell's completion.

use super::{App, Command, Flag, HELP, Kind, VERSION};

/// Returns the help of the program.
pub(in crate::compat) fn app_help(app: &App) -> String {
    let mut text = format!("NAME:\n   {0} - {1}\n\nUSAGE:\n   {2}\n\n", app.name, app.usage, app.text);
    text.push_str(&format!("VERSION:\n   {}\n\nCOMMANDS:\n", app.version));
    let mut rows = command_rows(app.commands);
    rows.push(("help, h".to_owned(), "list the commands, or explain one".to_owned()));
    text.push_str(&columns(&rows));
    text.push_str("\nGLOBAL OPTIONS:\n");
    text.push_str(&columns(&flag_rows(app.flags.iter().copied().flatten().chain([&HELP, &VERSION]))));
    text
}

/// Returns the help of one command. `path` is everything in front of its name.
pub(in crate::compat) fn command_help(path: &str, command: &Command) -> String {
    let arguments = if command.arguments.is_empty() { "[arguments...]" } else { command.arguments };
    let flags = flag_rows(command.flags.iter().flat_map(|part| part.iter()));
    let options = if flags.is_empty() { "" } else { " [command options]" };
    let mut text = format!(
        "NAME:\n   {path} {0} - {1}\n\nUSAGE:\n   {path} {0}{options} {arguments}\n",
        command.name, command.usage
    );
    if !flags.is_empty() {
        text.push_str(&format!("\nOPTIONS:\n{}   \n", columns(&flags)));
    }
    text
}

/// Returns the help of a group of commands.
pub(in crate::compat) fn group_help(path: &str, group: &Command) -> String {
    format!(
        "NAME:\n   {path} {0} - {1}\n\nUSAGE:\n   {path} {0} command [command options] [arguments...]\n\n\
         COMMANDS:\n{2}\nOPTIONS:\n{3}   \n",
        group.name,
        group.usage,
        columns(&command_rows(group.commands)),
        columns(&flag_rows([&HELP].into_iter())),
    )
}

/// Returns what `help` prints inside of a group, which urfave takes for a program of its own.
pub(in crate::compat) fn group_as_app_help(path: &str, group: &Command, version: &str) -> String {
    format!(
        "NAME:\n   {path} - {0}\n\nUSAGE:\n   {path} [global options] command [command options] [arguments...]\n\n\
         VERSION:\n   {version}\n\nCOMMANDS:\n{1}\nGLOBAL OPTIONS:\n{2}",
        group.usage,
        columns(&command_rows(group.commands)),
        columns(&flag_rows([&HELP].into_iter())),
    )
}

/// Returns the words that may stand where the cursor is, one per line. `last` is the word before it.
pub(in crate::compat) fn completions(app: &App, command: Option<&Command>, words: &[String]) -> String {
    let mut text = String::new();
    let last = words.last().filter(|_| words.len() > 1).map_or("", String::as_str);
    if last.starts_with('-') {
        let flags = app.flags.iter().copied().flatten().chain([&HELP, &VERSION]);
        for flag in
            flags.chain(command.into_iter().flat_map(|command| command.flags.iter().copied().flatten()))
        {
            suggest(&mut text, flag, last, words);
        }
        return text;
    }
    for command in command.map_or(app.commands, |command| command.commands) {
        text.push_str(&format!("{}\n", command.name));
    }
    if command.is_none() {
        text.push_str("help\nh\n");
    }
    text
}

fn suggest(text: &mut String, flag: &Flag, last: &str, words: &[String]) {
    let typed = last.trim_start_matches('-');
    let used = flag.names.iter().any(|name| words.iter().any(|word| *word == dashed(name)));
    for name in flag.names {
        let short_after_long = last.starts_with("--") && name.len() == 1;
        if !short_after_long && name.starts_with(typed) && *name != typed && !used {
            text.push_str(&format!("{}\n", dashed(name)));
        }
    }
}

fn dashed(name: &str) -> String {
    format!("{}{name}", if name.len() == 1 { "-" } else { "--" })
}

fn command_rows(commands: &[Command]) -> Vec<(String, String)> {
    commands.iter().map(|command| (command.name.to_owned(), command.usage.to_owned())).collect()
}

fn flag_rows<'a>(flags: impl Iterator<Item = &'a Flag>) -> Vec<(String, String)> {
    flags
        .map(|flag| {
            let value = if flag.kind.takes_value() { " value" } else { "" };
            let names: Vec<_> = flag.names.iter().map(|name| format!("{}{value}", dashed(name))).collect();
            let default = match flag.kind {
                Kind::Number => " (default: 0)".to_owned(),
                Kind::Text(default) if !default.is_empty() => format!(" (default: {default:?})"),
                _ => String::new(),
            };
            let variable = flag.variable.map(|name| format!(" [${name}]")).unwrap_or_default();
            (names.join(", "), format!("{}{default}{variable}", flag.usage))
        })
        .collect()
}

fn columns(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or_default() + 2;
    rows.iter().map(|(left, right)| format!("   {left:width$}{right}\n")).collect()
}
