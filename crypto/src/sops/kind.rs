//! The kinds of master keys: one row each, from which flags, fields and parsers follow.

use super::master_key::{KeyTextError, MasterKey, parse};

/// A kind of master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// age: X25519, SSH, post-quantum, plugins.
    Age,
    /// OpenPGP.
    Pgp,
    /// AWS KMS.
    Kms,
    /// Google Cloud KMS.
    GcpKms,
    /// Huawei Cloud KMS.
    HuaweiKms,
    /// Azure Key Vault.
    AzureKeyVault,
    /// HashiCorp Vault and OpenBao, transit engine.
    HcVault,
}

/// Everything that has a name for a kind.
#[derive(Debug)]
pub struct KindSpec {
    /// The kind.
    pub kind: KeyKind,
    /// List in the metadata, and the name in `--decryption-order`.
    pub metadata_field: &'static str,
    /// Field of a creation rule.
    pub rule_field: &'static str,
    /// Field of a key group of a creation rule.
    pub group_field: &'static str,
    /// Flag; with `add-` and `rm-` before it the flags of `rotate`.
    pub flag: &'static str,
    /// One-letter flag.
    pub short_flag: Option<char>,
    /// Environment variable that gives the flag's default.
    pub environment: &'static str,
    /// Reads a comma-separated list, as a flag or rule gives it.
    pub parse: fn(&str) -> Result<Vec<MasterKey>, KeyTextError>,
}

impl KeyKind {
    /// Every kind, in the order in which files store them.
    pub const ALL: [Self; 7] =
        [Self::Kms, Self::GcpKms, Self::HuaweiKms, Self::AzureKeyVault, Self::HcVault, Self::Pgp, Self::Age];

    /// Kinds that are tried first, unless the user says otherwise: they cost no request.
    pub const DEFAULT_ORDER: [Self; 2] = [Self::Age, Self::Pgp];

    /// Returns the kind with this name in `--decryption-order`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.spec().metadata_field == name)
    }

    /// Returns the row of the kind.
    pub fn spec(self) -> &'static KindSpec {
        match self {
            Self::Age => &AGE,
            Self::Pgp => &PGP,
            Self::Kms => &KMS,
            Self::GcpKms => &GCP_KMS,
            Self::HuaweiKms => &HUAWEI_KMS,
            Self::AzureKeyVault => &AZURE_KEY_VAULT,
            Self::HcVault => &HC_VAULT,
        }
    }
}

static AGE: KindSpec = KindSpec {
    kind: KeyKind::Age,
    metadata_field: "age",
    rule_field: "age",
    group_field: "age",
    flag: "age",
    short_flag: Some('a'),
    environment: "SOPS_AGE_RECIPIENTS",
    parse: parse::age,
};
static PGP: KindSpec = KindSpec {
    kind: KeyKind::Pgp,
    metadata_field: "pgp",
    rule_field: "pgp",
    group_field: "pgp",
    flag: "pgp",
    short_flag: Some('p'),
    environment: "SOPS_PGP_FP",
    parse: parse::pgp,
};
static KMS: KindSpec = KindSpec {
    kind: KeyKind::Kms,
    metadata_field: "kms",
    rule_field: "kms",
    group_field: "kms",
    flag: "kms",
    short_flag: Some('k'),
    environment: "SOPS_KMS_ARN",
    parse: parse::kms,
};
static GCP_KMS: KindSpec = KindSpec {
    kind: KeyKind::GcpKms,
    metadata_field: "gcp_kms",
    rule_field: "gcp_kms",
    group_field: "gcp_kms",
    flag: "gcp-kms",
    short_flag: None,
    environment: "SOPS_GCP_KMS_IDS",
    parse: parse::gcp_kms,
};
static HUAWEI_KMS: KindSpec = KindSpec {
    kind: KeyKind::HuaweiKms,
    metadata_field: "hckms",
    rule_field: "hckms",
    group_field: "hckms",
    flag: "hckms",
    short_flag: None,
    environment: "SOPS_HUAWEICLOUD_KMS_IDS",
    parse: parse::huawei_kms,
};
static AZURE_KEY_VAULT: KindSpec = KindSpec {
    kind: KeyKind::AzureKeyVault,
    metadata_field: "azure_kv",
    rule_field: "azure_keyvault",
    group_field: "azure_keyvault",
    flag: "azure-kv",
    short_flag: None,
    environment: "SOPS_AZURE_KEYVAULT_URLS",
    parse: parse::azure_key_vault,
};
static HC_VAULT: KindSpec = KindSpec {
    kind: KeyKind::HcVault,
    metadata_field: "hc_vault",
    rule_field: "hc_vault_transit_uri",
    group_field: "hc_vault",
    flag: "hc-vault-transit",
    short_flag: None,
    environment: "SOPS_VAULT_URIS",
    parse: parse::hc_vault,
};
