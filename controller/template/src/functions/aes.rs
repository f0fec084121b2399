//! `encryptAES` and `decryptAES`.

use super::Function;

pub(crate) const TABLE: &[Function] = &[];
