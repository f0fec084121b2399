//! Master keys as data: who they are, and what they wrapped. Who can use them is not said here.

use std::collections::BTreeMap;
use std::fmt;

use super::kind::KeyKind;
use super::metadata::Field;
use super::timestamp::Timestamp;

/// A key that wraps data keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MasterKey {
    /// An age recipient.
    Age {
        /// `age1…`, `age1pq1…`, `age1NAME1…`, `ssh-ed25519 …` or `ssh-rsa …`.
        recipient: String,
    },
    /// An OpenPGP key.
    Pgp {
        /// Hexadecimal, with `!` at the end for exactly this subkey.
        fingerprint: String,
    },
    /// An AWS KMS key.
    Kms {
        /// Its ARN.
        arn: String,
        /// Role to assume; empty for none.
        role: String,
        /// Encryption context.
        context: BTreeMap<String, String>,
        /// Profile to use; empty for the default.
        aws_profile: String,
    },
    /// A Google Cloud KMS key.
    GcpKms {
        /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
        resource_id: String,
    },
    /// An Azure Key Vault key.
    AzureKeyVault {
        /// `https://NAME.vault.azure.net`.
        vault_url: String,
        /// Name of the key.
        name: String,
        /// Version; empty until the newest was asked for.
        version: String,
    },
    /// A Vault transit key.
    HcVault {
        /// `https://vault.example.com:8200`.
        vault_address: String,
        /// Path of the engine.
        engine_path: String,
        /// Name of the key.
        key_name: String,
    },
    /// A Huawei Cloud KMS key.
    HuaweiKms {
        /// `region:uuid`.
        key_id: String,
    },
    /// A key of a list that this version does not know. It is kept, and cannot be used.
    Unknown {
        /// Name of the list in the metadata.
        list: String,
        /// Its fields but `enc` and `created_at`.
        fields: BTreeMap<String, Field>,
    },
}

/// A text that names no key. The words are upstream's where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyTextError(String);

impl MasterKey {
    /// Returns the kind, or `None` for a key of an unknown list.
    pub fn kind(&self) -> Option<KeyKind> {
        Some(match self {
            Self::Age { .. } => KeyKind::Age,
            Self::Pgp { .. } => KeyKind::Pgp,
            Self::Kms { .. } => KeyKind::Kms,
            Self::GcpKms { .. } => KeyKind::GcpKms,
            Self::AzureKeyVault { .. } => KeyKind::AzureKeyVault,
            Self::HcVault { .. } => KeyKind::HcVault,
            Self::HuaweiKms { .. } => KeyKind::HuaweiKms,
            Self::Unknown { .. } => return None,
        })
    }

    /// Returns whether the key is of a kind that this machine can hold: no network is asked for it.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Age { .. } | Self::Pgp { .. })
    }

    /// Returns the list of the metadata in which the key stands.
    pub fn list(&self) -> &str {
        match self {
            Self::Unknown { list, .. } => list,
            known => known.kind().map_or("", |kind| kind.spec().metadata_field),
        }
    }

    /// Adds the encryption context and the profile that flags give to AWS keys.
    #[must_use]
    pub fn with_kms_settings(mut self, new_context: &BTreeMap<String, String>, profile: &str) -> Self {
        if let Self::Kms { context, aws_profile, .. } = &mut self {
            context.clone_from(new_context);
            profile.clone_into(aws_profile);
        }
        self
    }
}

/// Writes the key's identity, by which keys are compared and listed (SOPS's `ToString`).
impl fmt::Display for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age { recipient } => f.write_str(recipient),
            Self::Pgp { fingerprint } => f.write_str(fingerprint),
            Self::Kms { arn, role, context, aws_profile } => {
                f.write_str(arn)?;
                if !role.is_empty() {
                    write!(f, "+{role}")?;
                }
                let context: Vec<String> =
                    context.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                let context = context.join(",");
                match (context.is_empty(), aws_profile.is_empty()) {
                    (true, true) => Ok(()),
                    (false, true) => write!(f, "|{context}"),
                    (_, false) => write!(f, "|{context}|{aws_profile}"),
                }
            }
            Self::GcpKms { resource_id } => f.write_str(resource_id),
            Self::AzureKeyVault { vault_url, name, version } => {
                write!(f, "{vault_url}/keys/{name}/{version}")
            }
            Self::HcVault { vault_address, engine_path, key_name } => {
                write!(f, "{vault_address}/v1/{engine_path}/keys/{key_name}")
            }
            Self::HuaweiKms { key_id } => f.write_str(key_id),
            Self::Unknown { list, .. } => write!(f, "a key of the unknown list {list}"),
        }
    }
}

