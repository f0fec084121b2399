//! A signal in the middle of work on many files: what is in hand is finished, nothing new is begun.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::CommandError;

/// What shells add to a signal's number.
const SIGNAL_CODE: u8 = 128;

/// The first signal that asks this process to end. A second one ends it at once.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    /// Fails where the process may have no handlers.
    pub(crate) fn watch() -> io::Result<Self> {
        let (number, caught) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds nothing to end.
            flag::register_conditional_shutdown(
                signal,
                i32::from(SIGNAL_CODE) + signal,
                Arc::clone(&caught),
            )?;
            flag::register(signal, Arc::clone(&caught))?;
            flag::register_usize(signal, Arc::clone(&number), usize::try_from(signal).unwrap_or_default())?;
        }
        Ok(Self(number))
    }

    /// Returns the exit code, 128 and the signal's number, once there was a signal.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        let signal = u8::try_from(self.0.load(Ordering::Relaxed)).unwrap_or_default();
        (signal != 0).then(|| SIGNAL_CODE.saturating_add(signal))
    }

    /// Fails once there was a signal, with its exit code.
    ///
    /// # Errors
    /// Says that nothing was written.
    pub(crate) fn check(&self) -> Result<(), CommandError> {
        self.exit_code()
            .map_or(Ok(()), |code| Err(CommandError::code(code, "interrupted; nothing was written")))
    }
}
