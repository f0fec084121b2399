//! sprig's `encryptAES` and `decryptAES`: AES-256-CBC under a password that is cut or filled with zeros to 32 bytes.
//!
//! No MAC protects the text, so a changed one decrypts to something else. That is upstream's format.

use aws_lc_rs::cipher::{
    AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use sealops_formats::{Plaintext, base64};
use zeroize::Zeroizing;

use super::Function;
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

const BLOCK: usize = 16;

/// `encryptAES`, `decryptAES`.
pub(crate) const TABLE: &[Function] = &[
    Function::new("encryptAES", &[Type::String, Type::String], encrypt_value),
    Function::new("decryptAES", &[Type::String, Type::String], decrypt_value),
];

fn encrypt_value(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (password, text) = (args[0].as_text()?, args[1].as_text()?);
    if text.is_empty() {
        return context.text(Plaintext::default());
    }
    context.charge_bytes(3 * text.len())?;
    let mut iv = [0; BLOCK];
    context.random()?.fill(&mut iv)?;
    let encrypted = encrypt(password.as_bytes(), text.as_bytes(), iv);
    context.text(encrypted.ok_or_else(|| FunctionError::failed("the text cannot be encrypted"))?)
}

fn decrypt_value(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let (password, text) = (args[0].as_text()?, args[1].as_text()?);
    if text.is_empty() {
        return context.text(Plaintext::default());
    }
    context.charge_bytes(2 * text.len())?;
    let bytes = base64::decode(text.as_bytes()).map_err(|error| FunctionError::failed(error.to_string()))?;
    let decrypted = decrypt(password.as_bytes(), bytes.expose());
    context.text(decrypted.ok_or_else(|| FunctionError::failed("the text cannot be decrypted"))?)
}

fn key(password: &[u8]) -> Option<UnboundCipherKey> {
    let mut key = Zeroizing::new([0; 32]);
    let used = password.len().min(key.len());
    key[..used].copy_from_slice(&password[..used]);
    UnboundCipherKey::new(&AES_256, &*key).ok()
}

fn encrypt(password: &[u8], text: &[u8], iv: [u8; BLOCK]) -> Option<Plaintext> {
    let padding = BLOCK - text.len() % BLOCK;
    let mut bytes = Zeroizing::new(Vec::with_capacity(BLOCK + text.len() + padding));
    bytes.extend_from_slice(&iv);
    bytes.extend_from_slice(text);
    bytes.resize(BLOCK + text.len() + padding, u8::try_from(padding).ok()?);
    EncryptingKey::cbc(key(password)?)
        .ok()?
        .less_safe_encrypt(&mut bytes[BLOCK..], EncryptionContext::Iv128(FixedLength::from(iv)))
        .ok()?;
    Some(base64::encode(&bytes))
}

/// Decrypts and removes as many bytes as the last one says, without a look at the others: as sprig does.
fn decrypt(password: &[u8], bytes: &[u8]) -> Option<Plaintext> {
    let (iv, text) = bytes.split_first_chunk::<BLOCK>()?;
    if text.is_empty() || text.len() % BLOCK != 0 {
        return None;
    }
    let mut text = Zeroizing::new(text.to_vec());
    DecryptingKey::cbc(key(password)?)
        .ok()?
        .decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(*iv)))
        .ok()?;
    let padding = usize::from(*text.last()?);
    Some(text[..text.len().checked_sub(padding)?].into())
}
