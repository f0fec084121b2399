//! Go's built-in functions.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
