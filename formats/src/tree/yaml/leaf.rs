//! Scalars ready to be written.

use super::super::number::go_float;
use super::super::{Key, Scalar};
use super::text::{is_multiline, style_of};
use super::token::Style;
use crate::{Plaintext, base64};

/// Longest key that is written without `? `, in bytes.
const MAX_SIMPLE_KEY: usize = 128;
/// Characters of base64 per line.
const BASE64_LINE: usize = 70;

/// A scalar ready to be written.
pub(super) enum Leaf<'a> {
    Text(&'a [u8]),
    Binary(Plaintext),
    Word(Plaintext),
}

impl<'a> Leaf<'a> {
    pub(super) fn of(scalar: &'a Scalar) -> Self {
        match scalar {
            Scalar::Str(text) => Self::of_bytes(text.expose()),
            Scalar::Int(number) => Self::Word(number.to_string().into()),
            Scalar::Uint(number) => Self::Word(number.to_string().into()),
            Scalar::Float(number) => Self::Word(match go_float(*number, 'e') {
                text if text == "+Inf" => ".inf".into(),
                text if text == "-Inf" => "-.inf".into(),
                text if text == "NaN" => ".nan".into(),
                text => text.into(),
            }),
            Scalar::Bool(value) => Self::Word(value.to_string().into()),
            Scalar::Time(time) => Self::Word(time.to_rfc3339_nano().into()),
        }
    }

    pub(super) fn of_key(key: &'a Key) -> Self {
        match key {
            Key::Text(text) => Self::of_bytes(text.as_bytes()),
            Key::Bytes(bytes) => Self::of_bytes(bytes),
            Key::Other(Some(scalar)) => Self::of(scalar),
            Key::Other(None) => Self::Word("null".into()),
        }
    }

    fn of_bytes(bytes: &'a [u8]) -> Self {
        if std::str::from_utf8(bytes).is_ok() {
            Self::Text(bytes)
        } else {
            Self::Binary(folded_base64(bytes))
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(bytes) => bytes,
            Self::Binary(text) | Self::Word(text) => text.expose(),
        }
    }

    pub(super) fn style(&self) -> Style {
        match self {
            Self::Text(bytes) => style_of(bytes),
            Self::Word(_) => Style::Plain,
            Self::Binary(text) if text.expose().contains(&b'\n') => Style::Literal,
            Self::Binary(_) => Style::Plain,
        }
    }

    pub(super) fn tag(&self) -> Option<&'static [u8]> {
        match self {
            Self::Binary(_) => Some(b"!!binary"),
            Self::Text(b"<<") => Some(b"!!merge"),
            _ => None,
        }
    }

    pub(super) fn is_simple_key(&self) -> bool {
        let length = self.bytes().len() + self.tag().map_or(0, <[u8]>::len);
        length <= MAX_SIMPLE_KEY && !is_multiline(self.bytes())
    }
}

/// Encodes to base64; what is longer than a line is broken up, each line with its break.
fn folded_base64(bytes: &[u8]) -> Plaintext {
    let text = base64::encode(bytes);
    if text.len() < BASE64_LINE {
        return text;
    }
    let mut folded = Plaintext::with_capacity(text.len() + text.len() / BASE64_LINE + 1);
    for line in text.expose().chunks(BASE64_LINE) {
        folded.push(line);
        folded.push(b"\n");
    }
    folded
}
