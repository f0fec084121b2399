//! Sealing keys as Secrets: read, judged, and made, so that upstream's controller can use ours and we can use theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use sealops_crds::Metadata;
use sealops_crds::sealed_secret::{SEALING_KEY_ACTIVE, SEALING_KEY_LABEL};
use sealops_crypto::sealing::{Certificate, CertificateError, KeyError, KeyPairPem, RingKey, SealingKey};

use crate::object::SecretObject;

/// Type of a key Secret.
pub const KEY_TYPE: &str = "kubernetes.io/tls";
const CERTIFICATE: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";

/// Which time orders the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyOrder {
    /// Start of the certificate's validity.
    #[default]
    CertNotBefore,
    /// When the Secret was made.
    SecretCreationTimestamp,
}

/// Why a Secret gives no sealing key. The Secret is left out; the others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySecretError {
    /// The certificate is unusable.
    #[error("{CERTIFICATE}: {0}")]
    Certificate(#[from] CertificateError),
    /// The private key is unusable, or not the certificate's.
    #[error("{PRIVATE_KEY}: {0}")]
    Key(#[from] KeyError),
    /// An entry is missing.
    #[error("the entry {0} is missing")]
    Missing(&'static str),
}

/// Reads a key Secret: the key with its place in the order, and the certificate to seal with.
///
/// # Errors
/// Returns why it cannot be used; the caller quarantines it.
pub fn read_key_secret(
    secret: &SecretObject,
    order: KeyOrder,
) -> Result<(RingKey, Certificate), KeySecretError> {
    let entry = |name| secret.data.get(name).ok_or(KeySecretError::Missing(name));
    let certificate = Certificate::from_pem(entry(CERTIFICATE)?.expose())?;
    let key = SealingKey::from_pem(entry(PRIVATE_KEY)?)?;
    key.check_certificate(&certificate)?;
    let created =
        secret.metadata.creation_timestamp.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let order = match (order, created) {
        (KeyOrder::SecretCreationTimestamp, Some(created)) => created.as_second(),
        _ => certificate.not_before(),
    };
    Ok((RingKey { key: Arc::new(key), order }, certificate))
}

/// Returns the Secret for a new key pair, as upstream's controller makes it: the API server completes the name.
pub fn key_secret(namespace: &str, prefix: &str, pair: KeyPairPem) -> SecretObject {
    let mut metadata = Metadata {
        namespace: Some(namespace.to_owned()),
        generate_name: Some(prefix.to_owned()),
        ..Metadata::default()
    };
    metadata.labels_mut().insert(SEALING_KEY_LABEL.to_owned(), SEALING_KEY_ACTIVE.to_owned());
    let data = BTreeMap::from([
        (CERTIFICATE.to_owned(), pair.certificate.into()),
        (PRIVATE_KEY.to_owned(), pair.private_key),
    ]);
    SecretObject { metadata, type_: Some(KEY_TYPE.to_owned()), immutable: None, data }
}
