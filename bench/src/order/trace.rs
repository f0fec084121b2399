//! A call with a breakpoint at the start of every function.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls::Call;
use crate::map::Function;

/// x86's instruction for a breakpoint.
const BREAKPOINT: u8 = 0xcc;

/// Returns the functions that a call runs, in the order of their first runs. The call must not start threads: they would
/// meet breakpoints that nobody handles. Its processes are not followed.
///
/// # Errors
/// If it fails, or cannot be traced.
pub(crate) fn trace<'a>(call: &Call, functions: &'a [Function]) -> Result<Vec<&'a Function>> {
    // A shell that stops itself and becomes the program when it is let go.
    let child = Command::new("/bin/sh")
        .args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""])
        .arg(&call.program)
        .args(&call.arguments)
        .env_clear()
        .envs(call.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&call.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let process = Pid::from_raw(child.id().try_into()?);
    waitpid(process, Some(WaitPidFlag::WUNTRACED))?;
    let options = Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_EXITKILL;
    ptrace::seize(process, options)?;
    kill(process, Signal::SIGCONT)?;
    run(process, functions)
}

fn run(process: Pid, functions: &[Function]) -> Result<Vec<&Function>> {
    let mut waiting = Waiting::new();
    let mut hits = Vec::new();
    let mut programs = 0;
    loop {
        match waitpid(process, None)? {
            WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => {
                programs += 1;
                // A call may become another program at its end.
                waiting = if programs == 1 { set_breakpoints(process, functions)? } else { Waiting::new() };
                ptrace::cont(process, None)?;
            }
            WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_FORK as i32 => {
                let child = Pid::from_raw(ptrace::getevent(process)?.try_into()?);
                waitpid(child, None)?;
                let memory = OpenOptions::new().write(true).open(format!("/proc/{child}/mem"))?;
                for (address, (instruction, _)) in &waiting {
                    memory.write_all_at(&[*instruction], *address)?;
                }
                ptrace::detach(child, None)?;
                ptrace::cont(process, None)?;
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP) if !waiting.is_empty() => {
                hits.push(pass(process, &mut waiting)?);
                ptrace::cont(process, None)?;
            }
            WaitStatus::Stopped(_, signal) => ptrace::cont(process, signal)?,
            WaitStatus::PtraceEvent(..) => ptrace::cont(process, None)?,
            WaitStatus::Exited(_, 0) => return Ok(hits),
            ended @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                bail!("the call ended with {ended:?}")
            }
            _ => {}
        }
    }
}

/// What stood in the place of a breakpoint, and whose it is.
type Waiting<'a> = HashMap<u64, (u8, &'a Function)>;

fn set_breakpoints(process: Pid, functions: &[Function]) -> Result<Waiting<'_>> {
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{process}/mem"))?;
    functions
        .iter()
        .map(|function| {
            let mut instruction = [0];
            memory
                .read_exact_at(&mut instruction, function.address)
                .with_context(|| function.section.clone())?;
            memory.write_all_at(&[BREAKPOINT], function.address)?;
            Ok((function.address, (instruction[0], function)))
        })
        .collect()
}

/// Takes away the breakpoint at which the process stands.
#[cfg(not(target_arch = "x86_64"))]
fn pass<'a>(_: Pid, _: &mut Waiting<'a>) -> Result<&'a Function> {
    bail!("functions are traced on x86-64 only")
}

/// Takes away the breakpoint at which the process stands.
#[cfg(target_arch = "x86_64")]
fn pass<'a>(process: Pid, waiting: &mut Waiting<'a>) -> Result<&'a Function> {
    let mut registers = ptrace::getregs(process)?;
    registers.rip -= 1;
    let Some((instruction, function)) = waiting.remove(&registers.rip) else {
        bail!("a trap at {:x}, where no breakpoint is", registers.rip);
    };
    let memory = OpenOptions::new().write(true).open(format!("/proc/{process}/mem"))?;
    memory.write_all_at(&[instruction], registers.rip)?;
    ptrace::setregs(process, registers)?;
    ensure!(instruction != BREAKPOINT, "{} begins with a breakpoint of its own", function.section);
    Ok(function)
}
