//! Leaves, and the bytes that SOPS encrypts and hashes for them.

use std::fmt;
use std::mem;
use std::ops::Deref;

use super::Time;
use super::number::plain_float;
use crate::Plaintext;

/// A leaf that has a value.
///
/// Texts are wiped on drop. Numbers are copied through registers at every move, so wiping one place would be a gesture.
pub enum Scalar {
    /// Text, or any bytes.
    Str(Plaintext),
    /// A whole number.
    Int(i64),
    /// A whole number beyond `i64` (YAML). SOPS cannot encrypt it.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A point in time with its offset (YAML).
    Time(Time),
}

/// The bytes of a leaf before encryption, copied only where the leaf is no text.
pub enum PlainBytes<'a> {
    /// The text itself.
    Borrowed(&'a Plaintext),
    /// The written form of a number, boolean or time.
    Owned(Plaintext),
}

impl PlainBytes<'_> {
    /// Returns bytes of their own.
    pub fn into_owned(self) -> Plaintext {
        match self {
            Self::Borrowed(bytes) => bytes.duplicate(),
            Self::Owned(bytes) => bytes,
        }
    }
}

/// The leaf has no form that SOPS can encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEncryptable {
    /// The number passes 64 signed bits.
    #[error("the whole number is larger than 9223372036854775807 (unknown type: uint64)")]
    Uint64,
    /// RFC 3339 cannot write the time's offset.
    #[error("the time's offset is outside of [0,23] hours")]
    TimeOffset,
}

/// Decrypted bytes are not what their type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongPlainBytes {
    /// The type is none that a leaf can have.
    #[error("the type is none of str, int, float, bool, time, bytes")]
    UnknownType,
    /// The bytes do not fit the type.
    #[error("the decrypted bytes are no {0}")]
    Malformed(&'static str),
}

impl Scalar {
    /// Returns the type in SOPS's `ENC[...]` text.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Str(_) => "str",
            Self::Int(_) | Self::Uint(_) => "int",
            Self::Float(_) => "float",
            Self::Bool(_) => "bool",
            Self::Time(_) => "time",
        }
    }

    /// Returns the name of the type as SOPS's error texts give it.
    pub fn go_type(&self) -> &'static str {
        match self {
            Self::Str(_) => "string",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint64",
            Self::Float(_) => "float64",
            Self::Bool(_) => "bool",
            Self::Time(_) => "time.Time",
        }
    }

    /// Returns the bytes that are encrypted and hashed for this leaf.
    ///
    /// # Errors
    /// Fails for a number beyond `i64` and for a time that RFC 3339 cannot write, as SOPS does.
    pub fn to_plain_bytes(&self) -> Result<PlainBytes<'_>, NotEncryptable> {
        let text = match self {
            Self::Str(text) => return Ok(PlainBytes::Borrowed(text)),
            Self::Int(number) => number.to_string(),
            Self::Uint(_) => return Err(NotEncryptable::Uint64),
            Self::Float(number) => plain_float(*number),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Time(time) => {
                if time.offset_minutes.abs() >= 24 * 60 {
                    return Err(NotEncryptable::TimeOffset);
                }
                time.to_rfc3339_nano()
            }
        };
        Ok(PlainBytes::Owned(Plaintext::from(text)))
    }

    /// As [`Scalar::to_plain_bytes`], without a copy: of a text an empty one stays behind.
    ///
    /// # Errors
    /// Those of [`Scalar::to_plain_bytes`].
    pub fn take_plain_bytes(&mut self) -> Result<Plaintext, NotEncryptable> {
        match self {
            Self::Str(text) => Ok(mem::take(text)),
            other => other.to_plain_bytes().map(PlainBytes::into_owned),
        }
    }

    /// Makes the leaf of decrypted bytes.
    ///
    /// `bytes` is a type of old files; its bytes are taken as they are.
    ///
    /// # Errors
    /// Fails where the type is unknown (`comment` is no leaf), or the bytes do not fit it.
    pub fn from_plain_bytes(type_name: &str, bytes: Plaintext) -> Result<Self, WrongPlainBytes> {
        if matches!(type_name, "str" | "bytes") {
            return Ok(Self::Str(bytes));
        }
        let text = bytes.expose_str().unwrap_or_default();
        match type_name {
            "int" => text.parse().map(Self::Int).map_err(|_| WrongPlainBytes::Malformed("whole number")),
            "float" => parse_go_float(text).map(Self::Float).ok_or(WrongPlainBytes::Malformed("number")),
            "bool" => match text {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Self::Bool(true)),
                "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Self::Bool(false)),
                _ => Err(WrongPlainBytes::Malformed("boolean")),
            },
            "time" => Time::parse_rfc3339(text).map(Self::Time).ok_or(WrongPlainBytes::Malformed("time")),
            _ => Err(WrongPlainBytes::UnknownType),
        }
    }

    /// Makes a second copy, on purpose.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Str(text) => Self::Str(text.duplicate()),
            Self::Int(number) => Self::Int(*number),
            Self::Uint(number) => Self::Uint(*number),
            Self::Float(number) => Self::Float(*number),
            Self::Bool(value) => Self::Bool(*value),
            Self::Time(time) => Self::Time(*time),
        }
    }
}

