//! Making keys and certificates.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
