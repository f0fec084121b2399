//! Sprig's arithmetic.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
