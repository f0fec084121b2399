//! YAML, External Secrets only.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
