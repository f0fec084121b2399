//! Keys of SOPS that this machine holds: age identities where SOPS looks for them, GnuPG, plugins. No network, no async.
//!
//! ```text
//!   MasterKey + part ──LocalKeys::wrap──► text          age: in the process; PGP: gpg, or built in; age1NAME1…: plugin
//!   MasterKey + text ──LocalKeys::unwrap──► part        identities are loaded once, when the first is wanted
//! ```

mod age_keys;
mod age_plugin;
#[cfg(unix)]
mod agent;
mod environment;
mod gnupg;
pub(crate) mod program;
mod words;

use std::sync::Arc;

pub use environment::Environment;
use sealops_crypto::sops::{KeyPart, MasterKey};
use sealops_formats::Plaintext;

/// Asks a person. What cannot be asked is `None`.
pub trait Prompt: Send + Sync {
    /// Asks for something secret, with nothing shown while it is typed.
    fn passphrase(&self, question: &str) -> Option<Plaintext>;

    /// Asks for something that may be seen.
    fn text(&self, question: &str) -> Option<String>;

    /// Asks for one of two answers; the second may be missing.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool>;

    /// Tells something.
    fn message(&self, text: &str);
}

/// Asks nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn passphrase(&self, _: &str) -> Option<Plaintext> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn message(&self, _: &str) {}
}

/// Access to the keys of this machine.
pub struct LocalKeys {
    age: age_keys::AgeKeys,
    pgp: gnupg::PgpKeys,
}

impl LocalKeys {
    /// Takes what the process was given; nothing is read or started before a key is wanted.
    pub fn new(environment: Environment, prompt: Arc<dyn Prompt>) -> Self {
        let environment = Arc::new(environment);
        Self {
            age: age_keys::AgeKeys::new(Arc::clone(&environment), prompt),
            pgp: gnupg::PgpKeys::new(environment),
        }
    }

    /// Encrypts a part of a data key.
    ///
    /// # Errors
    /// Returns SOPS's words for why not, or that this is no key of this machine.
    pub fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<String, String> {
        match key {
            MasterKey::Age { recipient } => self.age.wrap(recipient, part.plaintext()),
            MasterKey::Pgp { fingerprint } => self.pgp.wrap(fingerprint, part.plaintext()),
            other => Err(not_local(other)),
        }
    }

    /// Decrypts a part of a data key.
    ///
    /// # Errors
    /// Returns SOPS's words for why not, or that this is no key of this machine.
    pub fn unwrap(&self, key: &MasterKey, wrapped: &str) -> Result<KeyPart, String> {
        match key {
            MasterKey::Age { recipient } => self.age.unwrap(recipient, wrapped).map(KeyPart::new),
            MasterKey::Pgp { .. } => self.pgp.unwrap(wrapped).map(KeyPart::new),
            other => Err(not_local(other)),
        }
    }

    /// Checks that a key can be used for encryption at all, before a file is read: age recipients have checksums.
    ///
    /// # Errors
    /// Returns SOPS's words for what is wrong.
    pub fn check(key: &MasterKey) -> Result<(), String> {
        match key {
            MasterKey::Age { recipient } => sealops_crypto::age::Recipient::parse(recipient)
                .map(|_| ())
                .map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }
}

fn not_local(key: &MasterKey) -> String {
    format!("keys of the list {} are not kept on this machine", key.list())
}
