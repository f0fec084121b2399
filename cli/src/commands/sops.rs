//! The verbs for files encrypted by SOPS. Their flags are those of sops, their words and defaults ours.

pub(super) mod decrypt;
pub(super) mod edit;
pub(super) mod encrypt;
pub(super) mod exec;
pub(super) mod explain;
pub(super) mod files;
pub(super) mod groups;
pub(super) mod keyservice;
pub(super) mod publish;
pub(super) mod rotate;
pub(super) mod set;
pub(super) mod updatekeys;
pub(super) mod verify;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sealops_crypto::sops::{KeyKind, KeyPolicy, SelectorKind};
use sealops_formats::tree::Format;

use crate::error::CommandError;
use crate::sops::audit::Audit;
use crate::sops::encrypt::Choice;
use crate::sops::keyring::Keyring;
use crate::sops::network_keys::NetworkKeys;
use crate::sops::session::{KeyFlags, Session, Types, read_order};
use crate::sops::{Front, local_keys, policy};

/// Exit codes of these verbs.
pub(super) const EXIT_CODES: &str = "Exit codes are those of sops: 0 done, 2 unreadable input, 3 unwritable output, \
                                     25 undecryptable value, 51 wrong MAC, 100 no such file, 128 no key, 203 already \
                                     encrypted, 1 anything else.";

/// Where the configuration is, and how texts are read and written.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Common {
    /// Configuration; without it, .sops.yaml is searched from the file's folder upwards, then from the working folder
    #[arg(long, value_name = "FILE", env = "SOPS_CONFIG")]
    config: Option<PathBuf>,
    /// Spaces per level in YAML and JSON
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    indent: Option<i32>,
    /// Format of the input; else by the file's name
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    pub(super) input_type: Option<Format>,
    /// Format of the output; else that of the input
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    output_type: Option<Format>,
    /// Key types to try, in this order, separated by commas
    #[arg(long, value_name = "TYPES", env = "SOPS_DECRYPTION_ORDER")]
    decryption_order: Option<String>,
    /// Allow only keys and addresses on the list in this file
    #[arg(long, value_name = "FILE", env = policy::VARIABLE)]
    key_policy: Option<PathBuf>,
    /// Allow keys and addresses that match; others are not asked. May be given again
    #[arg(long, value_name = "PATTERN")]
    allow_key: Vec<String>,
    /// Key service to ask too, as tcp://HOST:PORT or unix:///PATH; may be repeated
    #[arg(long, value_name = "URI", env = "SOPS_KEYSERVICE", value_delimiter = ',')]
    keyservice: Vec<String>,
    /// Whether the keys of this machine, and the clouds it can reach, are used
    #[arg(
        long,
        value_name = "BOOL",
        env = "SOPS_ENABLE_LOCAL_KEYSERVICE",
        default_value = "true",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    enable_local_keyservice: bool,
    #[arg(skip)]
    shared: Arc<Shared>,
}

/// One for all files of a command: a passphrase is asked for once, and a database of the audit is connected to once.
#[derive(Default)]
struct Shared {
    keyring: OnceLock<Arc<Keyring>>,
    audit: OnceLock<Result<Audit, CommandError>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

fn format(text: &str) -> Result<Format, String> {
    Format::named(text).ok_or_else(|| "the formats are yaml, json, dotenv, ini and binary".to_owned())
}

impl Common {
    pub(super) fn session(&self) -> Result<Session, CommandError> {
        Ok(Session {
            front: Front::Sealops,
            config: self.config.clone(),
            indent: self.indent,
            order: read_order(self.decryption_order.as_deref().unwrap_or_default())?,
            keyring: self.keyring()?,
            audit: self.audit()?,
            near: OnceCell::new(),
        })
    }

    /// Returns who is told of what is done. A command for many files asks first, to fail once.
    pub(super) fn audit(&self) -> Result<Audit, CommandError> {
        self.shared.audit.get_or_init(|| Audit::open(Front::Sealops)).clone()
    }

    /// Returns which keys a file may name.
    pub(super) fn policy(&self) -> Result<KeyPolicy, CommandError> {
        policy::read(self.key_policy.as_deref(), &self.allow_key)
    }

    fn keyring(&self) -> Result<Arc<Keyring>, CommandError> {
        if let Some(keyring) = self.shared.keyring.get() {
            return Ok(Arc::clone(keyring));
        }
        let own = self.enable_local_keyservice;
        let network = NetworkKeys::new(own, self.keyservice.clone()).with_policy(self.policy()?);
        let keyring = || Arc::new(Keyring::new(own.then(local_keys::local), network));
        Ok(Arc::clone(self.shared.keyring.get_or_init(keyring)))
    }

