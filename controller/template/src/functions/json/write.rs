//! Writing JSON.

use sealops_formats::{Plaintext, base64};

use crate::context::Context;
use crate::error::FunctionError;
use crate::functions::dates::rfc3339;
use crate::go::float;
use crate::go::runes::iterate;
use crate::value::Value;

/// How JSON is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) enum Style {
    /// Compact, with `<`, `>` and `&` escaped.
    Html,
    /// The same with an indentation of two.
    Pretty,
    /// Compact, with nothing escaped that need not be.
    Raw,
}

/// Encodes a value.
///
/// # Errors
/// Floats that JSON has no form for; the budget.
pub(in crate::functions) fn encode(
    context: &mut Context<'_>,
    value: &Value,
    style: Style,
) -> Result<Plaintext, FunctionError> {
    let mut writer = Writer { context, style, out: Plaintext::default() };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer<'c, 'a> {
    context: &'c mut Context<'a>,
    style: Style,
    out: Plaintext,
}

impl Writer<'_, '_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), FunctionError> {
        self.context.charge_bytes(bytes.len())?;
        self.out.push(bytes);
        Ok(())
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<(), FunctionError> {
        self.context.check_depth(depth)?;
        match value {
            Value::Missing | Value::Nil => self.push(b"null"),
            Value::Bool(value) => self.push(if *value { b"true" } else { b"false" }),
            Value::Int(_, value) | Value::Duration(value) => self.push(value.to_string().as_bytes()),
            Value::Uint(_, value) => self.push(value.to_string().as_bytes()),
            Value::Float(value) => self.float(*value),
            Value::String(text) => self.text(text.as_bytes()),
            Value::Bytes(bytes) => {
                self.push(b"\"")?;
                self.push(base64::encode(bytes.as_bytes()).expose())?;
                self.push(b"\"")
            }
            Value::List(list) if list.is_nil() => self.push(b"null"),
            Value::List(list) => self.block(*b"[]", depth, list.len(), |writer, index| {
                writer.value(&list.items()[index], depth + 1)
            }),
            Value::Map(map) if map.is_nil() => self.push(b"null"),
            Value::Map(map) => {
                let entries = map.entries();
                self.block(*b"{}", depth, entries.len(), |writer, index| {
                    let (key, value) = &entries[index];
                    writer.member(key.as_bytes(), value, depth)
                })
            }
            Value::Time(time) => self.text(rfc3339(time)?.as_bytes()),
            Value::Struct(value) => match &value.display {
                Some(text) => self.text(text.as_bytes()),
                None => self.block(*b"{}", depth, value.fields.len(), |writer, index| {
                    let (name, value) = &value.fields[index];
                    writer.member(name.as_bytes(), value, depth)
                }),
            },
        }
    }

    fn member(&mut self, name: &[u8], value: &Value, depth: usize) -> Result<(), FunctionError> {
        self.text(name)?;
        self.push(if self.style == Style::Pretty { b": " } else { b":" })?;
        self.value(value, depth + 1)
    }

    fn block(
        &mut self,
        braces: [u8; 2],
        depth: usize,
        count: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), FunctionError>,
    ) -> Result<(), FunctionError> {
        self.push(&braces[..1])?;
        for index in 0..count {
            if index > 0 {
                self.push(b",")?;
            }
            self.line(depth + 1)?;
            item(self, index)?;
        }
        if count > 0 {
            self.line(depth)?;
        }
        self.push(&braces[1..])
    }

    fn line(&mut self, depth: usize) -> Result<(), FunctionError> {
        if self.style != Style::Pretty {
            return Ok(());
        }
        self.push(b"\n")?;
        (0..depth).try_for_each(|_| self.push(b"  "))
    }

    fn float(&mut self, value: f64) -> Result<(), FunctionError> {
        if !value.is_finite() {
            return Err(FunctionError::failed("json: unsupported value: a number that is not finite"));
        }
        let size = value.abs();
        let exponential = size != 0.0 && !(1e-6..1e21).contains(&size);
        let mut text = Vec::new();
        float::format(value, if exponential { b'e' } else { b'f' }, None, &mut text);
        // e-09 becomes e-9.
        if let [.., b'e', b'-', b'0', _] = text[..] {
            text.remove(text.len() - 2);
        }
        self.push(&text)
    }

    fn text(&mut self, text: &[u8]) -> Result<(), FunctionError> {
        self.push(b"\"")?;
        let mut plain = 0;
        for (at, rune, width) in iterate(text) {
            let Some(escape) = escape(rune, self.style) else { continue };
            self.push(&text[plain..at])?;
            self.push(escape.as_bytes())?;
            plain = at + width;
        }
        self.push(&text[plain..])?;
        self.push(b"\"")
    }
}

fn escape(rune: Option<char>, style: Style) -> Option<String> {
    Some(match rune {
        None => "\\ufffd".into(),
        Some(rune @ ('"' | '\\')) => format!("\\{rune}"),
        Some('\u{8}') => "\\b".into(),
        Some('\u{c}') => "\\f".into(),
        Some('\n') => "\\n".into(),
        Some('\r') => "\\r".into(),
        Some('\t') => "\\t".into(),
        Some(rune @ ('\0'..='\x1f' | '\u{2028}' | '\u{2029}')) => format!("\\u{:04x}", u32::from(rune)),
        Some(rune @ ('<' | '>' | '&')) if style != Style::Raw => format!("\\u{:04x}", u32::from(rune)),
        Some(_) => return None,
    })
}
