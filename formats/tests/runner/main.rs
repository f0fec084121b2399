//! Tests of the SOPS tree against SOPS's own stores.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod cells;
mod dump;
mod generate;
mod hostile;
mod metadata;
mod oracle;
mod stores;
