//! gpg-agent, as far as SOPS uses it: the passphrase of an age identity file, cached under a name (Assuan protocol).

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use sealops_formats::{Plaintext, percent};

use super::{Environment, program};

/// Longest line of the protocol, in bytes; the agent's limit is 1000.
const MAX_LINE_BYTES: u64 = 4096;

/// A connection.
pub(super) struct Agent {
    stream: BufReader<UnixStream>,
    environment: Environment,
}

impl Agent {
    /// Connects, where an agent listens.
    pub(super) fn connect(environment: &Environment) -> Option<Self> {
        let stream = UnixStream::connect(socket(environment)?).ok()?;
        stream.set_read_timeout(Some(program::TIMEOUT)).ok()?;
        let mut agent = Self { stream: BufReader::new(stream), environment: environment.clone() };
        agent.line()?.expose().starts_with(b"OK").then_some(agent)
    }

    /// Asks for a passphrase; the agent asks the person if it does not know it.
    pub(super) fn passphrase(&mut self, cache_id: &str, question: &str) -> Option<Plaintext> {
        for (option, variable) in [("display", "DISPLAY"), ("ttyname", "GPG_TTY"), ("ttytype", "TERM")] {
            if let Some(value) = self.environment.set_variable(variable).and_then(|value| value.to_str()) {
                self.command(&format!("OPTION {option}={value}"))?;
            }
        }
        let question = escaped(question);
        let answer =
            self.command(&format!("GET_PASSPHRASE {} X Passphrase {question}", escaped(cache_id)))?;
        let digits = answer.expose().strip_prefix(b"OK ").unwrap_or_default();
        let mut passphrase = Plaintext::with_capacity(digits.len() / 2);
        for pair in digits.as_chunks::<2>().0 {
            let digits = std::str::from_utf8(pair).ok()?;
            passphrase.push(&[u8::from_str_radix(digits, 16).ok()?]);
        }
        if passphrase.is_empty() {
            self.forget(cache_id);
        }
        Some(passphrase)
    }

    /// Takes a passphrase out of the cache.
    pub(super) fn forget(&mut self, cache_id: &str) {
        // Nothing depends on it but the next question.
        let _ = self.command(&format!("CLEAR_PASSPHRASE {}", escaped(cache_id)));
    }

    /// Sends a line; returns the answer, or `None` where it is an error.
    fn command(&mut self, line: &str) -> Option<Plaintext> {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).ok()?;
        loop {
            let answer = self.line()?;
            match answer.expose() {
                text if text.starts_with(b"OK") => return Some(answer),
                text if text.starts_with(b"ERR") => return None,
                // Comments and status lines.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> Option<Plaintext> {
        let mut line = Plaintext::default();
        let mut bytes = Vec::new();
        (&mut self.stream).take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).ok()?;
        let bytes = Plaintext::from(bytes);
        line.push(bytes.expose().strip_suffix(b"\n")?);
        Some(line)
    }
}

/// Finds the socket where SOPS looks for it.
fn socket(environment: &Environment) -> Option<PathBuf> {
    if let Some(info) = environment.variable("GPG_AGENT_INFO") {
        let path = info.to_str()?.split(':').next().filter(|path| !path.is_empty())?;
        return Some(PathBuf::from(path));
    }
    let at_home = environment.home()?.join(".gnupg/S.gpg-agent");
    let is_socket = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket(&at_home) {
        return Some(at_home);
    }
    let runtime = environment.set_variable("XDG_RUNTIME_DIR")?;
    Some(Path::new(runtime).join("gnupg/S.gpg-agent"))
}

/// Escapes a word of the protocol.
fn escaped(text: &str) -> String {
    percent::encode(text, b" ").replace(' ', "+")
}
