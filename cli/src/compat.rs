//! Foreign command lines, turned into the same library calls.

pub(crate) mod kubeseal;
mod pflag;
pub(crate) mod sops;
mod urfave;
