//! The type that the generator of `formats/tests` returns; it is shared by path.

use sealops_formats::tree::Format;

/// A text in a format, and how it shall be written.
#[allow(dead_code, reason = "the other test binary uses all of it")]
pub(crate) struct Request {
    pub(crate) format: Format,
    pub(crate) output: Format,
    pub(crate) indent: Option<i32>,
    pub(crate) input: Vec<u8>,
    pub(crate) encrypted: bool,
}
