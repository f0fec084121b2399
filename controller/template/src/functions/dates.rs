//! Dates and durations.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
