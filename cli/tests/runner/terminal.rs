//! A command on a terminal of its own, which echoes what is typed unless the command forbids it, and somebody who types
//! (util-linux' `script` is the terminal).

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sealops_testenv::stretched;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts a shell line. `prepare` sets folder and environment.
    pub(crate) fn start(line: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("script");
        prepare(&mut command);
        command.args(["--quiet", "--return", "--flush", "--echo", "always", "--command", line, "/dev/null"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (shown, mut output) = (Arc::new(Mutex::new(String::new())), child.stdout.take().unwrap());
        let copy = Arc::clone(&shown);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
        });
        Self { child, shown, reader }
    }

    /// Waits for a text, then types a line.
    pub(crate) fn answer(&mut self, question: &str, line: &str) {
        let end = Instant::now() + stretched(PATIENCE);
        while !self.shown.lock().unwrap().contains(question) {
            let over = Instant::now() > end || self.child.try_wait().unwrap().is_some();
            assert!(!over, "{question:?} was not asked: {}", self.shown.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
        self.shown.lock().unwrap().push_str("\n-- answered --\n");
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for the end; returns the exit code and everything that was shown.
    pub(crate) fn finish(mut self) -> (i32, String) {
        let end = Instant::now() + stretched(PATIENCE);
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > end => {
                    let _ = self.child.kill();
                    panic!("it does not end: {}", self.shown.lock().unwrap());
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        self.reader.join().unwrap();
        let shown = self.shown.lock().unwrap().clone();
        (status.code().unwrap_or(-1), shown)
    }
}
