//! OpenPGP (RFC 9580, 4880) for data keys, built in: for where no `gpg` is, and the keys are given as texts.
//!
//! What SOPS writes and `gpg` reads: one armoured message to the encryption subkeys of one key, AES-256, with integrity
//! protection. Signatures on user names are not judged; those that bind subkeys are.
//!
//! RSA here is the `rsa` crate's, which is not constant time (RUSTSEC-2023-0071): use it where nobody measures.

use ::pgp::composed::{
    ArmorOptions, Deserializable as _, Message, MessageBuilder, SignedPublicKey, SignedPublicSubKey,
    SignedSecretKey,
};
use ::pgp::crypto::sym::SymmetricKeyAlgorithm;
use ::pgp::types::{EncryptionKey, KeyDetails as _, Password};
use rand::rngs::OsRng;
use sealops_formats::Plaintext;

/// Largest text with keys, or message, that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// Most keys of one text.
pub const MAX_KEYS: usize = 4096;

/// Why an OpenPGP operation failed. The library's messages may quote content and are left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PgpError {
    /// Larger than [`MAX_BYTES`], or more than [`MAX_KEYS`].
    #[error("the OpenPGP text is too large")]
    TooLarge,
    /// The text holds no keys.
    #[error("the text holds no OpenPGP key")]
    NoKeys,
    /// No key with that fingerprint. The words are SOPS's.
    #[error("key with fingerprint '{0}' is not available in keyring")]
    UnknownKey(String),
    /// The key cannot encrypt: no valid subkey for it.
    #[error("the key with fingerprint '{0}' has no valid subkey for encryption")]
    CannotEncrypt(String),
    /// The message is broken.
    #[error("the OpenPGP message is malformed")]
    Malformed,
    /// No key decrypts the message.
    #[error("the key could not be decrypted with any of the PGP entries")]
    NoMatch,
    /// Encryption failed.
    #[error("the OpenPGP encryption failed")]
    Encryption,
}

/// Public keys to encrypt to.
#[derive(Debug, Default)]
pub struct PublicKeys(Vec<SignedPublicKey>);

/// Secret keys to decrypt with.
#[derive(Default)]
pub struct SecretKeys {
    keys: Vec<SignedSecretKey>,
    passphrase: Plaintext,
}

impl std::fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKeys").field("count", &self.keys.len()).finish_non_exhaustive()
    }
}

impl PublicKeys {
    /// Reads armoured or binary keys; secret ones give their public half.
    ///
    /// # Errors
    /// Fails where the text holds no usable key.
    pub fn parse(text: &[u8]) -> Result<Self, PgpError> {
        if text.len() > MAX_BYTES {
            return Err(PgpError::TooLarge);
        }
        let mut keys: Vec<SignedPublicKey> = Vec::new();
        for block in blocks(text) {
            if let Ok((found, _)) = SignedPublicKey::from_reader_many(block) {
                keys.extend(found.take(MAX_KEYS).flatten());
            }
            if let Ok((found, _)) = SignedSecretKey::from_reader_many(block) {
                keys.extend(found.take(MAX_KEYS).flatten().map(|key| key.to_public_key()));
            }
        }
        keys.retain(|key| key.verify_bindings().is_ok());
        match keys.len() {
            0 => Err(PgpError::NoKeys),
            count if count > MAX_KEYS => Err(PgpError::TooLarge),
            _ => Ok(Self(keys)),
        }
    }

    /// Encrypts a part of a data key to the key with this fingerprint (with `!` to exactly this subkey), armoured.
    ///
    /// `now` is in seconds since 1970: expired keys are not encrypted to.
    ///
    /// # Errors
    /// Fails where there is no such key, or it cannot encrypt.
    pub fn encrypt(&self, fingerprint: &str, part: &Plaintext, now: i64) -> Result<String, PgpError> {
        let wanted = fingerprint.trim_end_matches('!').to_ascii_lowercase();
        let exact = fingerprint.ends_with('!');
        let names = |own: String| own == wanted || (wanted.len() >= 16 && own.ends_with(&wanted));
        let of_subkey = |subkey: &SignedPublicSubKey| names(subkey.fingerprint().to_string());
        let key = self
            .0
            .iter()
            .find(|key| names(key.fingerprint().to_string()) || key.public_subkeys.iter().any(of_subkey))
            .ok_or_else(|| PgpError::UnknownKey(fingerprint.to_owned()))?;
        // The newest subkey, as gpg chooses.
        let subkey = key
            .public_subkeys
            .iter()
            .filter(|subkey| can_encrypt(subkey, now) && (!exact || of_subkey(subkey)))
            .max_by_key(|subkey| subkey.key.created_at());
        let subkey = subkey.ok_or_else(|| PgpError::CannotEncrypt(fingerprint.to_owned()))?;
        encrypt_to(&subkey.key, part)
    }
}

