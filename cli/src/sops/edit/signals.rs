//! Ctrl-C, a closed terminal, a shutdown: the edit is saved and the plaintext goes before the process does.

use std::io;
use std::process;
use std::sync::{Arc, Mutex};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Desk, lock};
use crate::sops::code;
use crate::ui;

/// Waits in a thread of its own, to the end of the process.
pub(super) fn watch(desk: &Arc<Mutex<Desk>>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let desk = Arc::clone(desk);
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            // Waits for a write that is under way.
            let desk = lock(&desk);
            desk.save();
            desk.place.remove();
            ui::note("User canceled operation");
            process::exit(i32::from(code::GENERIC));
        }
    });
    Ok(())
}
