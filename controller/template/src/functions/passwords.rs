//! Password hashes and derived passwords.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
