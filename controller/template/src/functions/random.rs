//! Random numbers, texts and identifiers. All of it comes from the caller's [`crate::Random`].

use sealops_formats::{Plaintext, base64};

use super::Function;
use crate::context::{Context, Random};
use crate::error::FunctionError;
use crate::value::{Type, Value};

/// `randAlphaNum` and its kin, `randInt`, `randBytes`, `shuffle`, `uuidv4`.
pub(crate) const TABLE: &[Function] = &[
    Function::new("randAlphaNum", &[Type::INT], |context, args| {
        characters(context, args, |byte| byte.is_ascii_alphanumeric())
    }),
    Function::new("randAlpha", &[Type::INT], |context, args| {
        characters(context, args, |byte| byte.is_ascii_alphabetic())
    }),
    Function::new("randNumeric", &[Type::INT], |context, args| {
        characters(context, args, |byte| byte.is_ascii_digit())
    }),
    Function::new("randAscii", &[Type::INT], |context, args| {
        characters(context, args, |byte| (b' '..=b'~').contains(&byte))
    }),
    Function::new("randInt", &[Type::INT, Type::INT], integer),
    Function::new("randBytes", &[Type::INT], bytes),
    Function::new("shuffle", &[Type::String], shuffle),
    Function::new("uuidv4", &[], uuid),
];

/// Random bytes in small portions.
struct Bytes<'a> {
    random: &'a dyn Random,
    buffer: zeroize::Zeroizing<[u8; 64]>,
    used: usize,
}

impl<'a> Bytes<'a> {
    fn new(random: &'a dyn Random) -> Self {
        Self { random, buffer: zeroize::Zeroizing::new([0; 64]), used: 64 }
    }

    fn next(&mut self) -> Result<u8, FunctionError> {
        if self.used == self.buffer.len() {
            self.random.fill(&mut *self.buffer)?;
            self.used = 0;
        }
        self.used += 1;
        Ok(self.buffer[self.used - 1])
    }

    /// Returns a number below a bound, each equally likely.
    fn below(&mut self, bound: u64) -> Result<u64, FunctionError> {
        let unbiased = u64::MAX - u64::MAX % bound;
        loop {
            let mut number = [0; 8];
            for byte in &mut number {
                *byte = self.next()?;
            }
            let number = u64::from_le_bytes(number);
            if number < unbiased {
                return Ok(number % bound);
            }
        }
    }
}

/// A count below zero gives an empty text, as sprig, which drops the error, has it.
fn characters(
    context: &mut Context<'_>,
    args: &[Value],
    fits: fn(u8) -> bool,
) -> Result<Value, FunctionError> {
    let random = context.random()?;
    let count = usize::try_from(args[0].as_int()?).unwrap_or(0);
    context.charge_bytes(count)?;
    let alphabet: Vec<u8> = (0..128).filter(|byte| fits(*byte)).collect();
    let unbiased = 256 / alphabet.len() * alphabet.len();
    let mut source = Bytes::new(random);
    let mut out = Plaintext::with_capacity(count);
    while out.len() < count {
        let byte = usize::from(source.next()?);
        if byte < unbiased {
            out.push(&[alphabet[byte % alphabet.len()]]);
        }
    }
    context.text(out)
}

fn integer(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let random = context.random()?;
    let (min, max) = (args[0].as_int()?, args[1].as_int()?);
    let span = max.wrapping_sub(min);
    let Some(span) = u64::try_from(span).ok().filter(|span| *span > 0) else {
        return Err(FunctionError::failed("invalid argument to Intn"));
    };
    let offset = Bytes::new(random).below(span)?;
    Ok(Value::int(min.wrapping_add(offset.cast_signed())))
}

fn bytes(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let random = context.random()?;
    let count = usize::try_from(args[0].as_int()?)
        .map_err(|_| FunctionError::failed("runtime error: makeslice: len out of range"))?;
    context.charge_bytes(count.saturating_mul(3))?;
    let mut buffer = zeroize::Zeroizing::new(vec![0; count]);
    random.fill(&mut buffer)?;
    context.text(base64::encode(&buffer))
}

/// Shuffles characters; of a text that is not UTF-8 each bad byte becomes U+FFFD, as Go's runes have it.
fn shuffle(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let random = context.random()?;
    let text = args[0].as_text()?;
    context.charge_bytes(8 * text.len())?;
    let mut chars: zeroize::Zeroizing<Vec<char>> = zeroize::Zeroizing::new(runes(text.as_bytes()));
    let mut source = Bytes::new(random);
    for index in (1..chars.len()).rev() {
        let other = source.below(index as u64 + 1)?;
        chars.swap(index, usize::try_from(other).unwrap_or(index));
    }
    let mut out = Plaintext::with_capacity(4 * chars.len());
    for char in chars.iter() {
        out.push(char.encode_utf8(&mut [0; 4]).as_bytes());
    }
    context.text(out)
}

fn runes(text: &[u8]) -> Vec<char> {
    let mut runes = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        runes.extend(chunk.valid().chars());
        runes.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, chunk.invalid().len()));
    }
    runes
}

fn uuid(context: &mut Context<'_>, _: &[Value]) -> Result<Value, FunctionError> {
    let mut bytes = [0; 16];
    context.random()?.fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40; // RFC 9562: version 4
    bytes[8] = bytes[8] & 0x3f | 0x80; // and its variant
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    context.text(text.into_bytes())
}
