//! Sprig's string functions.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
