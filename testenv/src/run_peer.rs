//! Runs a peer's command-line tool to its end, but not longer than a test can wait.
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::process::stretched;

/// What a peer said and how it ended.
#[derive(Debug)]
pub struct PeerOutput {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything on standard output.
    pub stdout: Vec<u8>,
    /// Everything on standard error, as text for messages.
    pub stderr: String,
}

impl PeerOutput {
    /// Returns standard output as text.
    ///
    /// # Errors
    /// If the peer failed, with what it said, or its output is not UTF-8.
    pub fn text(self) -> Result<String> {
        if !self.status.success() {
            bail!("the peer failed ({}): {}", self.status, self.stderr.trim());
        }
        String::from_utf8(self.stdout).context("the peer's output is not UTF-8")
    }
}

/// Runs `command` with `stdin` as its input, and kills it with all its children when it takes longer than `timeout`
/// (stretched).
///
/// # Errors
/// If the program cannot be started or hangs. That it *fails* is no error: see [`PeerOutput::status`].
pub fn run_peer(mut command: Command, stdin: &[u8], timeout: Duration) -> Result<PeerOutput> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("process id out of range")?;

    let mut input = child.stdin.take().context("no pipe to the peer")?;
    let bytes = stdin.to_vec();
    // A peer that does not read its input is no fault of the test: a broken pipe is ignored.
    let writer = thread::spawn(move || drop(input.write_all(&bytes)));
    let stdout = read_all(child.stdout.take().context("no pipe from the peer")?);
    let stderr = read_all(child.stderr.take().context("no pipe from the peer")?);
    let (ended, end) = mpsc::channel();
    let waiter = thread::spawn(move || ended.send(child.wait()));

    let timeout = stretched(timeout);
    let answer = end.recv_timeout(timeout);
    if answer.is_err() {
        kill_process_group(group, Signal::KILL).with_context(|| format!("cannot kill {program}"))?;
    }
    let _ = waiter.join();
    let _ = writer.join();
    let stdout = stdout.join().unwrap_or_default();
    let stderr = String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned();
    match answer {
        Ok(status) => Ok(PeerOutput { status: status?, stdout, stderr }),
        Err(_) => bail!("{program} still runs after {timeout:?} and was killed; it said: {}", stderr.trim()),
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is still worth showing.
        let _ = from.read_to_end(&mut bytes);
        bytes
    })
}
