//! File paths as text.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
