//! Regular expressions in Go's dialect.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
