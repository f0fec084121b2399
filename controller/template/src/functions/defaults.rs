//! Sprig's `default`, `empty`, `coalesce`, `ternary` and kin.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
