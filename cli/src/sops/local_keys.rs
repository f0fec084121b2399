//! The keys of this machine: age identities and PGP.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::Plaintext;
use sealops_providers::local::{Environment, LocalKeys, Prompt};
use zeroize::Zeroizing;

use super::keyring::KeyAccess;

/// Returns access to age and PGP keys. Nothing is read or started before a key is wanted.
pub(crate) fn local() -> Box<dyn KeyAccess> {
    Box::new(Local(LocalKeys::new(environment(), terminal())))
}

/// Returns what asks on the terminal.
pub(crate) fn terminal() -> Arc<dyn Prompt> {
    Arc::new(Terminal)
}

/// Returns the environment in which keys are searched.
pub(crate) fn environment() -> Environment {
    Environment::new(env::vars_os())
}

struct Local(LocalKeys);

impl KeyAccess for Local {
    fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<String, String> {
        self.0.wrap(key, part)
    }

    fn unwrap(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, String> {
        self.0.unwrap(key, wrapped)
    }
}

/// Asks on the terminal, which is not stdin: that may be the file.
struct Terminal;

/// Files that are worked on at once ask one after the other.
static ASKING: Mutex<()> = Mutex::new(());

impl Terminal {
    fn open() -> Option<(File, BufReader<File>)> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let reader = BufReader::new(terminal.try_clone().ok()?);
        Some((terminal, reader))
    }
}

impl Prompt for Terminal {
    fn passphrase(&self, question: &str) -> Option<Plaintext> {
        let _one = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut terminal, mut reader) = Self::open()?;
        // Before the question: an answer that comes at once is neither shown nor dropped.
        let quiet = Quiet::new(terminal.try_clone().ok()?)?;
        write!(terminal, "{question} ").ok()?;
        let mut line = Zeroizing::new(String::with_capacity(1024));
        let read = reader.read_line(&mut line).ok();
        drop(quiet);
        let _ = writeln!(terminal);
        read.filter(|count| *count > 0).map(|_| Plaintext::from(line.trim_end_matches(['\n', '\r'])))
    }

    fn text(&self, question: &str) -> Option<String> {
        let _one = ASKING.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut terminal, mut reader) = Self::open()?;
        write!(terminal, "{question} ").ok()?;
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        Some(line.trim_end().to_owned())
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let choice = no.map(|no| format!(", n: {no}")).unwrap_or_default();
        let answer = self.text(&format!("{question} (y: {yes}{choice})"))?;
        Some(answer.trim().eq_ignore_ascii_case("y"))
    }

    fn message(&self, text: &str) {
        crate::ui::note(text);
    }
}

/// No echo, as long as it lives.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: File) -> Option<Self> {
        let before = tcgetattr(terminal.as_fd()).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal.as_fd(), OptionalActions::Flush, &quiet).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal.as_fd(), OptionalActions::Flush, &self.before);
    }
}
