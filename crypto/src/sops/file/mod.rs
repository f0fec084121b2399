//! A file is in one of three states, and the type says which.
//!
//! ```text
//!   Tree ──ClearFile::new──► ClearFile ──encrypt──► EncryptedFile ──into_tree──► Tree (with metadata)
//!   Tree ──EncryptedFile::new──► EncryptedFile ──recovery──► DataKey
//!                                EncryptedFile ──open(DataKey)──► OpenFile ──seal──► EncryptedFile
//! ```

mod clear;
mod encrypted;
mod encryption;
mod open;
mod problems;

pub use clear::{ClearFile, EncryptionSettings};
pub use encrypted::EncryptedFile;
pub use open::OpenFile;
pub use problems::{ClearFileError, EncryptError, MacError, OpenError, Warning};
