//! JSON Web Keys.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
