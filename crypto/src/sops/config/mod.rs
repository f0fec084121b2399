//! `.sops.yaml`: which keys and which selector a new file gets, where it is published, how it is laid out.
//!
//! ```text
//!   text ──Config::parse──► Config ──creation_rule(folder, path)──► CreationRule { groups, selector, … }
//!                                  ──destination_rule(path)────────► DestinationRule
//! ```
//!
//! As in SOPS, unknown keys are passed over (and told), the shape of the whole file is checked when it is read, and what
//! a rule says is understood when the rule is used.

mod raw;

use std::collections::BTreeMap;

pub use raw::StoresSettings;
use raw::{RawCreationRule, RawDestinationRule, RawGroup};

use super::file::EncryptionSettings;
use super::go_regex::{GoRegex, RegexError};
use super::groups::KeyGroups;
use super::kind::KeyKind;
use super::master_key::{KeyTextError, MasterKey, parse};
use super::selector::Selector;

/// Largest configuration that is read, in bytes.
pub const MAX_CONFIG_BYTES: usize = 4 << 20;
/// Deepest nesting of `merge` in key groups.
pub const MAX_MERGE_DEPTH: usize = 32;

/// A configuration.
#[derive(Debug, Default)]
pub struct Config {
    /// `None` where the file has no `creation_rules`, which counts as no configuration.
    creation_rules: Option<Vec<RawCreationRule>>,
    destination_rules: Vec<RawDestinationRule>,
    /// The `stores` section.
    pub stores: StoresSettings,
    unknown_keys: Vec<String>,
}

/// What a configuration says about a new file.
#[derive(Debug, Clone)]
pub struct CreationRule {
    /// Position of the rule, from 0.
    pub index: usize,
    /// Keys and threshold; nothing is wrapped yet.
    pub groups: KeyGroups,
    /// Selector and MAC mode.
    pub settings: EncryptionSettings,
}

/// What a configuration says about publishing a file.
#[derive(Debug, Clone)]
pub struct DestinationRule {
    /// Where to; `None` where the rule names no place.
    pub destination: Option<Destination>,
    /// The rule by which the file is encrypted anew.
    pub recreation_rule: CreationRule,
    /// Whether the file's extensions are left out of its name there.
    pub omit_extensions: bool,
}

/// A place for published files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A bucket of S3.
    S3 {
        /// Its name.
        bucket: String,
        /// Goes before the file's name.
        prefix: String,
    },
    /// A bucket of Google Cloud Storage.
    Gcs {
        /// Its name.
        bucket: String,
        /// Goes before the file's name.
        prefix: String,
    },
    /// A key-value engine of Vault.
    Vault {
        /// Address; empty for the one of the environment.
        address: String,
        /// Goes before the file's name.
        path: String,
        /// Mount point.
        mount: String,
        /// Version of the engine.
        version: usize,
    },
}

