//! Texts in and out, and the one type that may hold a secret.
//!
//! This crate knows no keys and no ciphers. A leaf of a parsed document cannot be printed: it is a [`Plaintext`],
//! and every error names a place (line, column, key path) and never a value.

pub mod base64;
pub mod manifest;
pub mod percent;
mod plaintext;
pub mod tree;

pub use plaintext::Plaintext;
