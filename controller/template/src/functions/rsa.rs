//! `rsaDecrypt`.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA512_MGF1SHA512, OaepPrivateDecryptingKey,
};
use sealops_formats::Plaintext;
use zeroize::Zeroizing;

use super::keys::PrivateKey;
use super::{Function, Origin, pem};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

/// Steps that one operation with a private key costs.
const STEPS: u64 = 50_000;

/// `rsaDecrypt`.
pub(crate) const TABLE: &[Function] =
    &[Function::new("rsaDecrypt", &[Type::String; 4], decrypt_value).only(Origin::ExternalSecrets)];

fn decrypt_value(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let [scheme, hash, text, key] = [&args[0], &args[1], &args[2], &args[3]].map(Value::as_text);
    let (scheme, hash, text, key) = (scheme?.as_bytes(), hash?.as_bytes(), text?, key?);
    match scheme {
        b"None" => Ok(Value::String(text.clone())),
        b"RSA-OAEP" => {
            context.charge_steps(STEPS)?;
            let plain = decrypt(hash, text.as_bytes(), key.as_bytes()).map_err(FunctionError::failed)?;
            context.text(plain)
        }
        _ => Err(FunctionError::failed("this decryption scheme is not supported (None and RSA-OAEP are)")),
    }
}

/// Decrypts without a label. Whatever does not fit, ciphertext or padding, gives the same text.
fn decrypt(hash: &[u8], ciphertext: &[u8], key: &[u8]) -> Result<Plaintext, String> {
    const FAILED: &str = "error decrypting data with RSA: crypto/rsa: decryption error";
    let (Some(block), _) = pem::decode(key) else { return Err("failed to decode PEM block".to_owned()) };
    let key = PrivateKey::from_der(block.bytes.expose())
        .map_err(|error| format!("could not parse private key: {error}"))?;
    if !matches!(key, PrivateKey::Rsa(_)) {
        return Err("could not parse RSA private key".to_owned());
    }
    let key = OaepPrivateDecryptingKey::new(key.rsa_for_decryption()?).map_err(|_| FAILED)?;
    let algorithm = match hash {
        b"SHA1" => &OAEP_SHA1_MGF1SHA1,
        b"SHA512" => &OAEP_SHA512_MGF1SHA512,
        _ => &OAEP_SHA256_MGF1SHA256, // upstream: also for every name that it does not know
    };
    let size = key.key_size_bytes();
    let missing = size.checked_sub(ciphertext.len()).ok_or(FAILED)?;
    let padded = [vec![0; missing], ciphertext.to_vec()].concat();
    let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
    let plain = key.decrypt(algorithm, &padded, &mut buffer, None).map_err(|_| FAILED)?;
    Ok((&*plain).into())
}
