//! Sprig's dictionary functions.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