/// Returns whether a subkey is meant for encryption, neither revoked nor expired.
fn can_encrypt(subkey: &SignedPublicSubKey, now: i64) -> bool {
    use ::pgp::packet::SignatureType;
    let revoked = subkey.signatures.iter().any(|own| own.typ() == Some(SignatureType::SubkeyRevocation));
    let binding = subkey.signatures.iter().rfind(|own| own.typ() == Some(SignatureType::SubkeyBinding));
    let Some(binding) = binding.filter(|_| !revoked && subkey.algorithm().can_encrypt()) else {
        return false;
    };
    let flags = binding.key_flags();
    let meant = flags.encrypt_comms() || flags.encrypt_storage();
    let expires = binding
        .key_expiration_time()
        .map(|duration| i64::from(subkey.key.created_at().as_secs()) + i64::from(duration.as_secs()));
    meant && expires.is_none_or(|end| now < end)
}

fn encrypt_to(key: &impl EncryptionKey, part: &Plaintext) -> Result<String, PgpError> {
    let fail = |_| PgpError::Encryption;
    let mut builder =
        MessageBuilder::from_bytes("", part.expose().to_vec()).seipd_v1(OsRng, SymmetricKeyAlgorithm::AES256);
    builder.encrypt_to_key(OsRng, key).map_err(fail)?;
    let text = builder.to_armored_string(OsRng, ArmorOptions::default()).map_err(fail)?;
    Ok(text.trim_end().to_owned())
}

impl SecretKeys {
    /// Reads armoured or binary secret keys, which all have the passphrase given (empty for none).
    ///
    /// # Errors
    /// Fails where the text holds no secret key.
    pub fn parse(text: &Plaintext, passphrase: Plaintext) -> Result<Self, PgpError> {
        if text.len() > MAX_BYTES {
            return Err(PgpError::TooLarge);
        }
        let mut keys: Vec<SignedSecretKey> = Vec::new();
        for block in blocks(text.expose()) {
            if let Ok((found, _)) = SignedSecretKey::from_reader_many(block) {
                keys.extend(found.take(MAX_KEYS).flatten());
            }
        }
        if keys.is_empty() { Err(PgpError::NoKeys) } else { Ok(Self { keys, passphrase }) }
    }

    /// Returns the public halves.
    pub fn public_keys(&self) -> PublicKeys {
        PublicKeys(self.keys.iter().map(SignedSecretKey::to_public_key).collect())
    }

    /// Decrypts an armoured message with the first key that fits.
    ///
    /// # Errors
    /// Fails where the text is no message, or no key fits.
    pub fn decrypt(&self, message: &[u8]) -> Result<Plaintext, PgpError> {
        if message.len() > MAX_BYTES {
            return Err(PgpError::TooLarge);
        }
        Message::from_armor(message).map_err(|_| PgpError::Malformed)?;
        let passphrase = Password::from(self.passphrase.expose());
        for key in &self.keys {
            let Ok((message, _)) = Message::from_armor(message) else { return Err(PgpError::Malformed) };
            let Ok(mut opened) = message.decrypt(&passphrase, key) else { continue };
            if opened.is_compressed() {
                opened = opened.decompress().map_err(|_| PgpError::Malformed)?;
            }
            let content = opened.as_data_vec().map_err(|_| PgpError::Malformed)?;
            return Ok(Plaintext::from(content));
        }
        Err(PgpError::NoMatch)
    }
}

/// Splits a text of several armoured blocks; binary keys are one block.
fn blocks(text: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP ";
    let starts: Vec<usize> = text
        .windows(BEGIN.len())
        .enumerate()
        .filter(|(_, window)| *window == BEGIN)
        .map(|(at, _)| at)
        .collect();
    if starts.is_empty() {
        return vec![text];
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| &text[*start..end]).collect()
}
