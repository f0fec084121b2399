//! Named structs.

use super::{Text, Value};

/// Whether Go has the struct itself or a pointer to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StructKind {
    /// A struct.
    Struct,
    /// A pointer to a struct.
    Pointer,
}

/// A value of a named Go type with fields, such as the result of `genCA` or `semver`.
///
/// Methods without arguments (`Major` of `*semver.Version`) are fields here.
pub struct Struct {
    /// The type as `%T` prints it: `sprig.certificate`, `*semver.Version`.
    pub type_name: &'static str,
    /// Struct or pointer.
    pub kind: StructKind,
    /// Exported fields, in Go's order, and methods without arguments.
    pub fields: Vec<(&'static str, Value)>,
    /// What the `String` method returns, where the type has one. Printing uses it in place of the fields.
    pub display: Option<Text>,
}

impl Struct {
    /// Returns a field.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}
