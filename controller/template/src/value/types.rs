//! Go's types, as far as templates meet them.

use std::fmt;

/// A signed integer type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are Go's")]
pub enum IntKind {
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
}

/// An unsigned integer type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are Go's")]
pub enum UintKind {
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

/// The type of a value, of a list's elements, or of a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// `interface {}`
    Any,
    /// `reflect.Value`: a parameter that takes anything, [`super::Value::Missing`] too. No value has this type.
    Reflect,
    /// `bool`
    Bool,
    /// `int` and its sized kin
    Int(IntKind),
    /// `uint` and its sized kin
    Uint(UintKind),
    /// `float64`
    Float,
    /// `string`
    String,
    /// `[]T`
    List(&'static Type),
    /// `map[string]T`
    Map(&'static Type),
    /// `time.Time`
    Time,
    /// `time.Duration`
    Duration,
    /// A named struct or pointer to one, such as `sprig.certificate`.
    Struct(&'static str),
}

impl Type {
    /// `int`
    pub const INT: Self = Self::Int(IntKind::Int);
    /// `int64`
    pub const INT64: Self = Self::Int(IntKind::Int64);
    /// `[]uint8`
    pub const BYTES: Self = Self::List(&Self::Uint(UintKind::Uint8));
    /// `[]interface {}`
    pub const LIST: Self = Self::List(&Self::Any);
    /// `[]string`
    pub const STRINGS: Self = Self::List(&Self::String);
    /// `[]int`
    pub const INTS: Self = Self::List(&Self::INT);
    /// `map[string]interface {}`
    pub const DICT: Self = Self::Map(&Self::Any);
    /// `map[string]string`
    pub const STRING_MAP: Self = Self::Map(&Self::String);

    /// Returns whether nil may stand for a value of this type.
    pub fn can_be_nil(self) -> bool {
        match self {
            Self::Any | Self::Reflect | Self::List(_) | Self::Map(_) => true,
            Self::Struct(name) => name.starts_with('*'),
            _ => false,
        }
    }

    /// Returns the kind as `reflect.Kind` prints it.
    pub fn kind_name(self) -> &'static str {
        match self {
            Self::Any => "interface",
            Self::Reflect | Self::Time => "struct",
            Self::Bool => "bool",
            Self::Int(kind) => kind.name(),
            Self::Uint(kind) => kind.name(),
            Self::Float => "float64",
            Self::String => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Duration => "int64",
            Self::Struct(name) if name.starts_with('*') => "ptr",
            Self::Struct(_) => "struct",
        }
    }
}

impl IntKind {
    /// Returns Go's name.
    pub fn name(self) -> &'static str {
        ["int", "int8", "int16", "int32", "int64"][self as usize]
    }

    /// Keeps the bits that the type has.
    pub fn wrap(self, value: i64) -> i64 {
        match self {
            Self::Int | Self::Int64 => value,
            Self::Int8 => i64::from(value as i8),
            Self::Int16 => i64::from(value as i16),
            Self::Int32 => i64::from(value as i32),
        }
    }
}

impl UintKind {
    /// Returns Go's name.
    pub fn name(self) -> &'static str {
        ["uint", "uint8", "uint16", "uint32", "uint64"][self as usize]
    }

    /// Keeps the bits that the type has.
    pub fn wrap(self, value: u64) -> u64 {
        match self {
            Self::Uint | Self::Uint64 => value,
            Self::Uint8 => u64::from(value as u8),
            Self::Uint16 => u64::from(value as u16),
            Self::Uint32 => u64::from(value as u32),
        }
    }
}

/// Writes the type as Go's `%T` does.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("interface {}"),
            Self::Reflect => f.write_str("reflect.Value"),
            Self::List(element) => write!(f, "[]{element}"),
            Self::Map(element) => write!(f, "map[string]{element}"),
            Self::Time => f.write_str("time.Time"),
            Self::Duration => f.write_str("time.Duration"),
            Self::Struct(name) => f.write_str(name),
            other => f.write_str(other.kind_name()),
        }
    }
}
