//! Sprig's list functions.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
