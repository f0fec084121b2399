//! The messages of SOPS's key service (proto3, no package), written down by hand.

use std::collections::HashMap;
use std::fmt;
use std::mem;

use prost::{Message, Oneof};
use sealops_crypto::sops::MasterKey;
use sealops_formats::Plaintext;

/// Path of the call that encrypts.
pub(super) const ENCRYPT: &str = "/KeyService/Encrypt";
/// Path of the call that decrypts.
pub(super) const DECRYPT: &str = "/KeyService/Decrypt";
/// Largest message, either way: a wrapped key of any kind is a few KiB.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// A master key on the wire.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Key {
    #[prost(oneof = "KeyType", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) key_type: Option<KeyType>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum KeyType {
    #[prost(message, tag = "1")]
    Kms(Kms),
    #[prost(message, tag = "2")]
    Pgp(Pgp),
    #[prost(message, tag = "3")]
    GcpKms(GcpKms),
    #[prost(message, tag = "4")]
    AzureKeyVault(AzureKeyVault),
    #[prost(message, tag = "5")]
    Vault(Vault),
    #[prost(message, tag = "6")]
    Age(Age),
    #[prost(message, tag = "7")]
    HuaweiKms(HuaweiKms),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Kms {
    #[prost(string, tag = "1")]
    arn: String,
    #[prost(string, tag = "2")]
    role: String,
    #[prost(map = "string, string", tag = "3")]
    context: HashMap<String, String>,
    #[prost(string, tag = "4")]
    aws_profile: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Pgp {
    #[prost(string, tag = "1")]
    fingerprint: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GcpKms {
    #[prost(string, tag = "1")]
    resource_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AzureKeyVault {
    #[prost(string, tag = "1")]
    vault_url: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Vault {
    #[prost(string, tag = "1")]
    vault_address: String,
    #[prost(string, tag = "2")]
    engine_path: String,
    #[prost(string, tag = "3")]
    key_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Age {
    #[prost(string, tag = "1")]
    recipient: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HuaweiKms {
    #[prost(string, tag = "1")]
    key_id: String,
}

impl Key {
    /// Takes a key; `None` for one of a list that this version does not know.
    pub(super) fn of(key: &MasterKey) -> Option<Self> {
        let key_type = match key.clone() {
            MasterKey::Kms { arn, role, context, aws_profile } => {
                KeyType::Kms(Kms { arn, role, context: context.into_iter().collect(), aws_profile })
            }
            MasterKey::Pgp { fingerprint } => KeyType::Pgp(Pgp { fingerprint }),
            MasterKey::GcpKms { resource_id } => KeyType::GcpKms(GcpKms { resource_id }),
            MasterKey::AzureKeyVault { vault_url, name, version } => {
                KeyType::AzureKeyVault(AzureKeyVault { vault_url, name, version })
            }
            MasterKey::HcVault { vault_address, engine_path, key_name } => {
                KeyType::Vault(Vault { vault_address, engine_path, key_name })
            }
            MasterKey::Age { recipient } => KeyType::Age(Age { recipient }),
            MasterKey::HuaweiKms { key_id } => KeyType::HuaweiKms(HuaweiKms { key_id }),
            _ => return None,
        };
        Some(Self { key_type: Some(key_type) })
    }

    /// Returns the key; `None` where the message names none that is known.
    pub(super) fn into_master_key(self) -> Option<MasterKey> {
        Some(match self.key_type? {
            KeyType::Kms(Kms { arn, role, context, aws_profile }) => {
                MasterKey::Kms { arn, role, context: context.into_iter().collect(), aws_profile }
            }
            KeyType::Pgp(Pgp { fingerprint }) => MasterKey::Pgp { fingerprint },
            KeyType::GcpKms(GcpKms { resource_id }) => MasterKey::GcpKms { resource_id },
            KeyType::AzureKeyVault(AzureKeyVault { vault_url, name, version }) => {
                MasterKey::AzureKeyVault { vault_url, name, version }
            }
            KeyType::Vault(Vault { vault_address, engine_path, key_name }) => {
                MasterKey::HcVault { vault_address, engine_path, key_name }
            }
            KeyType::Age(Age { recipient }) => MasterKey::Age { recipient },
            KeyType::HuaweiKms(HuaweiKms { key_id }) => MasterKey::HuaweiKms { key_id },
        })
    }
}

/// A part of a data key that is to be wrapped. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct EncryptRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    plaintext: Vec<u8>,
}

/// A wrapped part: the text that stands in files as `enc`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) ciphertext: Vec<u8>,
}

/// A part that is to be unwrapped.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DecryptRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<Key>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) ciphertext: Vec<u8>,
}

/// An unwrapped part. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct DecryptResponse {
    #[prost(bytes = "vec", tag = "1")]
    plaintext: Vec<u8>,
}

impl EncryptRequest {
    pub(super) fn new(key: Key, plaintext: &Plaintext) -> Self {
        Self { key: Some(key), plaintext: plaintext.expose().to_vec() }
    }

    pub(super) fn take_plaintext(&mut self) -> Plaintext {
        Plaintext::from(mem::take(&mut self.plaintext))
    }
}

impl DecryptResponse {
    pub(super) fn new(plaintext: &Plaintext) -> Self {
        Self { plaintext: plaintext.expose().to_vec() }
    }

    pub(super) fn take_plaintext(&mut self) -> Plaintext {
        Plaintext::from(mem::take(&mut self.plaintext))
    }
}

impl Drop for EncryptRequest {
    fn drop(&mut self) {
        drop(self.take_plaintext());
    }
}

impl Drop for DecryptResponse {
    fn drop(&mut self) {
        drop(self.take_plaintext());
    }
}

impl fmt::Debug for EncryptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptRequest").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for DecryptResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptResponse").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn keys() -> Vec<MasterKey> {
        let text = str::to_owned;
        vec![
            MasterKey::Kms {
                arn: text("arn"),
                role: text("role"),
                context: BTreeMap::from([(text("a"), text("1")), (text("b"), text("2"))]),
                aws_profile: text("profile"),
            },
            MasterKey::Pgp { fingerprint: text("AB") },
            MasterKey::GcpKms { resource_id: text("projects/p") },
            MasterKey::AzureKeyVault { vault_url: text("https://v"), name: text("n"), version: text("1") },
            MasterKey::HcVault {
                vault_address: text("https://v:8200"),
                engine_path: text("a/b"),
                key_name: text("k"),
            },
            MasterKey::Age { recipient: text("age1") },
            MasterKey::HuaweiKms { key_id: text("eu:1") },
        ]
    }

    #[test]
    fn every_kind_goes_over_the_wire_and_back() {
        for key in keys() {
            let bytes = Key::of(&key).unwrap().encode_to_vec();
            assert_eq!(Key::decode(bytes.as_slice()).unwrap().into_master_key(), Some(key));
        }
        assert_eq!(Key::decode([].as_slice()).unwrap().into_master_key(), None);
        // A kind of tomorrow: field 9, empty.
        assert_eq!(Key::decode([0x4a, 0].as_slice()).unwrap().into_master_key(), None);
    }

    #[test]
    fn bytes_are_those_of_the_protocol() {
        let key = Key::of(&MasterKey::Age { recipient: "age1".to_owned() }).unwrap();
        let request = EncryptRequest::new(key, &Plaintext::from("p"));
        assert_eq!(request.encode_to_vec(), b"\x0a\x08\x32\x06\x0a\x04age1\x12\x01p");
        assert!(!format!("{request:?}").contains("plaintext"));
    }
}
