//! Base64, base32, hexadecimal.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
