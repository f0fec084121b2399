//! Runs one command to its end and prints what it cost as one line of JSON.
//!
//! ```text
//!   bench-launch FILE-FOR-STDOUT PROGRAM ARGUMENT…
//! ```
//!
//! The kernel counts the memory of the process that spawns as the child's, up to the moment of exec: so whoever spawns
//! must be small. What this program needs itself (about 2 MB) is the least that can be measured.
#![forbid(unsafe_code)]

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "bench-launch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let usage = || io::Error::other("usage: bench-launch FILE-FOR-STDOUT PROGRAM ARGUMENT…");
    let output = File::create(arguments.next().ok_or_else(usage)?)?;
    let mut command = Command::new(arguments.next().ok_or_else(usage)?);
    command.args(arguments).stdin(Stdio::null()).stdout(output);
    let started = Instant::now();
    let status = command.status()?;
    let wall = started.elapsed().as_micros();
    // The one child of this process, and its children.
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = microseconds(usage.user_time()) + microseconds(usage.system_time());
    writeln!(
        io::stdout(),
        "{{\"cpu_us\":{cpu},\"wall_us\":{wall},\"max_rss_kib\":{},\"success\":{}}}",
        usage.max_rss(),
        status.success()
    )
}

fn microseconds(time: TimeVal) -> i64 {
    time.tv_sec() * 1_000_000 + time.tv_usec()
}
