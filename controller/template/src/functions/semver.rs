//! Semantic versions.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