impl Deref for PlainBytes<'_> {
    type Target = Plaintext;

    fn deref(&self) -> &Plaintext {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl fmt::Debug for PlainBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainBytes")
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.go_type())
    }
}

/// Reads what Go's `ParseFloat` reads, hexadecimal numbers and underscores apart (SOPS never wrote those).
fn parse_go_float(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let overflow = number.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit());
    (!overflow).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(scalar: &Scalar) -> String {
        scalar.to_plain_bytes().unwrap().expose_str().unwrap().to_owned()
    }

    #[test]
    fn gives_the_bytes_that_sops_encrypts_and_reads_them_back() {
        let time = |text| Scalar::Time(Time::parse_rfc3339(text).unwrap());
        for (scalar, kind, bytes) in [
            (Scalar::Str("foo".into()), "str", "foo"),
            (Scalar::Int(i64::MIN), "int", "-9223372036854775808"),
            (Scalar::Float(1.0), "float", "1"),
            (Scalar::Float(1e23), "float", "100000000000000000000000"),
            (Scalar::Float(1e-7), "float", "0.0000001"),
            (Scalar::Float(-0.0), "float", "-0"),
            (Scalar::Float(f64::INFINITY), "float", "+Inf"),
            (Scalar::Float(f64::NEG_INFINITY), "float", "-Inf"),
            (Scalar::Float(f64::NAN), "float", "NaN"),
            (Scalar::Bool(true), "bool", "True"),
            (Scalar::Bool(false), "bool", "False"),
            (time("2024-01-01T00:00:00+00:00"), "time", "2024-01-01T00:00:00Z"),
            (time("2024-02-29T01:02:03.120+07:06"), "time", "2024-02-29T01:02:03.12+07:06"),
        ] {
            assert_eq!((scalar.type_name(), plain(&scalar).as_str()), (kind, bytes));
            assert_eq!(plain(&Scalar::from_plain_bytes(kind, bytes.into()).unwrap()), bytes);
        }
        assert_eq!(Scalar::Uint(u64::MAX).to_plain_bytes().unwrap_err(), NotEncryptable::Uint64);
    }

    #[test]
    fn a_text_is_taken_and_anything_else_is_written() {
        let taken = |scalar: &mut Scalar| scalar.take_plain_bytes().unwrap().expose_str().unwrap().to_owned();
        let mut text = Scalar::Str("foo".into());
        assert_eq!((taken(&mut text), taken(&mut text)), ("foo".to_owned(), String::new()));
        let mut number = Scalar::Int(7);
        assert_eq!((taken(&mut number), taken(&mut number)), ("7".to_owned(), "7".to_owned()));
        assert!(Scalar::Uint(u64::MAX).take_plain_bytes().is_err());
    }

    #[test]
    fn refuses_bytes_that_do_not_fit_their_type() {
        for (kind, bytes) in [
            ("int", "1.5"),
            ("int", "9223372036854775808"),
            ("float", "1e999"),
            ("float", "x"),
            ("bool", "yes"),
            ("time", "2024-02-30T00:00:00Z"),
            ("time", "2024-01-01 00:00:00Z"),
            ("comment", "c"),
        ] {
            assert!(Scalar::from_plain_bytes(kind, bytes.into()).is_err(), "{kind} {bytes}");
        }
        assert!(matches!(Scalar::from_plain_bytes("bytes", vec![0xff].into()), Ok(Scalar::Str(_))));
    }
}