    pub(super) fn types(&self) -> Types {
        Types { input: self.input_type, output: self.output_type }
    }
}

/// Who shall open a new file, and what in it is encrypted.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ChoiceFlags {
    #[command(flatten)]
    keys: Keys,
    /// Leave values under keys with this ending readable
    #[arg(long, value_name = "TEXT", group = "selector")]
    unencrypted_suffix: Option<String>,
    /// Encrypt only values under keys with this ending
    #[arg(long, value_name = "TEXT", group = "selector")]
    encrypted_suffix: Option<String>,
    /// Leave values under matching keys readable
    #[arg(long, value_name = "REGEX", group = "selector")]
    unencrypted_regex: Option<String>,
    /// Encrypt only values under matching keys
    #[arg(long, value_name = "REGEX", group = "selector")]
    encrypted_regex: Option<String>,
    /// Leave values under matching comments readable
    #[arg(long, value_name = "REGEX", group = "selector")]
    unencrypted_comment_regex: Option<String>,
    /// Encrypt only values under matching comments
    #[arg(long, value_name = "REGEX", group = "selector")]
    encrypted_comment_regex: Option<String>,
    /// Compute the MAC over encrypted values only
    #[arg(long)]
    mac_only_encrypted: bool,
    /// Key groups that are needed to open the file
    #[arg(long, value_name = "N")]
    shamir_secret_sharing_threshold: Option<u8>,
}

/// Keys, each list separated by commas.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Keys {
    /// age recipients
    #[arg(short, long, value_name = "KEYS", env = "SOPS_AGE_RECIPIENTS")]
    age: Option<String>,
    /// PGP fingerprints
    #[arg(short, long, value_name = "KEYS", env = "SOPS_PGP_FP")]
    pgp: Option<String>,
    /// ARNs of AWS KMS keys
    #[arg(short, long, value_name = "KEYS", env = "SOPS_KMS_ARN")]
    kms: Option<String>,
    /// AWS profile
    #[arg(long, value_name = "NAME")]
    aws_profile: Option<String>,
    /// AWS KMS encryption context as key:value
    #[arg(long, value_name = "PAIRS")]
    encryption_context: Option<String>,
    /// Google KMS resource IDs
    #[arg(long, value_name = "KEYS", env = "SOPS_GCP_KMS_IDS")]
    gcp_kms: Option<String>,
    /// Huawei KMS keys as region:key-uuid
    #[arg(long, value_name = "KEYS", env = "SOPS_HUAWEICLOUD_KMS_IDS")]
    hckms: Option<String>,
    /// Azure Key Vault URLs
    #[arg(long, value_name = "KEYS", env = "SOPS_AZURE_KEYVAULT_URLS")]
    azure_kv: Option<String>,
    /// Vault transit URIs
    #[arg(long, value_name = "KEYS", env = "SOPS_VAULT_URIS")]
    hc_vault_transit: Option<String>,
}

impl Keys {
    pub(super) fn flags(&self) -> KeyFlags {
        let texts = [
            (KeyKind::Age, &self.age),
            (KeyKind::Pgp, &self.pgp),
            (KeyKind::Kms, &self.kms),
            (KeyKind::GcpKms, &self.gcp_kms),
            (KeyKind::HuaweiKms, &self.hckms),
            (KeyKind::AzureKeyVault, &self.azure_kv),
            (KeyKind::HcVault, &self.hc_vault_transit),
        ];
        KeyFlags {
            keys: texts.into_iter().filter_map(|(kind, text)| Some((kind, vec![text.clone()?]))).collect(),
            aws_profile: self.aws_profile.clone().unwrap_or_default(),
            encryption_context: self.encryption_context.clone().unwrap_or_default(),
        }
    }
}

impl ChoiceFlags {
    pub(super) fn choice(&self) -> Choice {
        let selectors = [
            (SelectorKind::UnencryptedSuffix, &self.unencrypted_suffix),
            (SelectorKind::EncryptedSuffix, &self.encrypted_suffix),
            (SelectorKind::UnencryptedRegex, &self.unencrypted_regex),
            (SelectorKind::EncryptedRegex, &self.encrypted_regex),
            (SelectorKind::UnencryptedCommentRegex, &self.unencrypted_comment_regex),
            (SelectorKind::EncryptedCommentRegex, &self.encrypted_comment_regex),
        ];
        let keys = self.keys.flags();
        Choice {
            rule_context: keys.context().unwrap_or_default(),
            keys,
            selectors: selectors.into_iter().filter_map(|(kind, text)| Some((kind, text.clone()?))).collect(),
            mac_only_encrypted: self.mac_only_encrypted,
            threshold: self.shamir_secret_sharing_threshold.map_or(0, i64::from),
        }
    }
}

/// Where a result goes.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Destination {
    /// Write back to the file
    #[arg(short, long, conflicts_with = "output")]
    pub(super) in_place: bool,
    /// Write to this file instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

impl Destination {
    pub(super) fn of(&self, path: &std::path::Path) -> crate::sops::output::Output {
        use crate::sops::output::Output;
        match &self.output {
            _ if self.in_place => Output::in_place(path),
            Some(path) => Output::File(path.clone()),
            None => Output::Stdout,
        }
    }
}
