//! The command line from outside, in an environment of its own.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test fails; clippy sees only functions marked as tests"
)]
#![allow(clippy::print_stdout, reason = "what was compared how often belongs into the log")]

mod anywhere;
mod backup;
mod bad_input;
mod canary;
mod check;
mod kubeseal;
mod kubeseal_table;
mod live;
mod many_manifests;
mod names;
mod oracle;
mod render_stores;
mod resealing;
mod sandbox;
mod seal;
mod security;
mod sops;
mod terminal;
mod unseal;
