//! Checksums.

use aws_lc_rs::digest::{self, Algorithm};

use super::Function;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

const STRING: &[Type] = &[Type::String];

pub(crate) const TABLE: &[Function] = &[
    Function::new("sha1sum", STRING, |context, args| {
        hex_digest(context, &digest::SHA1_FOR_LEGACY_USE_ONLY, &args[0])
    }),
    Function::new("sha256sum", STRING, |context, args| hex_digest(context, &digest::SHA256, &args[0])),
    Function::new("sha512sum", STRING, |context, args| hex_digest(context, &digest::SHA512, &args[0])),
    Function::new("adler32sum", STRING, |context, args| {
        let text = args[0].as_text()?.as_bytes();
        context.charge_steps(text.len() as u64 / 16)?;
        let (low, high) = text.iter().fold((1u32, 0u32), |(low, high), byte| {
            let low = (low + u32::from(*byte)) % ADLER_MODULUS;
            (low, (high + low) % ADLER_MODULUS)
        });
        context.text((high << 16 | low).to_string())
    }),
];

/// The largest prime below 2^16 (RFC 1950).
const ADLER_MODULUS: u32 = 65_521;

fn hex_digest(
    context: &mut Context<'_>,
    algorithm: &'static Algorithm,
    value: &Value,
) -> Result<Value, FunctionError> {
    let text = value.as_text()?.as_bytes();
    context.charge_steps(text.len() as u64 / 64)?;
    let sum = digest::digest(algorithm, text);
    let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    context.text(hex)
}
