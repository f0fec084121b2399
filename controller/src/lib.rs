//! The sealops controller: unseals Sealed Secrets, syncs External Secrets, and keeps their targets true.

#![forbid(unsafe_code)]

pub mod admission;
pub mod directory;
pub mod external;
pub mod harden;
pub mod object;
pub mod outcome;
pub mod pflag;
pub mod restarts;
pub mod sealed;
pub mod templates;

#[cfg(feature = "cluster")]
pub mod cluster;

/// Annotation on a SealedSecret that names the key which sealed it: a hint, written by `sealops seal`, never trusted.
/// Upstream's controller ignores it.
pub const HINT_ANNOTATION: &str = "sealops.io/sealing-key";
