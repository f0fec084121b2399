//! Formats and keys: synchronous, no network, no files, no environment, no clock.
//!
//! What this crate needs from outside comes as an argument; randomness comes from AWS-LC's generator, which the OAEP
//! encryption uses anyway.

pub mod random;
pub mod sealing;
pub mod sops;
