//! Sealed Secrets' encryption (bitnami sealed-secrets 0.40.0), bit for bit.
//!
//! ```text
//!   value ──AES-256-GCM (fresh session key, zero nonce)──► ciphertext ‖ tag
//!   session key ──RSA-OAEP(SHA-256, MGF1-SHA-256, label)──► RSA block
//!   sealed value = u16 length of the RSA block ‖ RSA block ‖ ciphertext ‖ tag          (base64 in the manifest)
//! ```
//!
//! The label binds a value to a namespace and name, see [`Label`]. The zero nonce is sound because a session key
//! encrypts one value only.

mod certificate;
mod cipher;
mod fingerprint;
mod key;
mod label;
mod ring;

pub use certificate::{Certificate, CertificateError, MAX_PEM_BYTES};
pub(crate) use certificate::{encode_certificate, encode_pem};
pub use cipher::{MAX_SEALED_BYTES, SealError, seal};
pub use fingerprint::Fingerprint;
pub(crate) use key::pkcs1_of;
pub use key::{GenerateError, KeyError, KeyPairPem, KeySpec, SealingKey};
pub use label::{Label, Scope, UnknownScope};
pub use ring::{RingKey, SealingKeyRing, UnsealError, Unsealed};
