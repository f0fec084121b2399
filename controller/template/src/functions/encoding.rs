//! Base64, base32 and hexadecimal. What cannot be decoded gives the text of Go's error as the result.

use sealops_formats::{Plaintext, base64};

use super::Function;
use super::Origin::ExternalSecrets;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

const STRING: &[Type] = &[Type::String];

pub(crate) const TABLE: &[Function] = &[
    Function::new("b64enc", STRING, |context, args| {
        let text = args[0].as_text()?;
        context.charge_bytes(text.len().div_ceil(3) * 4)?;
        Ok(Value::string(base64::encode(text.as_bytes())))
    }),
    Function::new("b64dec", STRING, |context, args| {
        let decoded = decode_base64(args[0].as_text()?.as_bytes());
        context.text(decoded.unwrap_or_else(|at| illegal("base64", at)))
    }),
    Function::new("b32enc", STRING, |context, args| {
        let text = args[0].as_text()?;
        context.charge_bytes(text.len().div_ceil(5) * 8)?;
        Ok(Value::string(encode_base32(text.as_bytes())))
    }),
    Function::new("b32dec", STRING, |context, args| {
        let decoded = decode_base32(args[0].as_text()?.as_bytes());
        context.text(decoded.unwrap_or_else(|at| illegal("base32", at)))
    }),
    Function::new("hexdec", STRING, |context, args| decode_hex(context, args[0].as_text()?.as_bytes()))
        .only(ExternalSecrets),
];

fn illegal(name: &str, at: usize) -> Plaintext {
    Plaintext::from(format!("illegal {name} data at input byte {at}"))
}

fn is_line_end(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

fn base64_digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// `base64.StdEncoding.DecodeString`; the error is the offset that Go names.
fn decode_base64(text: &[u8]) -> Result<Plaintext, usize> {
    let mut out = Plaintext::with_capacity(text.len() / 4 * 3 + 3);
    let mut at = 0;
    let skip = |mut at: usize| {
        while text.get(at).is_some_and(|byte| is_line_end(*byte)) {
            at += 1;
        }
        at
    };
    loop {
        let (mut group, mut count) = ([0u8; 4], 0);
        while count < 4 {
            let Some(byte) = text.get(at) else {
                return if count == 0 { Ok(out) } else { Err(at - count) };
            };
            at += 1;
            if let Some(digit) = base64_digit(*byte) {
                group[count] = digit;
                count += 1;
            } else if *byte == b'=' {
                if count < 2 {
                    return Err(at - 1);
                }
                if count == 2 {
                    at = skip(at);
                    match text.get(at) {
                        None => return Err(text.len()),
                        Some(b'=') => at += 1,
                        Some(_) => return Err(at - 1),
                    }
                }
                at = skip(at);
                if at < text.len() {
                    return Err(at);
                }
                break;
            } else if !is_line_end(*byte) {
                return Err(at - 1);
            }
        }
        let bits = group.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(*digit));
        out.push(&bits.to_be_bytes()[1..count.max(1)]);
        if count < 4 {
            return Ok(out);
        }
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn encode_base32(bytes: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let bits =
            chunk.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) << (8 * (5 - chunk.len()));
        let digits = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = usize::try_from(bits >> (35 - 5 * index) & 31).unwrap_or(0);
            out.push(if index < digits { &BASE32[digit..=digit] } else { b"=" });
        }
    }
    out
}

/// `base32.StdEncoding.DecodeString`; the error is the offset that Go names, counted without line ends.
fn decode_base32(text: &[u8]) -> Result<Plaintext, usize> {
    let text = text.iter().copied().filter(|byte| !is_line_end(*byte)).collect::<Vec<u8>>();
    let text = Plaintext::from(text);
    let text = text.expose();
    let mut out = Plaintext::with_capacity(text.len() / 8 * 5 + 5);
    let mut at = 0;
    while at < text.len() {
        let (mut bits, mut count) = (0u64, 0usize);
        while count < 8 {
            let Some(byte) = text.get(at) else { return Err(at - count) };
            at += 1;
            let left = text.len() - at;
            if *byte == b'=' && count >= 2 && left < 8 {
                check_padding(text, at, count)?;
                at = text.len();
                break;
            }
            let digit = BASE32.iter().position(|digit| digit == byte).ok_or(at - 1)?;
            bits = bits << 5 | digit as u64;
            count += 1;
        }
        bits <<= 5 * (8 - count);
        out.push(&bits.to_be_bytes()[3..3 + count * 5 / 8]);
    }
    Ok(out)
}

fn check_padding(text: &[u8], at: usize, count: usize) -> Result<(), usize> {
    let left = &text[at..];
    if left.len() + count < 7 {
        return Err(text.len());
    }
    if let Some(bad) = left.iter().take(7 - count).position(|byte| *byte != b'=') {
        return Err(at + bad - 1);
    }
    if matches!(count, 1 | 3 | 6) { Err(at - 1) } else { Ok(()) }
}

/// `hex.DecodeString`
fn decode_hex(context: &mut Context<'_>, text: &[u8]) -> Result<Value, FunctionError> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if let Some(bad) = text.iter().find(|byte| digit(**byte).is_none()) {
        let rune = char::from(*bad);
        let mut shown = format!("encoding/hex: invalid byte: U+{:04X}", u32::from(rune));
        if crate::go::runes::is_print(rune) {
            shown += &format!(" '{rune}'");
        }
        return context.text(shown);
    }
    if text.len() % 2 == 1 {
        return context.text("encoding/hex: odd length hex string");
    }
    let mut out = Plaintext::with_capacity(text.len() / 2);
    for pair in text.chunks(2) {
        let value = pair.iter().filter_map(|byte| digit(*byte)).fold(0, |value, digit| value << 4 | digit);
        out.push(&[u8::try_from(value).unwrap_or(0)]);
    }
    context.text(out)
}
