//! Identity files by SOPS's rules: one identity a line, `#` comments, in variables also several a line.

use ::age::armor::ArmoredReader;
use ::age::secrecy::SecretString;
use aws_lc_rs::digest;
use sealops_formats::Plaintext;

use super::hybrid::HybridIdentity;
use super::{AgeError, Identity, decrypt_up_to, plugin_name};

/// Largest identity file, in bytes.
pub const MAX_IDENTITY_BYTES: usize = 16 << 20;
/// Most work that a passphrase may ask for, as a power of two: age's own limit.
const MAX_WORK_FACTOR: u8 = 22;

/// One identity of a file.
pub enum ParsedIdentity {
    /// One that this crate can use.
    Native(Box<dyn Identity + Send + Sync>),
    /// One that the program `age-plugin-NAME` uses.
    Plugin {
        /// The plugin's name.
        name: String,
        /// The identity itself: a handle, and for some plugins a secret.
        identity: Plaintext,
    },
}

impl std::fmt::Debug for ParsedIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native(_) => f.write_str("Native"),
            Self::Plugin { name, .. } => write!(f, "Plugin({name:?})"),
        }
    }
}

/// Why a text holds no usable identities. Says the line, and nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Larger than [`MAX_IDENTITY_BYTES`].
    #[error("file too long")]
    TooLarge,
    /// Not UTF-8.
    #[error("the text is not UTF-8")]
    NotText,
    /// Another prefix. The words are SOPS's.
    #[error("unknown identity type")]
    Unknown {
        /// Line, from 1.
        line: usize,
    },
    /// Broken.
    #[error("malformed secret key on line {line}")]
    Malformed {
        /// Line, from 1.
        line: usize,
    },
}

/// Reads identities; with `several_per_line` a line may hold more than one, with blanks between.
///
/// # Errors
/// Returns the first line that holds none; the whole text counts as unusable then, as in SOPS.
pub fn parse_identities(
    text: &Plaintext,
    several_per_line: bool,
) -> Result<Vec<ParsedIdentity>, IdentityError> {
    if text.len() > MAX_IDENTITY_BYTES {
        return Err(IdentityError::TooLarge);
    }
    let text = text.expose_str().ok_or(IdentityError::NotText)?;
    let mut identities = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if several_per_line {
            for word in line.split_whitespace() {
                identities.push(parse(word, index + 1)?);
            }
        } else {
            identities.push(parse(line, index + 1)?);
        }
    }
    Ok(identities)
}

fn parse(text: &str, line: usize) -> Result<ParsedIdentity, IdentityError> {
    let malformed = || IdentityError::Malformed { line };
    if text.starts_with("AGE-PLUGIN-") {
        // AGE-PLUGIN-NAME-1…
        let name =
            plugin_name(text, "AGE-PLUGIN-").and_then(|name| name.strip_suffix('-').map(str::to_owned));
        let name = name.filter(|name| !name.is_empty()).ok_or_else(malformed)?;
        return Ok(ParsedIdentity::Plugin { name, identity: text.into() });
    }
    if text.starts_with("AGE-SECRET-KEY-PQ-1") {
        let identity = HybridIdentity::parse(text).ok_or_else(malformed)?;
        return Ok(ParsedIdentity::Native(Box::new(identity)));
    }
    if text.starts_with("AGE-SECRET-KEY-1") {
        let identity: ::age::x25519::Identity = text.parse().map_err(|_| malformed())?;
        return Ok(ParsedIdentity::Native(Box::new(identity)));
    }
    Err(IdentityError::Unknown { line })
}

/// Returns whether a text is an age file itself: identities under a passphrase.
pub fn is_encrypted_identity_file(text: &Plaintext) -> bool {
    text.expose().starts_with(b"age-encryption") || text.expose().starts_with(b"-----BEGIN AGE")
}

/// Returns the name under which gpg-agent caches the passphrase of an identity file: the one that SOPS uses.
pub fn passphrase_cache_id(text: &Plaintext) -> String {
    let mut binary = Plaintext::default();
    // A broken armour gives another name, and the file will not open anyway.
    let _ = std::io::copy(&mut ArmoredReader::new(text.expose()), &mut binary);
    let hash = digest::digest(&digest::SHA256, binary.expose());
    // 25 bytes, so that the name is short enough for the agent (RFC 4648 section 6, no padding needed).
    let mut name = "SopsAge".to_owned();
    for chunk in hash.as_ref()[..25].chunks_exact(5) {
        let bits = chunk.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let index = usize::try_from(bits >> (5 * place) & 31).unwrap_or(0);
            name.push(char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[index]));
        }
    }
    name
}

/// Decrypts an identity file; what comes out is read by [`parse_identities`].
///
/// # Errors
/// Returns why the passphrase does not open it.
pub fn decrypt_identity_file(text: &Plaintext, passphrase: &Plaintext) -> Result<Plaintext, AgeError> {
    let passphrase = passphrase.expose_str().ok_or(AgeError::Passphrase("the passphrase is not UTF-8"))?;
    let mut identity = ::age::scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    let identity: &dyn Identity = &identity;
    match decrypt_up_to(text.expose(), std::iter::once(identity), MAX_IDENTITY_BYTES) {
        Err(AgeError::NoMatch) => Err(AgeError::Passphrase("incorrect passphrase")),
        other => other,
    }
}
