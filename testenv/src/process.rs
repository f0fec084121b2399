//! Server processes: started with a log file, awaited with a deadline, ended by process id.
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running server. Dropping it kills it; it dies too when the test process itself is killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    guard: Child,
}

impl Process {
    /// Starts `command` with both outputs going to `LOG_DIR/NAME.log` (appended to after a restart) and no input.
    ///
    /// # Errors
    /// If the log cannot be written or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log_dir: &Path) -> Result<Self> {
        let log = log_dir.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}: is the disk full?", log.display()))?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name} ({program}): run testenv/preflight.sh"))?;
        let guard = spawn_guard(child.id()).context("cannot start sh")?;
        Ok(Self { name: name.to_owned(), log, child, guard })
    }

    /// Blocks until `probe` says true, asking every 20 ms.
    ///
    /// # Errors
    /// If the process exits first or `timeout` (stretched) passes; the error ends with the tail of the log.
    pub fn wait_until(&mut self, timeout: Duration, mut probe: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + stretched(timeout);
        while !probe() {
            self.check(deadline)?;
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// As [`Process::wait_until`], for a probe that talks through an asynchronous client.
    ///
    /// # Errors
    /// As [`Process::wait_until`].
    pub async fn wait_until_async(
        &mut self,
        timeout: Duration,
        mut probe: impl AsyncFnMut() -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + stretched(timeout);
        while !probe().await {
            self.check(deadline)?;
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Returns the exit status if the process has ended.
    ///
    /// # Errors
    /// If the system refuses to say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            // The number may soon be another process's.
            self.dismiss_guard();
        }
        Ok(status)
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    /// If the system refuses the signal.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.dismiss_guard();
        Ok(())
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// If the process is still there after `timeout` (stretched).
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + stretched(timeout);
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} ignores SIGTERM for {:?}\n{}", self.name, stretched(timeout), self.log_tail());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends SIGSTOP: connections are accepted but never answered, as by a server that hangs.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Sends SIGCONT, which undoes [`Process::pause`].
    ///
    /// # Errors
    /// If the process has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the processor time used so far, in user and kernel mode together (ticks of 10 ms).
    ///
    /// # Errors
    /// If the process has ended and was reaped.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = self.proc_file("stat")?;
        // The second field is the program's name in parentheses and may hold spaces: count from behind it (proc(5)).
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let (user, kernel) = ticks(11).zip(ticks(12)).context("unexpected form of /proc/PID/stat")?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_millis((user + kernel) * 1000 / per_second))
    }

    /// Returns the resident set in bytes.
    ///
    /// # Errors
    /// If the process has ended and was reaped.
    pub fn rss_bytes(&self) -> Result<u64> {
        self.status_bytes("VmRSS:")
    }

    /// Returns the largest memory so far, in bytes, without the pages of files: those of the program itself, which the
    /// kernel takes back when memory is short.
    ///
    /// # Errors
    /// If the process has ended and was reaped.
    pub fn peak_memory_bytes(&self) -> Result<u64> {
        Ok(self.status_bytes("VmHWM:")?.saturating_sub(self.status_bytes("RssFile:")?))
    }

    fn status_bytes(&self, field: &str) -> Result<u64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse::<u64>().ok());
        Ok(kib.with_context(|| format!("no {field} in /proc/PID/status: the process has ended"))? * 1024)
    }

    /// Returns everything the process has written.
    ///
    /// # Errors
    /// If the log is gone.
    pub fn log(&self) -> Result<String> {
        let bytes =
            std::fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn check(&mut self, deadline: Instant) -> Result<()> {
        if let Some(status) = self.exited()? {
            let how = status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
            bail!("{} ended before it was ready ({how})\n{}", self.name, self.log_tail());
        }
        if Instant::now() > deadline {
            bail!(
                "{} is not ready in time (slow machine: raise SEALOPS_TEST_DEADLINE_FACTOR)\n{}",
                self.name,
                self.log_tail()
            );
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        format!("--- end of {}\n{tail}", self.log.display())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("process id out of range")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}: it has ended", self.name))
    }

    fn proc_file(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("{path}: {} has ended", self.name))
    }

    fn dismiss_guard(&mut self) {
        // Both fail only if the guard has gone already, which is what is wanted.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.dismiss_guard();
    }
}

/// Stretches a deadline by `SEALOPS_TEST_DEADLINE_FACTOR` (a number, 1 by default), for slow or loaded machines.
pub fn stretched(timeout: Duration) -> Duration {
    let factor =
        std::env::var("SEALOPS_TEST_DEADLINE_FACTOR").ok().and_then(|text| text.parse().ok()).unwrap_or(1.0);
    timeout.mul_f64(factor)
}

/// Asks `probe` every 20 ms until it returns a value; `what` says in the error what did not happen.
///
/// # Errors
/// If `timeout` (stretched) passes.
pub async fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + stretched(timeout);
    loop {
        if let Some(value) = probe().await {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("not within {:?}: {what}", stretched(timeout));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Starts a shell that kills `pid` as soon as this process is gone, however it ended: servers kept in a `static` are
/// never dropped, and a killed test drops nothing. The shell reads a pipe that only this process holds open.
fn spawn_guard(pid: u32) -> std::io::Result<Child> {
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$0\""])
        .arg(pid.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

const POLL: Duration = Duration::from_millis(20);
const TAIL_LINES: usize = 25;