/// A master key in a file: with what it wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key.
    pub key: MasterKey,
    /// When it was added; age keys have none.
    pub created_at: Option<Timestamp>,
    /// The wrapped part of the data key; empty for a key that is being added.
    pub wrapped: String,
    /// Fields that this version does not know, kept.
    pub(super) unknown: BTreeMap<String, Field>,
}

impl KeyEntry {
    /// Makes the entry of a key that has wrapped nothing yet.
    pub fn new(key: MasterKey) -> Self {
        Self { key, created_at: None, wrapped: String::new(), unknown: BTreeMap::new() }
    }
}

impl From<MasterKey> for KeyEntry {
    fn from(key: MasterKey) -> Self {
        Self::new(key)
    }
}

/// Readers of the lists that flags, variables and rules hold.
pub(super) mod parse {
    use super::{BTreeMap, KeyTextError, MasterKey};

    type Keys = Result<Vec<MasterKey>, KeyTextError>;

    fn fail<T>(text: String) -> Result<T, KeyTextError> {
        Err(KeyTextError(text))
    }

    /// Splits at commas; an empty text is an empty list.
    fn items(text: &str) -> impl Iterator<Item = &str> {
        text.split(',').filter(move |_| !text.is_empty())
    }

    /// Reads age recipients; their checksums are checked where they are used.
    pub(crate) fn age(text: &str) -> Keys {
        items(text)
            .map(|item| {
                let recipient = item.trim();
                if recipient.starts_with("age1") || recipient.starts_with("ssh-") {
                    return Ok(MasterKey::Age { recipient: recipient.to_owned() });
                }
                fail(format!("failed to parse input, unknown recipient type: {recipient:?}"))
            })
            .collect()
    }

    pub(crate) fn pgp(text: &str) -> Keys {
        Ok(items(text).map(|item| MasterKey::Pgp { fingerprint: item.replace(' ', "") }).collect())
    }

    pub(crate) fn kms(text: &str) -> Keys {
        let key = |item: &str| {
            let item = item.replace(' ', "");
            // An ARN can hold a plus, but no colon behind one.
            let (arn, role) = match item.find("+arn:").filter(|at| *at > 0) {
                Some(at) => (item[..at].to_owned(), item[at + 1..].to_owned()),
                None => (item, String::new()),
            };
            MasterKey::Kms { arn, role, context: BTreeMap::new(), aws_profile: String::new() }
        };
        Ok(items(text).map(key).collect())
    }

    pub(crate) fn gcp_kms(text: &str) -> Keys {
        Ok(items(text).map(|item| MasterKey::GcpKms { resource_id: item.replace(' ', "") }).collect())
    }

    pub(crate) fn huawei_kms(text: &str) -> Keys {
        items(text).map(str::trim).filter(|item| !item.is_empty()).map(one_huawei_kms).collect()
    }

    /// Reads `region:uuid`.
    pub(crate) fn one_huawei_kms(text: &str) -> Result<MasterKey, KeyTextError> {
        let Some((region, uuid)) = text.trim().split_once(':') else {
            return fail(format!("invalid key ID format: expected 'region:key-uuid', got {text:?}"));
        };
        if region.trim().is_empty() {
            return fail(format!("region cannot be empty in key ID: {text:?}"));
        }
        if uuid.trim().is_empty() {
            return fail(format!("key UUID cannot be empty in key ID: {text:?}"));
        }
        Ok(MasterKey::HuaweiKms { key_id: text.to_owned() })
    }

    pub(crate) fn azure_key_vault(text: &str) -> Keys {
        items(text).map(|item| one_azure_key(item.trim())).collect()
    }

    /// Reads `https://VAULT/keys/NAME[/VERSION]`.
    fn one_azure_key(url: &str) -> Result<MasterKey, KeyTextError> {
        let parts = || {
            let (host, key) = url.strip_prefix("https://")?.split_once("/keys/")?;
            let (name, version) = key.split_once('/').unwrap_or((key, ""));
            (!host.is_empty() && !host.contains('/') && !name.is_empty() && !version.contains('/')).then(
                || MasterKey::AzureKeyVault {
                    vault_url: format!("https://{host}"),
                    name: name.to_owned(),
                    version: version.to_owned(),
                },
            )
        };
        match parts() {
            Some(key) => Ok(key),
            None => fail(format!("could not parse {url:?} into a valid Azure Key Vault MasterKey []")),
        }
    }

    pub(crate) fn hc_vault(text: &str) -> Keys {
        items(text).filter(|item| !item.is_empty()).map(one_vault_key).collect()
    }

