//! The test environment tests itself: each part starts, answers, and says so clearly when it does not.
#![allow(clippy::unwrap_used)]
mod control_plane;
mod faults;
mod peers;
mod processes;
mod servers;
mod sources;
