//! PEM blocks and chains.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
