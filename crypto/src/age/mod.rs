//! age (age-encryption.org/v1) for data keys: recipients, identities, one armoured message per key.
//!
//! What needs a process (plugins) or a person (passphrases) is named here and done at the edge. Randomness is the
//! operating system's: the traits of the `age` crate take no other.

mod hybrid;
mod identity;
mod ssh;

use std::io::{Read as _, Write as _};

use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
use sealops_formats::Plaintext;

pub use ::age::{Identity, Recipient as WrapRecipient};
pub use hybrid::{HybridIdentity, HybridRecipient};
pub use identity::{
    IdentityError, MAX_IDENTITY_BYTES, ParsedIdentity, decrypt_identity_file, is_encrypted_identity_file,
    parse_identities, passphrase_cache_id,
};
pub use ssh::{EncryptedSshKey, SshIdentity, parse_ssh_identity};

/// Largest armoured message that is read, in bytes. One recipient needs less than 4 KiB.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Largest content of a message: a data key or a share of one is 33 bytes.
const MAX_CONTENT_BYTES: usize = 1 << 10;

/// A parsed recipient.
pub enum Recipient {
    /// One that this crate can encrypt to.
    Native(Box<dyn WrapRecipient + Send + Sync>),
    /// One that the program `age-plugin-NAME` encrypts to.
    Plugin {
        /// The plugin's name.
        name: String,
    },
}

/// A text that is no age recipient. Recipients are public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Broken `age1…`.
    #[error("failed to parse input as Bech32-encoded age public key: malformed recipient {0:?}")]
    Malformed(String),
    /// Broken or unsupported SSH key.
    #[error("failed to parse input as age-ssh public key: {0:?}")]
    Ssh(String),
    /// A plugin's name has characters that a file name should not have.
    #[error("failed to parse input as age key from age plugin: invalid name in {0:?}")]
    Plugin(String),
    /// Another prefix.
    #[error("failed to parse input, unknown recipient type: {0:?}")]
    Unknown(String),
}

/// Why a message was not made or not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgeError {
    /// No identity fits. The words are age's.
    #[error("no identity matched any of the recipients")]
    NoMatch,
    /// The header is broken.
    #[error("the age header is invalid")]
    Header,
    /// The header was changed.
    #[error("bad header MAC")]
    HeaderMac,
    /// The armour is broken.
    #[error("the armor is invalid")]
    Armor,
    /// The content was changed or cut.
    #[error("the age message is truncated or changed")]
    Payload,
    /// Larger than [`MAX_MESSAGE_BYTES`], or the content larger than a key can be.
    #[error("the age message is larger than a wrapped data key can be")]
    TooLarge,
    /// A passphrase is needed or wrong, or asks for too much work.
    #[error("{0}")]
    Passphrase(&'static str),
    /// An identity failed while it was used.
    #[error("an identity failed: {0}")]
    Identity(String),
    /// Encryption failed.
    #[error("failed to encrypt sops data key with age: {0}")]
    Encryption(String),
}

impl Recipient {
    /// Reads a recipient by SOPS's rules.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        let malformed = || RecipientError::Malformed(text.to_owned());
        let native = |recipient| Ok(Self::Native(recipient));
        if text.starts_with("age1pq1") {
            return native(Box::new(HybridRecipient::parse(text).ok_or_else(malformed)?));
        }
        if text.starts_with("age1") && text.matches('1').count() > 1 {
            let name = plugin_name(text, "age1").ok_or_else(|| RecipientError::Plugin(text.to_owned()))?;
            return Ok(Self::Plugin { name });
        }
        if text.starts_with("age1") {
            let recipient: ::age::x25519::Recipient = text.parse().map_err(|_| malformed())?;
            return native(Box::new(recipient));
        }
        if text.starts_with("ssh-") {
            let ssh = || RecipientError::Ssh(text.to_owned());
            let recipient: ::age::ssh::Recipient = text.parse().map_err(|_| ssh())?;
            return native(Box::new(recipient));
        }
        Err(RecipientError::Unknown(text.to_owned()))
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Native(_) => f.write_str("Native"),
            Self::Plugin { name } => write!(f, "Plugin({name:?})"),
        }
    }
}

/// Returns the plugin's name: what stands between the prefix and the last `1`. It becomes part of a program's name.
fn plugin_name(text: &str, prefix: &str) -> Option<String> {
    let (name, _) = text.get(prefix.len()..)?.rsplit_once('1')?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
    let valid = !name.is_empty() && name.chars().all(fits) && !name.contains("..");
    valid.then(|| name.to_ascii_lowercase())
}

