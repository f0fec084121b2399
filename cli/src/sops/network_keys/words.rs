//! Why a key on a network did not help, beginning as sops does.

use sealops_crypto::sops::MasterKey;
use sealops_providers::{ProviderError, ProviderErrorKind};

/// Returns why a part was not encrypted.
pub(super) fn wrap(key: &MasterKey, error: &ProviderError) -> String {
    match key {
        MasterKey::Kms { .. } if is_own(error) => {
            format!("failed to encrypt sops data key with AWS KMS: {}", error.kind)
        }
        MasterKey::HcVault { .. } if is_own(error) => {
            format!("failed to encrypt sops data key to Vault transit backend '{key}': {}", error.kind)
        }
        MasterKey::GcpKms { .. } if is_own(error) => google("encrypt", error),
        MasterKey::HuaweiKms { .. } if is_own(error) => huawei("encrypt", error),
        MasterKey::AzureKeyVault { .. } if is_own(error) => {
            format!("failed to encrypt sops data key with Azure Key Vault key '{key}': {}", error.kind)
        }
        _ => error.to_string(),
    }
}

/// Returns why a part was not decrypted.
pub(super) fn unwrap(key: &MasterKey, error: &ProviderError) -> String {
    match key {
        MasterKey::Kms { .. } if is_own(error) => {
            format!("failed to decrypt sops data key with AWS KMS: {}", error.kind)
        }
        MasterKey::HcVault { .. } if is_own(error) => {
            format!("failed to decrypt sops data key from Vault transit backend '{key}': {}", error.kind)
        }
        MasterKey::GcpKms { .. } if is_own(error) => google("decrypt", error),
        MasterKey::HuaweiKms { .. } if is_own(error) => huawei("decrypt", error),
        MasterKey::AzureKeyVault { .. } if is_own(error) => {
            format!("failed to decrypt sops data key with Azure Key Vault key '{key}': {}", error.kind)
        }
        _ => error.to_string(),
    }
}

fn google(verb: &str, error: &ProviderError) -> String {
    match &error.kind {
        // Nothing was sent.
        ProviderErrorKind::Invalid(why) => format!("cannot create GCP KMS service: {why}"),
        kind => format!("failed to {verb} sops data key with GCP KMS key: {kind}"),
    }
}

fn huawei(verb: &str, error: &ProviderError) -> String {
    match &error.kind {
        ProviderErrorKind::Invalid(why) => format!("failed to create HuaweiCloud KMS client: {why}"),
        kind => format!("failed to {verb} sops data key with HuaweiCloud KMS: {kind}"),
    }
}

/// Returns why a key was not completed.
pub(super) fn complete(error: &ProviderError) -> String {
    match error.backend.as_str() {
        "Azure Key Vault" => {
            format!("failed to fetch Azure Key to retrieve key version: {}: {}", error.target, error.kind)
        }
        _ => error.to_string(),
    }
}

/// Returns why nobody was asked.
pub(super) fn not_built(key: &MasterKey) -> String {
    format!(
        "these keys (the list {}) are not built into sealops: use another key of the file, or a key service \
         (--keyservice) that has them",
        key.list()
    )
}

/// Key services say themselves who they are.
fn is_own(error: &ProviderError) -> bool {
    error.backend != "key service"
}
