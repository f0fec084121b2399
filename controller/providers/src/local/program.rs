//! Programs that are asked: with a limit on their time and on what they say.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sealops_formats::Plaintext;

use super::Environment;

/// Longest time that a program may take, a person typing a passphrase included.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);
/// Most that a program may write to one stream, in bytes: identity files may have 16 MiB.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;
/// How often a running program is looked at: its output has ended by then, so this is short.
const POLL: Duration = Duration::from_millis(2);

/// What a program said.
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    /// May be secret.
    pub(crate) stdout: Plaintext,
    pub(crate) stderr: String,
}

/// Runs a program with an input. It gets exactly the environment that was given.
///
/// # Errors
/// Returns why it could not be started or did not end.
pub(crate) fn run(
    program: &OsStr,
    arguments: &[&str],
    environment: &Environment,
    more: &[(&str, &str)],
    input: &Plaintext,
) -> Result<Output, String> {
    run_within(TIMEOUT, program, arguments, environment, more, input)
}

/// As [`run`], with another limit on its time.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_within(
    limit: Duration,
    program: &OsStr,
    arguments: &[&str],
    environment: &Environment,
    more: &[(&str, &str)],
    input: &Plaintext,
) -> Result<Output, String> {
    let name = program.display();
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment.variables()).envs(more.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("exec: \"{name}\": executable file not found in $PATH"),
        _ => format!("cannot start {name}: {error}"),
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program that does not read its input says so by its status.
                let _ = stdin.write_all(input.expose());
            }
        });
        let stdout = scope.spawn(move || read(stdout));
        let stderr = scope.spawn(move || read(stderr));
        let status = wait(&mut child, limit)
            .ok_or_else(|| format!("{name} did not end within {} seconds and was stopped", limit.as_secs()));
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        Ok(Output {
            status: status?,
            stdout,
            stderr: String::from_utf8_lossy(stderr.expose()).trim().to_owned(),
        })
    })
}

/// Waits for the end; kills a program that takes too long, so that its streams end, too.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if started.elapsed() < limit => thread::sleep(POLL),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn read(stream: Option<impl Read>) -> Plaintext {
    let mut text = Plaintext::default();
    if let Some(stream) = stream {
        // A broken stream ends like a short one; the status decides.
        let _ = std::io::copy(&mut stream.take(MAX_OUTPUT_BYTES), &mut text);
    }
    text
}
