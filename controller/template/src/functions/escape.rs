//! `html`, `js`, `urlquery`.

use crate::buffer::Buffer;
use crate::context::Context;
use crate::error::FunctionError;
use crate::go::runes;
use crate::print;
use crate::value::{Text, Value};

type Called = Result<Value, FunctionError>;

/// Returns a single string as it is, anything else printed.
fn joined(context: &mut Context<'_>, arguments: &[Value]) -> Result<Text, FunctionError> {
    if let [Value::String(text)] = arguments {
        context.charge_scan(text.len())?;
        return Ok(text.clone());
    }
    let shown: Vec<Value> = arguments
        .iter()
        .map(|value| if value.is_nil() { Value::from("<no value>") } else { value.clone() })
        .collect();
    let mut out = Buffer::new();
    print::print(context, &mut out, &shown)?;
    context.charge_scan(out.len())?;
    out.into_value().as_text().cloned()
}

pub(super) fn html(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    let text = joined(context, arguments)?;
    let mut out = Buffer::new();
    for byte in text.as_bytes() {
        let escaped: &[u8] = match byte {
            0 => "\u{fffd}".as_bytes(),
            b'"' => b"&#34;",
            b'\'' => b"&#39;",
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            _ => std::slice::from_ref(byte),
        };
        out.push(context, escaped)?;
    }
    Ok(out.into_value())
}

pub(super) fn js(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    let text = joined(context, arguments)?;
    let bytes = text.as_bytes();
    let mut out = Buffer::new();
    for (at, rune, width) in runes::iterate(bytes) {
        let escaped: &[u8] = match rune.unwrap_or(runes::ERROR) {
            '\\' => br"\\",
            '\'' => br"\'",
            '"' => br#"\""#,
            '<' => br"\u003C",
            '>' => br"\u003E",
            '&' => br"\u0026",
            '=' => br"\u003D",
            rune if rune < ' ' || !rune.is_ascii() && !runes::is_print(rune) => {
                out.push(context, format!("\\u{:04X}", rune as u32).as_bytes())?;
                continue;
            }
            _ => &bytes[at..at + width],
        };
        out.push(context, escaped)?;
    }
    Ok(out.into_value())
}

pub(super) fn urlquery(context: &mut Context<'_>, arguments: &[Value]) -> Called {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let text = joined(context, arguments)?;
    let mut out = Buffer::new();
    for byte in text.as_bytes() {
        match byte {
            b' ' => out.push(context, b"+")?,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(context, std::slice::from_ref(byte))?;
            }
            _ => out.push(context, &[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])?,
        }
    }
    Ok(out.into_value())
}
