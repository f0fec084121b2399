//! Sprig's `kindOf`, `typeOf`, `deepEqual` and kin.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
