//! SSH keys as age identities: ssh-ed25519 and ssh-rsa, with and without a passphrase.

use std::io::BufReader;

use ::age::secrecy::SecretString;
use ::age::ssh::Identity as AgeSshIdentity;
use age_core::format::Stanza;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sealops_formats::Plaintext;

use super::{AgeError, Identity};

/// Largest private key file, in bytes.
const MAX_KEY_BYTES: usize = 1 << 20;

/// A parsed private key.
pub enum SshIdentity {
    /// Usable at once.
    Ready(Box<dyn Identity + Send + Sync>),
    /// Usable with a passphrase.
    Encrypted(EncryptedSshKey),
}

impl std::fmt::Debug for SshIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Encrypted(_) => "Encrypted",
        })
    }
}

/// A private key under a passphrase.
pub struct EncryptedSshKey {
    key: ::age::ssh::EncryptedKey,
    /// What a stanza for this key holds: its type and the start of its fingerprint.
    tag: String,
    fingerprint: String,
}

impl EncryptedSshKey {
    /// Returns whether a stanza is for this key, so that nobody is asked for a passphrase in vain.
    pub fn matches(&self, stanza: &Stanza) -> bool {
        stanza.tag == self.tag && stanza.args.first() == Some(&self.fingerprint)
    }

    /// Decrypts the key.
    ///
    /// # Errors
    /// Fails for a wrong passphrase.
    pub fn decrypt(&self, passphrase: &Plaintext) -> Result<Box<dyn Identity + Send + Sync>, AgeError> {
        let passphrase =
            passphrase.expose_str().ok_or(AgeError::Passphrase("the passphrase is not UTF-8"))?;
        let key = self
            .key
            .decrypt(SecretString::from(passphrase.to_owned()))
            .map_err(|_| AgeError::Passphrase("incorrect passphrase"))?;
        Ok(Box::new(AgeSshIdentity::from(key)))
    }
}

/// Reads a private key file.
///
/// # Errors
/// Returns why it is none that age can use.
pub fn parse_ssh_identity(text: &Plaintext) -> Result<SshIdentity, AgeError> {
    if text.len() > MAX_KEY_BYTES {
        return Err(AgeError::TooLarge);
    }
    let parsed = AgeSshIdentity::from_buffer(BufReader::new(text.expose()), None)
        .map_err(|_| AgeError::Identity("the file holds no SSH private key".to_owned()))?;
    match parsed {
        AgeSshIdentity::Unencrypted(_) => Ok(SshIdentity::Ready(Box::new(parsed))),
        AgeSshIdentity::Encrypted(key) => {
            let (tag, fingerprint) = public_part(text)
                .ok_or_else(|| AgeError::Identity("the SSH private key has no public part".to_owned()))?;
            Ok(SshIdentity::Encrypted(EncryptedSshKey { key, tag, fingerprint }))
        }
        AgeSshIdentity::Unsupported(_) => {
            Err(AgeError::Identity("SSH keys of this kind are not supported by age".to_owned()))
        }
    }
}

/// Reads the public key in front of an encrypted OpenSSH key (PROTOCOL.key); returns its type and age's name for it.
fn public_part(text: &Plaintext) -> Option<(String, String)> {
    let text = text.expose_str()?;
    let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let bytes = STANDARD.decode(body).ok()?;
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    for _ in 0..3 {
        string(&mut rest)?; // cipher, derivation, its options
    }
    rest = rest.get(4..)?; // number of keys
    let blob = string(&mut rest)?;
    let mut inner = blob;
    let tag = std::str::from_utf8(string(&mut inner)?).ok()?.to_owned();
    let hash = digest::digest(&digest::SHA256, blob);
    Some((tag, STANDARD_NO_PAD.encode(hash.as_ref().get(..4)?)))
}

/// Takes a string of the SSH wire format.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(text)
}
