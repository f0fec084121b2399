//! What Go's `strconv`, `unicode` and `utf8` know and Rust does not: texts of any bytes, Go's syntax and its categories.

pub(crate) mod float;
pub(crate) mod letters;
pub(crate) mod number;
pub(crate) mod quote;
pub(crate) mod runes;
