//! JSON.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