/// Why a configuration cannot be used. Quotes patterns and key names, which are no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Larger than [`MAX_CONFIG_BYTES`].
    #[error("error loading config: the file is larger than {} MiB", MAX_CONFIG_BYTES >> 20)]
    TooLarge,
    /// No YAML.
    #[error("error loading config: Could not unmarshal config file: yaml: {0}")]
    Syntax(#[from] sealops_formats::manifest::ParseError),
    /// A key that stands twice.
    #[error(
        "error loading config: Could not unmarshal config file: yaml: line {line}: mapping key {path:?} already defined"
    )]
    DuplicateKey {
        /// Line of the second one.
        line: usize,
        /// The key.
        path: String,
    },
    /// A field has the wrong type.
    #[error(
        "error loading config: Could not unmarshal config file: yaml: unmarshal errors:\n  line {line}: {field} is not {expected}"
    )]
    WrongType {
        /// Line, from 1.
        line: usize,
        /// The field.
        field: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A list of keys is neither a text nor a list of texts.
    #[error("invalid {field} key configuration: expected string, []string, or nil, got {found}")]
    KeyList {
        /// The field.
        field: &'static str,
        /// Go's name of what it is.
        found: &'static str,
    },
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyTextError),
    /// No rule for the file.
    #[error("error loading config: no matching creation rules found")]
    NoRule,
    /// No rule for publishing the file.
    #[error("error loading config: no matching destination found in config")]
    NoDestination,
    /// A rule names several places.
    #[error(
        "error loading config: more than one destinations were found in a single destination rule, you can only use \
         one per rule"
    )]
    SeveralDestinations,
    /// A path expression does not compile.
    #[error("can not compile regexp: {0}")]
    PathRegex(RegexError),
    /// A selector does not compile. SOPS takes such a one for "matches nothing".
    #[error("error loading config: {field}: {error}")]
    SelectorRegex {
        /// The field.
        field: &'static str,
        /// Why.
        error: RegexError,
    },
    /// Several selectors.
    #[error(
        "error loading config: cannot use more than one of encrypted_suffix, unencrypted_suffix, encrypted_regex, \
         unencrypted_regex, encrypted_comment_regex, or unencrypted_comment_regex for the same rule"
    )]
    SeveralSelectors,
    /// `merge` is nested too deeply.
    #[error("error loading config: merge is nested deeper than {MAX_MERGE_DEPTH} levels")]
    MergeTooDeep,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Returns where the text is no YAML, or where its shape is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        if text.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge);
        }
        raw::read(text)
    }

    /// Returns the keys that mean nothing, with their place.
    pub fn unknown_keys(&self) -> &[String] {
        &self.unknown_keys
    }

    /// Returns what the first matching rule says, or `None` where the configuration has no rules at all.
    ///
    /// `folder` is the absolute folder of the configuration and `path` the absolute path of the file; expressions see the
    /// path relative to the folder if it is below it. `kms_context` is for AWS keys outside of key groups, which have no
    /// field for it.
    ///
    /// # Errors
    /// Fails where no rule matches, and for what the matching rule (or an expression before it) has wrong.
    pub fn creation_rule(
        &self,
        folder: &str,
        path: &str,
        kms_context: &BTreeMap<String, String>,
    ) -> Result<Option<CreationRule>, ConfigError> {
        let Some(rules) = &self.creation_rules else { return Ok(None) };
        let subject = relative(folder, path);
        for (index, rule) in rules.iter().enumerate() {
            if rule.path_regex.is_empty()
                || GoRegex::new(&rule.path_regex)
                    .map_err(ConfigError::PathRegex)?
                    .is_match(subject.as_bytes())
            {
                return rule.resolve(index, kms_context).map(Some);
            }
        }
        Err(ConfigError::NoRule)
    }

    /// Returns what the first matching destination rule says. Expressions see the path as it was typed; one that does not
    /// compile matches nothing, as in SOPS.
    ///
    /// # Errors
    /// Fails where no rule matches, and for what the matching one has wrong.
    pub fn destination_rule(
        &self,
        path: &str,
        kms_context: &BTreeMap<String, String>,
    ) -> Result<DestinationRule, ConfigError> {
        let matches = |pattern: &str| {
            pattern.is_empty() || GoRegex::new(pattern).is_ok_and(|regex| regex.is_match(path.as_bytes()))
        };
        let mut rules = self.destination_rules.iter().enumerate();
        let (index, rule) =
            rules.find(|(_, rule)| matches(&rule.path_regex)).ok_or(ConfigError::NoDestination)?;
        let destination = rule.destination()?;
        let recreation_rule = rule.recreation_rule.resolve(index, kms_context)?;
        Ok(DestinationRule { destination, recreation_rule, omit_extensions: rule.omit_extensions })
    }
}

/// Returns the path below the folder, or the whole path. Symbolic links are not looked at.
fn relative<'a>(folder: &str, path: &'a str) -> &'a str {
    let below =
        path.strip_prefix(folder).and_then(|rest| rest.strip_prefix(['/', std::path::MAIN_SEPARATOR]));
    below.unwrap_or(path)
}

