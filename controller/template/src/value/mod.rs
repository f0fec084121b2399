//! What a template computes with: Go's values, with their Go types.

mod collections;
mod structure;
mod text;
mod time;
mod types;

use std::rc::Rc;

pub(crate) use collections::ENTRY_BYTES;
pub use collections::{List, Map};
pub use structure::{Struct, StructKind};
pub use text::Text;
pub use time::{Civil, Time, duration_text};
pub use types::{IntKind, Type, UintKind};

use crate::error::FunctionError;
use sealops_formats::Plaintext;

/// A value of Go. Cloning is cheap; a map is shared by its clones, as in Go.
///
/// There is no `Debug` or `Display`: what a value holds may be secret.
#[derive(Clone)]
pub enum Value {
    /// No value at all (Go's invalid `reflect.Value`): a missing key. Functions see [`Value::Nil`] in its place, except
    /// where a parameter is a [`Type::Reflect`].
    Missing,
    /// A nil interface.
    Nil,
    /// `bool`
    Bool(bool),
    /// `int`, `int8` … `int64`
    Int(IntKind, i64),
    /// `uint`, `uint8` … `uint64`
    Uint(UintKind, u64),
    /// `float64`
    Float(f64),
    /// `string`: any bytes
    String(Text),
    /// `[]uint8`
    Bytes(Text),
    /// A slice other than `[]uint8`.
    List(List),
    /// A map with string keys.
    Map(Map),
    /// `time.Time`
    Time(Rc<Time>),
    /// `time.Duration` in nanoseconds
    Duration(i64),
    /// A named struct or a pointer to one.
    Struct(Rc<Struct>),
}

impl Value {
    /// Makes an `int`.
    pub fn int(value: i64) -> Self {
        Self::Int(IntKind::Int, value)
    }

    /// Makes an `int64`.
    pub fn int64(value: i64) -> Self {
        Self::Int(IntKind::Int64, value)
    }

    /// Makes a `string`. Bytes that were counted by nobody else are to be charged first ([`crate::Context::text`]).
    pub fn string(bytes: impl Into<Text>) -> Self {
        Self::String(bytes.into())
    }

    /// Makes a `map[string]string`, the root of a Sealed Secrets or External Secrets template.
    pub fn of_strings<'a>(entries: impl IntoIterator<Item = (&'a str, &'a Plaintext)>) -> Self {
        Self::Map(Map::of_strings(
            entries.into_iter().map(|(key, value)| (Text::from(key), Text::from(value.duplicate()))),
        ))
    }

    /// Returns the Go type, `None` for [`Value::Missing`] and [`Value::Nil`].
    pub fn type_of(&self) -> Option<Type> {
        Some(match self {
            Self::Missing | Self::Nil => return None,
            Self::Bool(_) => Type::Bool,
            Self::Int(kind, _) => Type::Int(*kind),
            Self::Uint(kind, _) => Type::Uint(*kind),
            Self::Float(_) => Type::Float,
            Self::String(_) => Type::String,
            Self::Bytes(_) => Type::BYTES,
            Self::List(list) => Type::List(list.element()),
            Self::Map(map) => Type::Map(map.element()),
            Self::Time(_) => Type::Time,
            Self::Duration(_) => Type::Duration,
            Self::Struct(value) => Type::Struct(value.type_name),
        })
    }

    /// Returns the type as Go's `%T` prints it.
    pub fn type_name(&self) -> String {
        self.type_of().map_or_else(|| "<nil>".to_owned(), |kind| kind.to_string())
    }

    /// Returns the kind as `reflect.Kind` prints it: `int`, `slice`, `map`, `struct`, `ptr`, `invalid`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Struct(value) if value.kind == StructKind::Pointer => "ptr",
            other => other.type_of().map_or("invalid", |kind| kind.kind_name()),
        }
    }

    /// Returns whether this is [`Value::Nil`] or [`Value::Missing`].
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil | Self::Missing)
    }

    /// Returns whether Go's templates take the value for true: `template.IsTrue`.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(_, value) | Self::Duration(value) => *value != 0,
            Self::Uint(_, value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::String(text) | Self::Bytes(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Time(_) | Self::Struct(_) => true,
        }
    }
}

/// What a function with a checked signature takes its arguments by. The errors cannot occur there.
macro_rules! accessor {
    ($($(#[$doc:meta])* $name:ident -> $type:ty { $($pattern:pat => $value:expr),+ $(,)? })+) => {
        impl Value {
            $($(#[$doc])*
            ///
            /// # Errors
            /// Where the value is of another type.
            pub fn $name(&self) -> Result<$type, FunctionError> {
                match self {
                    $($pattern => Ok($value),)+
                    other => Err(FunctionError::wrong_type(stringify!($name), other)),
                }
            })+
        }
    };
}

accessor! {
    /// The bytes of a `string`.
    as_text -> &Text { Self::String(text) => text }
    /// A `bool`.
    as_bool -> bool { Self::Bool(value) => *value }
    /// Any signed integer.
    as_int -> i64 { Self::Int(_, value) => *value, Self::Duration(value) => *value }
    /// A `float64`.
    as_float -> f64 { Self::Float(value) => *value }
    /// A list that is not `[]uint8`.
    as_list -> &List { Self::List(list) => list }
    /// A map.
    as_map -> &Map { Self::Map(map) => map }
    /// A `time.Time`.
    as_time -> &Time { Self::Time(time) => time.as_ref() }
    /// A struct.
    as_struct -> &Struct { Self::Struct(value) => value.as_ref() }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<Text> for Value {
    fn from(value: Text) -> Self {
        Self::String(value)
    }
}

impl From<List> for Value {
    fn from(value: List) -> Self {
        Self::List(value)
    }
}

impl From<Map> for Value {
    fn from(value: Map) -> Self {
        Self::Map(value)
    }
}
