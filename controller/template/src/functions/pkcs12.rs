//! PKCS#12.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