impl RawCreationRule {
    fn resolve(
        &self,
        index: usize,
        kms_context: &BTreeMap<String, String>,
    ) -> Result<CreationRule, ConfigError> {
        let selector = match self.selectors.as_slice() {
            [] => None,
            [(kind, text)] => Some(
                Selector::new(*kind, text.as_str())
                    .map_err(|error| ConfigError::SelectorRegex { field: kind.field(), error })?,
            ),
            _ => return Err(ConfigError::SeveralSelectors),
        };
        let groups = if self.key_groups.is_empty() {
            vec![self.flat_keys(kms_context)?]
        } else {
            self.key_groups.iter().map(|group| group_keys(group, 0)).collect::<Result<_, _>>()?
        };
        Ok(CreationRule {
            index,
            groups: KeyGroups::new(groups, self.shamir_threshold),
            settings: EncryptionSettings { selector, mac_only_encrypted: self.mac_only_encrypted },
        })
    }

    /// Returns the keys outside of groups, in SOPS's order.
    fn flat_keys(&self, kms_context: &BTreeMap<String, String>) -> Result<Vec<MasterKey>, ConfigError> {
        const ORDER: [KeyKind; 7] = [
            KeyKind::Age,
            KeyKind::Pgp,
            KeyKind::Kms,
            KeyKind::GcpKms,
            KeyKind::HuaweiKms,
            KeyKind::AzureKeyVault,
            KeyKind::HcVault,
        ];
        let mut keys = Vec::new();
        for kind in ORDER {
            let list = match self.keys.iter().find(|(own, _)| *own == kind) {
                Some((_, list)) => list.as_ref().map_err(Clone::clone)?.join(","),
                None => continue,
            };
            let parsed = (kind.spec().parse)(&list)?.into_iter();
            keys.extend(parsed.map(|key| key.with_kms_settings(kms_context, &self.aws_profile)));
        }
        Ok(keys)
    }
}

/// Returns the keys of a group: those of merged groups first, each key once.
fn group_keys(group: &RawGroup, depth: usize) -> Result<Vec<MasterKey>, ConfigError> {
    if depth > MAX_MERGE_DEPTH {
        return Err(ConfigError::MergeTooDeep);
    }
    let mut keys = Vec::new();
    for merged in &group.merge {
        keys.extend(group_keys(merged, depth + 1)?);
    }
    for recipients in &group.age {
        keys.extend((KeyKind::Age.spec().parse)(recipients)?);
    }
    for fingerprint in &group.pgp {
        keys.push(MasterKey::Pgp { fingerprint: fingerprint.replace(' ', "") });
    }
    keys.extend(group.kms.iter().cloned());
    keys.extend(group.gcp_kms.iter().map(|id| MasterKey::GcpKms { resource_id: id.replace(' ', "") }));
    for key_id in &group.huawei_kms {
        keys.push(parse::one_huawei_kms(key_id)?);
    }
    keys.extend(group.azure.iter().cloned());
    for uri in &group.hc_vault {
        keys.push(parse::one_vault_key(uri)?);
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert((key.list().to_owned(), key.to_string())));
    Ok(keys)
}

impl RawDestinationRule {
    fn destination(&self) -> Result<Option<Destination>, ConfigError> {
        let named = [&self.s3_bucket, &self.gcs_bucket, &self.vault_path];
        if named.iter().filter(|name| !name.is_empty()).count() > 1 {
            return Err(ConfigError::SeveralDestinations);
        }
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        Ok(match () {
            () if !self.s3_bucket.is_empty() => {
                Some(Destination::S3 { bucket: self.s3_bucket.clone(), prefix: self.s3_prefix.clone() })
            }
            () if !self.gcs_bucket.is_empty() => {
                Some(Destination::Gcs { bucket: self.gcs_bucket.clone(), prefix: self.gcs_prefix.clone() })
            }
            () if !self.vault_path.is_empty() => Some(Destination::Vault {
                address: self.vault_address.clone(),
                path: self.vault_path.clone(),
                mount: or(&self.vault_mount, "secret/"),
                version: if self.vault_version == 0 { 2 } else { self.vault_version },
            }),
            () => None,
        })
    }
}

#[cfg(test)]
mod tests;