/// Encrypts a part of a data key to one recipient, as armoured text with a line feed at the end.
///
/// # Errors
/// Returns why the recipient could not encrypt.
pub fn encrypt(recipient: &dyn WrapRecipient, part: &Plaintext) -> Result<String, AgeError> {
    let fail = |error: &dyn std::fmt::Display| AgeError::Encryption(error.to_string());
    let encryptor =
        ::age::Encryptor::with_recipients(std::iter::once(recipient)).map_err(|error| fail(&error))?;
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| -> std::io::Result<()> {
        let armor = ArmoredWriter::wrap_output(out, Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(part.expose())?;
        writer.finish()?.finish()?;
        Ok(())
    };
    write(&mut out).map_err(|error| fail(&error))?;
    String::from_utf8(out).map_err(|error| fail(&error))
}

/// Decrypts an armoured (or binary) message with the first identity that fits.
///
/// # Errors
/// Returns why no identity opens it, or what is wrong with the message.
pub fn decrypt<'a>(
    message: &[u8],
    identities: impl Iterator<Item = &'a dyn Identity>,
) -> Result<Plaintext, AgeError> {
    decrypt_up_to(message, identities, MAX_CONTENT_BYTES)
}

/// Decrypts a message whose content may have up to `limit` bytes.
///
/// # Errors
/// As [`decrypt`].
pub fn decrypt_up_to<'a>(
    message: &[u8],
    identities: impl Iterator<Item = &'a dyn Identity>,
    limit: usize,
) -> Result<Plaintext, AgeError> {
    // Armour and headers make it larger than its content; each limit has room for them.
    if message.len() > MAX_MESSAGE_BYTES.max(limit.saturating_mul(2)) {
        return Err(AgeError::TooLarge);
    }
    let binary = dearmored(message)?;
    if !has_canonical_stanzas(&binary) {
        return Err(AgeError::Header);
    }
    let decryptor = ::age::Decryptor::new_buffered(binary.as_slice()).map_err(classify)?;
    let reader = decryptor.decrypt(identities).map_err(classify)?;
    let mut content = Plaintext::with_capacity(limit.min(message.len()) + 1);
    let limit_bytes = u64::try_from(limit).unwrap_or(u64::MAX);
    std::io::copy(&mut reader.take(limit_bytes + 1), &mut content).map_err(|_| AgeError::Payload)?;
    if content.len() > limit { Err(AgeError::TooLarge) } else { Ok(content) }
}

/// Returns the binary message. What is not binary must be armour, with nothing but blanks around it.
fn dearmored(message: &[u8]) -> Result<Vec<u8>, AgeError> {
    if message.starts_with(b"age-encryption.org/") {
        return Ok(message.to_vec());
    }
    if message.is_empty() {
        return Err(AgeError::Header);
    }
    let text = message.trim_ascii_start();
    if !text.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----") {
        return Err(AgeError::Armor);
    }
    let mut binary = Vec::with_capacity(text.len());
    ArmoredReader::new(text).read_to_end(&mut binary).map_err(|_| AgeError::Armor)?;
    // The reader takes what has no full first line for a binary message.
    if binary.starts_with(b"-----BEGIN") { Err(AgeError::Armor) } else { Ok(binary) }
}

/// Returns whether every stanza's body ends with a line of fewer than 64 characters, as the format asks. The `age` crate
/// accepts bodies of its first drafts, too, which have none.
fn has_canonical_stanzas(message: &[u8]) -> bool {
    let mut complete = true;
    for line in message.split(|byte| *byte == b'\n').skip(1) {
        if line.starts_with(b"---") {
            return complete;
        }
        if line.starts_with(b"-> ") {
            if !complete {
                return false;
            }
            complete = false;
        } else {
            complete = line.len() < 64;
        }
    }
    true
}

/// Maps the errors of the `age` crate, whose texts are translated to the user's language.
fn classify(error: ::age::DecryptError) -> AgeError {
    use ::age::DecryptError as E;
    match error {
        E::InvalidHeader | E::UnknownFormat => AgeError::Header,
        E::InvalidMac => AgeError::HeaderMac,
        E::NoMatchingKeys => AgeError::NoMatch,
        E::ExcessiveWork { .. } => AgeError::Passphrase("the passphrase's work factor is too large"),
        // The payload fails while it is read; this is a file key that does not open: a wrong passphrase.
        E::KeyDecryptionFailed | E::DecryptionFailed => AgeError::Passphrase("incorrect passphrase"),
        E::Io(_) => AgeError::Header,
        #[allow(
            unreachable_patterns,
            reason = "the feature `plugin`, which the edge switches on, adds variants"
        )]
        other => AgeError::Identity(other.to_string()),
    }
}
