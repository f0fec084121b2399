//! A command that gets plaintext: in its environment, or as a file.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use sealops_formats::Plaintext;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::workplace::Workplace;
use crate::accounts::{self, Account};
use crate::error::CommandError;
use crate::files::io_text;

/// The name of the temporary file when none is asked for.
const FALLBACK_NAME: &str = "tmp-file";
/// Replaced by the path of the temporary file.
const PLACEHOLDER: &[u8] = b"{}";

/// What is started.
#[derive(Debug)]
pub(crate) enum Program {
    /// A line for `/bin/sh -c`.
    Line(OsString),
    /// A program and its arguments.
    Words(Vec<OsString>),
}

/// How the command is started.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) program: Program,
    pub(crate) user: Option<String>,
    /// Do not wait.
    pub(crate) background: bool,
}

/// Runs a command with these variables.
///
/// # Errors
/// The child's exit code, or why it was not started.
pub(crate) fn with_environment(
    start: &Start,
    pristine: bool,
    same_process: bool,
    variables: &[(String, Plaintext)],
) -> Result<(), CommandError> {
    let identity = start.user.as_deref().map(become_user).transpose()?;
    let mut command = command_of(&start.program, None);
    if pristine {
        command.env_clear();
    }
    set_identity(&mut command, identity.as_ref());
    for (name, value) in variables {
        command.env(name, OsStr::from_bytes(value.expose()));
    }
    if same_process {
        return Err(not_started(&command.exec()));
    }
    run(command, start.background)
}

/// Runs a command with the content as a file, whose path replaces `{}`.
///
/// # Errors
/// The child's exit code, or why it was not started.
pub(crate) fn with_file(
    start: &Start,
    pipe: bool,
    name: Option<&str>,
    content: &Arc<Plaintext>,
) -> Result<(), CommandError> {
    if let Some(name) = name {
        let mut parts = Path::new(name).components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(CommandError::input("The provided filename is not a local path."));
        }
    }
    let identity = start.user.as_deref().map(become_user).transpose()?;
    let place = Workplace::new().map_err(|error| no_place(&error))?;
    let name = OsStr::new(name.unwrap_or(FALLBACK_NAME));
    let path = if pipe {
        make_pipe(&place.path().join(name), content)?
    } else {
        place.write(name, content.expose()).map_err(|error| no_place(&error))?
    };
    let mut command = command_of(&start.program, Some(path.as_os_str()));
    set_identity(&mut command, identity.as_ref());
    run(command, start.background)
}

fn no_place(error: &io::Error) -> CommandError {
    CommandError::input(format!("cannot write a temporary file: {}", io_text(error)))
}

fn not_started(error: &io::Error) -> CommandError {
    CommandError::input(format!("cannot start the command: {}", io_text(error)))
}

fn command_of(program: &Program, path: Option<&OsStr>) -> Command {
    let word = |word: &OsString| path.map_or_else(|| word.clone(), |path| replace(word, path));
    match program {
        Program::Line(line) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg("-c").arg(word(line));
            shell
        }
        Program::Words(words) => {
            let mut words = words.iter().map(word);
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            command
        }
    }
}

fn replace(command: &OsStr, path: &OsStr) -> OsString {
    let mut replaced = Vec::new();
    let mut rest = command.as_bytes();
    while let Some(at) = rest.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(path.as_bytes());
        rest = &rest[at + PLACEHOLDER.len()..];
    }
    replaced.extend_from_slice(rest);
    OsStr::from_bytes(&replaced).to_owned()
}

/// Makes a pipe that the first reader empties. Opening it blocks until there is one, so a thread does that; it is left
/// alone when nobody reads.
fn make_pipe(path: &Path, content: &Arc<Plaintext>) -> Result<PathBuf, CommandError> {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
        .map_err(|error| no_place(&error.into()))?;
    let (path, content) = (path.to_owned(), Arc::clone(content));
    let target = path.clone();
    thread::spawn(move || {
        // A reader that goes away early has what it wanted.
        let _ =
            OpenOptions::new().write(true).open(target).and_then(|mut pipe| pipe.write_all(content.expose()));
    });
    Ok(path)
}

/// Starts the command and ends as it does. Signals to this process reach it; one from the keyboard does so anyway.
fn run(mut command: Command, background: bool) -> Result<(), CommandError> {
    if background {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        return command.spawn().map(drop).map_err(|error| not_started(&error));
    }
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|error| not_started(&error))?;
    let child = command.spawn().map_err(|error| not_started(&error))?;
    let running = Arc::new(Mutex::new(Some(child.id())));
    let forwarded = Arc::clone(&running);
    thread::spawn(move || {
        for signal in signals.forever().filter(|signal| *signal != SIGINT) {
            forward(&forwarded, signal);
        }
    });
    let status = wait(child, &running).map_err(|error| not_started(&error))?;
    if status.success() {
        return Ok(());
    }
    Err(match (status.code(), status.signal()) {
        (Some(code), _) => CommandError::code(u8::try_from(code).unwrap_or(1), format!("exit status {code}")),
        (None, signal) => {
            CommandError::code(255, format!("signal: {}", signal_name(signal.unwrap_or_default())))
        }
    })
}

fn wait(mut child: Child, running: &Mutex<Option<u32>>) -> io::Result<ExitStatus> {
    let status = child.wait();
    // From here on the number may be somebody else's.
    running.lock().unwrap_or_else(PoisonError::into_inner).take();
    status
}

fn forward(running: &Mutex<Option<u32>>, signal: i32) {
    let running = running.lock().unwrap_or_else(PoisonError::into_inner);
    let child = running.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    if let (Some(child), Some(signal)) = (child, rustix::process::Signal::from_named_raw(signal)) {
        let _ = rustix::process::kill_process(child, signal);
    }
}

/// Go's words.
fn signal_name(signal: i32) -> String {
    match signal {
        1 => "hangup".to_owned(),
        2 => "interrupt".to_owned(),
        3 => "quit".to_owned(),
        6 => "aborted".to_owned(),
        9 => "killed".to_owned(),
        11 => "segmentation fault".to_owned(),
        13 => "broken pipe".to_owned(),
        15 => "terminated".to_owned(),
        other => format!("signal {other}"),
    }
}

/// Becomes another user for good: groups first, so that none of ours stays.
fn become_user(name: &str) -> Result<Account, CommandError> {
    let account =
        accounts::by_name(name).ok_or_else(|| CommandError::input(format!("user: unknown user {name}")))?;
    let groups: Vec<Gid> = accounts::groups(&account).into_iter().map(Gid::from_raw).collect();
    let switch = || -> nix::Result<()> {
        setgroups(&groups)?;
        setgid(Gid::from_raw(account.gid))?;
        setuid(Uid::from_raw(account.uid))
    };
    switch().map_err(|error| {
        CommandError::input(format!("cannot become {name}: {}", error.desc().to_lowercase()))
            .hint("only root may take another user's identity")
    })?;
    Ok(account)
}

fn set_identity(command: &mut Command, user: Option<&Account>) {
    if let Some(user) = user {
        command.env("HOME", &user.home).env("USER", &user.name).env("LOGNAME", &user.name);
    }
}
