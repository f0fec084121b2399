//! Formats and keys: synchronous, no network, no files, no environment, no clock.
//!
//! What this crate needs from outside comes as an argument. Randomness is one where the algorithm allows it; RSA-OAEP, age
//! and OpenPGP take the generators of their libraries.
//!
//! The modules `age` and `pgp` are behind the feature `local-keys`: they bring `rsa` 0.9.

#[cfg(feature = "local-keys")]
pub mod age;
#[cfg(feature = "local-keys")]
pub mod pgp;
pub mod pkcs12;
pub mod random;
pub mod sealing;
pub mod serving;
pub mod sops;
