//! Foreign command lines, turned into the same library calls.

pub(crate) mod kubeseal;
pub(crate) mod sops;
mod urfave;
