//! OpenPGP keys: the `gpg` program, called as SOPS calls it, or keys given as text.
//!
//! `SOPS_GPG_EXEC` names the program, `GNUPGHOME` its home. `SEALOPS_PGP_KEY` (armoured text) or `SEALOPS_PGP_KEY_FILE`
//! give keys for the built-in implementation, `SEALOPS_PGP_PASSPHRASE` their passphrase: for machines without gpg.

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use sealops_crypto::pgp::{PublicKeys, SecretKeys};
use sealops_formats::Plaintext;

use super::{Environment, program};

const KEY: &str = "SEALOPS_PGP_KEY";
const KEY_FILE: &str = "SEALOPS_PGP_KEY_FILE";
const PASSPHRASE: &str = "SEALOPS_PGP_PASSPHRASE";

/// Keys given as text; either half may be missing.
struct BuiltIn {
    secret: Option<SecretKeys>,
    public: PublicKeys,
}

pub(super) struct PgpKeys {
    environment: Arc<Environment>,
    built_in: OnceLock<Option<Result<BuiltIn, String>>>,
}

impl PgpKeys {
    pub(super) fn new(environment: Arc<Environment>) -> Self {
        Self { environment, built_in: OnceLock::new() }
    }

    pub(super) fn wrap(&self, fingerprint: &str, part: &Plaintext) -> Result<String, String> {
        let mut reasons = Vec::new();
        match self.built_in() {
            None => {}
            Some(Err(reason)) => reasons.push(reason.clone()),
            Some(Ok(keys)) => match keys.public.encrypt(fingerprint, part, now()) {
                Ok(text) => return Ok(text),
                Err(error) => reasons.push(format!("built-in OpenPGP error: {error}")),
            },
        }
        self.gpg_encrypt(fingerprint, part).map_err(|reason| {
            reasons.push(format!("GnuPG binary error: {reason}"));
            format!("could not encrypt data key with PGP key: {}", reasons.join("; "))
        })
    }

    pub(super) fn unwrap(&self, wrapped: &str) -> Result<Plaintext, String> {
        let mut reasons = Vec::new();
        match self.built_in() {
            None => {}
            Some(Err(reason)) => reasons.push(reason.clone()),
            Some(Ok(BuiltIn { secret: None, .. })) => {
                reasons.push(format!("built-in OpenPGP error: {KEY} holds public keys only"));
            }
            Some(Ok(BuiltIn { secret: Some(keys), .. })) => match keys.decrypt(wrapped.as_bytes()) {
                Ok(part) => return Ok(part),
                Err(error) => reasons.push(format!("built-in OpenPGP error: {error}")),
            },
        }
        self.gpg_decrypt(wrapped).map_err(|reason| {
            reasons.push(format!("GnuPG binary error: {reason}"));
            format!("could not decrypt data key with PGP key: {}", reasons.join("; "))
        })
    }

    fn gpg_encrypt(&self, fingerprint: &str, part: &Plaintext) -> Result<String, String> {
        const WHAT: &str = "failed to encrypt sops data key with pgp";
        // A fingerprint comes from a file: it must not become an option.
        if fingerprint.is_empty() || fingerprint.starts_with('-') {
            return Err(format!("{WHAT}: {fingerprint:?} is no fingerprint"));
        }
        let arguments = [
            "--no-default-recipient",
            "--yes",
            "--encrypt",
            "-a",
            "-r",
            fingerprint,
            "--trusted-key",
            key_id(fingerprint),
            "--no-encrypt-to",
        ];
        let output = self.gpg(&arguments, part).map_err(|reason| format!("{WHAT}: {reason}"))?;
        if !output.status.success() {
            return Err(format!("{WHAT}: {}", output.stderr));
        }
        let text = output.stdout.expose_str().unwrap_or_default().trim();
        if text.is_empty() { Err(format!("{WHAT}: gpg wrote nothing")) } else { Ok(text.to_owned()) }
    }

    fn gpg_decrypt(&self, wrapped: &str) -> Result<Plaintext, String> {
        const WHAT: &str = "failed to decrypt sops data key with pgp";
        let output =
            self.gpg(&["-d"], &Plaintext::from(wrapped)).map_err(|reason| format!("{WHAT}: {reason}"))?;
        if !output.status.success() {
            return Err(format!("{WHAT}: {}", output.stderr));
        }
        // Old versions drop packets that they do not know, and succeed (getsops/sops#896).
        if output.stdout.is_empty() {
            return Err(format!("{WHAT}: zero bytes returned"));
        }
        Ok(output.stdout)
    }

    fn gpg(&self, arguments: &[&str], input: &Plaintext) -> Result<program::Output, String> {
        let name = self.environment.set_variable("SOPS_GPG_EXEC").unwrap_or(OsStr::new("gpg"));
        program::run(name, arguments, &self.environment, &[], input)
    }

    fn built_in(&self) -> Option<&Result<BuiltIn, String>> {
        self.built_in.get_or_init(|| self.load().map(|text| text.and_then(|text| self.parse(&text)))).as_ref()
    }

    /// Returns the text of the keys, or `None` where none is given.
    fn load(&self) -> Option<Result<Plaintext, String>> {
        if let Some(text) = self.environment.set_variable(KEY) {
            return Some(Ok(Plaintext::from(text.as_encoded_bytes())));
        }
        let path: OsString = self.environment.set_variable(KEY_FILE)?.to_owned();
        let read = super::age_keys::read_limited(std::path::Path::new(&path));
        Some(read.map_err(|error| format!("{KEY_FILE}: {error}")))
    }

    fn parse(&self, text: &Plaintext) -> Result<BuiltIn, String> {
        let passphrase = self.environment.variable(PASSPHRASE).unwrap_or_default();
        let secret = SecretKeys::parse(text, Plaintext::from(passphrase.as_encoded_bytes())).ok();
        let public = PublicKeys::parse(text.expose()).map_err(|error| format!("{KEY}: {error}"))?;
        Ok(BuiltIn { secret, public })
    }
}

/// Returns the last 16 digits, which old versions of gpg want; `!` is kept.
fn key_id(fingerprint: &str) -> &str {
    let digits = if fingerprint.ends_with('!') { 17 } else { 16 };
    let start = fingerprint.len().saturating_sub(digits);
    fingerprint.get(start..).unwrap_or(fingerprint)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
