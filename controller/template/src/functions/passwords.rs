//! Password hashes, and passwords derived from a master password.

use aws_lc_rs::{digest, hmac};
use sealops_formats::{Plaintext, base64};
use zeroize::Zeroizing;

use super::{Function, Origin};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, UintKind, Value};

/// bcrypt's cost, as Go's default.
const BCRYPT_COST: u32 = 10;
/// Longest password that bcrypt takes.
const BCRYPT_MAX_BYTES: usize = 72;
/// Steps that one bcrypt (60 ms) costs: 20 to a template.
const BCRYPT_STEPS: u64 = 50_000;
/// Steps that one scrypt (100 ms, 32 MiB while it runs) costs: 10 to a template.
const SCRYPT_STEPS: u64 = 100_000;

/// `bcrypt`, `htpasswd`, `derivePassword`.
pub(crate) const TABLE: &[Function] = &[
    Function::new("bcrypt", &[Type::String], |context, args| {
        let hash = bcrypt_hash(context, args[0].as_text()?.as_bytes())?;
        context.text(hash)
    }),
    Function::new("htpasswd", &[Type::String; 2], |context, args| htpasswd(context, args, false))
        .only(Origin::SealedSecrets),
    Function::new("htpasswd", &[Type::String; 3], |context, args| {
        let sha = args[2].as_text()?.as_bytes() == b"sha";
        htpasswd(context, args, sha)
    })
    .only(Origin::ExternalSecrets),
    Function::new(
        "derivePassword",
        &[Type::Uint(UintKind::Uint32), Type::String, Type::String, Type::String, Type::String],
        derive,
    ),
];

/// A failure is a text in the result, as sprig has it.
fn bcrypt_hash(context: &mut Context<'_>, password: &[u8]) -> Result<Plaintext, FunctionError> {
    if password.len() > BCRYPT_MAX_BYTES {
        return Ok("failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".into());
    }
    context.charge_steps(BCRYPT_STEPS)?;
    let mut salt = [0; 16];
    context.random()?.fill(&mut salt)?;
    let hash = bcrypt::hash_with_salt(password, BCRYPT_COST, salt)
        .map_err(|_| FunctionError::failed("the password cannot be hashed"))?;
    Ok(hash.format_for_version(bcrypt::Version::TwoA).into())
}

/// An unusable user name is a text in the result, as sprig has it.
fn htpasswd(context: &mut Context<'_>, args: &[Value], sha: bool) -> Result<Value, FunctionError> {
    let (user, password) = (args[0].as_text()?.as_bytes(), args[1].as_text()?.as_bytes());
    let mut out = Plaintext::default();
    if user.contains(&b':') {
        out.push(b"invalid username: ");
        out.push(user);
        return context.text(out);
    }
    out.push(user);
    out.push(b":");
    if sha {
        out.push(b"{SHA}");
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password);
        out.push(base64::encode(hash.as_ref()).expose());
    } else {
        out.push(bcrypt_hash(context, password)?.expose());
    }
    context.text(out)
}

const SEED: &[u8] = b"com.lyndir.masterpassword";

/// The Master Password algorithm, version 0 (masterpassword.app): which characters make which kind of password.
const KINDS: [(&[u8], &[&[u8]]); 6] = [
    (b"maximum", &[b"anoxxxxxxxxxxxxxxxxx", b"axxxxxxxxxxxxxxxxxno"]),
    (
        b"long",
        &[
            b"CvcvnoCvcvCvcv",
            b"CvcvCvcvnoCvcv",
            b"CvcvCvcvCvcvno",
            b"CvccnoCvcvCvcv",
            b"CvccCvcvnoCvcv",
            b"CvccCvcvCvcvno",
            b"CvcvnoCvccCvcv",
            b"CvcvCvccnoCvcv",
            b"CvcvCvccCvcvno",
            b"CvcvnoCvcvCvcc",
            b"CvcvCvcvnoCvcc",
            b"CvcvCvcvCvccno",
            b"CvccnoCvccCvcv",
            b"CvccCvccnoCvcv",
            b"CvccCvccCvcvno",
            b"CvcvnoCvccCvcc",
            b"CvcvCvccnoCvcc",
            b"CvcvCvccCvccno",
            b"CvccnoCvcvCvcc",
            b"CvccCvcvnoCvcc",
            b"CvccCvcvCvccno",
        ],
    ),
    (b"medium", &[b"CvcnoCvc", b"CvcCvcno"]),
    (b"short", &[b"Cvcn"]),
    (b"basic", &[b"aaanaaan", b"aannaaan", b"aaannaaa"]),
    (b"pin", &[b"nnnn"]),
];

fn class(letter: u8) -> &'static [u8] {
    match letter {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// An unknown kind is a text in the result, as sprig has it.
fn derive(context: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    let Value::Uint(_, counter) = args[0] else {
        return Err(FunctionError::wrong_type("uint32", &args[0]));
    };
    let counter = u32::try_from(counter).map_err(|_| FunctionError::wrong_type("uint32", &args[0]))?;
    let kind = args[1].as_text()?.as_bytes();
    let [password, user, site] = [&args[2], &args[3], &args[4]].map(Value::as_text);
    let Some((_, templates)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let mut out = Plaintext::from("cannot find password template ");
        out.push(kind);
        return context.text(out);
    };
    context.charge_steps(SCRYPT_STEPS)?;
    let salt = salted(user?.as_bytes(), &[])?;
    let mut key = Zeroizing::new([0; 64]);
    scrypt::Params::new(15, 8, 2)
        .ok()
        .and_then(|parameters| {
            scrypt::scrypt(password.ok()?.as_bytes(), salt.expose(), &parameters, &mut *key).ok()
        })
        .ok_or_else(|| FunctionError::failed("the password cannot be derived"))?;
    let message = salted(site?.as_bytes(), &counter.to_be_bytes())?;
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*key), message.expose());
    let seed = seed.as_ref();
    let template = templates[usize::from(seed[0]) % templates.len()];
    let mut out = Plaintext::with_capacity(template.len());
    for (letter, byte) in template.iter().zip(&seed[1..]) {
        let class = class(*letter);
        out.push(&[class[usize::from(*byte) % class.len()]]);
    }
    context.text(out)
}

/// Returns the seed, a text with its length before it, and what follows.
fn salted(text: &[u8], rest: &[u8]) -> Result<Plaintext, FunctionError> {
    let length = u32::try_from(text.len()).map_err(|_| FunctionError::failed("the text is too long"))?;
    let mut out = Plaintext::with_capacity(SEED.len() + 4 + text.len() + rest.len());
    for part in [SEED, &length.to_be_bytes(), text, rest] {
        out.push(part);
    }
    Ok(out)
}