    /// Reads `scheme://host[:port]/vN/ENGINE…/ANYTHING/KEY`.
    pub(crate) fn one_vault_key(uri: &str) -> Result<MasterKey, KeyTextError> {
        const EXAMPLE: &str = "https://vault.example.com:8200/v1/transit/keys/keyName";
        let Some((scheme, rest)) = uri.split_once("://").filter(|(scheme, _)| !scheme.is_empty()) else {
            return fail(format!(
                "missing scheme in Vault URL (should be like this: +{EXAMPLE}), got: {uri}"
            ));
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let directories: Vec<&str> = path.trim_matches('/').split('/').collect();
        let version = |text: &str| {
            text.strip_prefix('v')
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let enough = |from: usize| {
            directories.len() >= from + 4
                && directories[from + 1..from + 4].iter().all(|part| !part.is_empty())
        };
        let versions: Vec<usize> = (0..directories.len()).filter(|at| version(directories[*at])).collect();
        if versions.iter().any(|at| *at > 0 && enough(*at) && !directories[at - 1].is_empty()) {
            return fail(format!(
                "running Vault with a prefixed URL is not supported! (Format has to be like {EXAMPLE})"
            ));
        }
        if !versions.iter().any(|at| enough(*at)) {
            return fail(format!("vault path does not seem to be formatted correctly: (eg. {EXAMPLE})"));
        }
        let last = directories.len() - 1;
        let engine: Vec<&str> =
            directories[1..last - 1].iter().copied().filter(|part| !part.is_empty()).collect();
        Ok(MasterKey::HcVault {
            vault_address: format!("{}://{host}", scheme.to_ascii_lowercase()),
            engine_path: engine.join("/"),
            key_name: directories[last].to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities(kind: KeyKind, text: &str) -> Vec<String> {
        (kind.spec().parse)(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_are_read_as_upstream_reads_them() {
        use KeyKind as K;
        assert_eq!(identities(K::Age, ""), [""; 0]);
        assert_eq!(identities(K::Age, "age1a, ssh-ed25519 AAAA x"), ["age1a", "ssh-ed25519 AAAA x"]);
        assert_eq!(identities(K::Pgp, "85D7 7543,AB!"), ["85D77543", "AB!"]);
        assert_eq!(
            identities(K::Kms, "arn:aws:kms:eu:1:key/a+b+arn:aws:iam::1:role/r, arn:x"),
            ["arn:aws:kms:eu:1:key/a+b+arn:aws:iam::1:role/r", "arn:x"]
        );
        assert_eq!(
            identities(K::AzureKeyVault, "https://v.net/keys/k,https://v.net/keys/k/1,https://v.net/keys/k/"),
            ["https://v.net/keys/k/", "https://v.net/keys/k/1", "https://v.net/keys/k/"]
        );
        assert_eq!(
            identities(K::HcVault, "https://v:8200/v1/a/b/keys/k,,http://w/v1/t/keys/k/"),
            ["https://v:8200/v1/a/b/keys/k", "http://w/v1/t/keys/k"]
        );
        assert_eq!(identities(K::HuaweiKms, " eu:1 ,,"), ["eu:1"]);
        let context = BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]);
        let kms = parse::kms("arn:x").unwrap().remove(0);
        assert_eq!(kms.clone().with_kms_settings(&context, "").to_string(), "arn:x|a:1,b:2");
        assert_eq!(kms.with_kms_settings(&BTreeMap::new(), "p").to_string(), "arn:x||p");
    }

    #[test]
    fn texts_that_name_no_key_are_refused() {
        for (kind, text, words) in [
            (KeyKind::Age, "nonsense", "unknown recipient type: \"nonsense\""),
            (KeyKind::AzureKeyVault, "http://v.net/keys/k", "could not parse \"http://v.net/keys/k\""),
            (KeyKind::AzureKeyVault, "https://v.net/keys/k/1/2", "could not parse"),
            (KeyKind::HcVault, "vault/v1/t/keys/k", "missing scheme in Vault URL"),
            (KeyKind::HcVault, "https://v/prefix/v1/t/keys/k", "prefixed URL is not supported"),
            (KeyKind::HcVault, "https://v/v1/keys/k", "does not seem to be formatted correctly"),
            (KeyKind::HuaweiKms, "eu", "expected 'region:key-uuid'"),
            (KeyKind::HuaweiKms, ":x", "region cannot be empty"),
            (KeyKind::HuaweiKms, "x:", "key UUID cannot be empty"),
        ] {
            let error = (kind.spec().parse)(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn every_kind_has_one_row() {
        for kind in KeyKind::ALL {
            assert_eq!(kind.spec().kind, kind);
            assert_eq!(KeyKind::named(kind.spec().metadata_field), Some(kind));
        }
    }
}
