//! Proof instead of decryption: what lets a restart find that nothing is to be done without opening anything.
//!
//! A [`Proof`] says "this SealedSecret with this spec became this version of that Secret with this content". It is a
//! shortcut only: kept outside the target, authenticated by a MAC key that is derived from the sealing key which opened
//! the object, and without it there is one full pass. Replaying an old proof changes nothing, since it names the spec
//! and the version that it was made for.

use aws_lc_rs::{digest, hmac};
use sealops_crds::SealedSecret;
use sealops_crds::sealed_secret as names;
use sealops_crypto::sealing::{Fingerprint, SealingKeyRing};
use sealops_formats::base64;
use serde::{Deserialize, Serialize};

use crate::object::SecretObject;

/// Purpose of the derived MAC key; a change of what the MACs cover needs a new version here.
const PURPOSE: &str = "sealops proof v1";

/// Which object a Secret is, and at which version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetVersion {
    /// Uid of the Secret.
    pub uid: String,
    /// resourceVersion of the Secret.
    pub resource_version: String,
}

/// One entry of the state shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// Uid of the SealedSecret.
    pub uid: String,
    /// [`spec_hash`] of the SealedSecret.
    pub spec: String,
    /// The Secret and its version.
    pub target: TargetVersion,
    /// Sealing key that opened the object; it is tried first the next time.
    pub key: String,
    /// MAC over uid, spec and the Secret's content.
    content: String,
    /// MAC over everything above.
    mac: String,
}

/// What a proof says about the present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InSync {
    /// Spec and target are those of the proof.
    Yes,
    /// The spec is, the target's version is another: compare its content.
    TargetChanged,
    /// The proof says nothing about this state.
    Unknown,
}

/// Returns the hash of everything in a SealedSecret that decides its Secret (SHA-256, base64).
pub fn spec_hash(sealed: &SealedSecret) -> String {
    let annotations = sealed.metadata.annotations();
    let scope = [names::CLUSTER_WIDE, names::NAMESPACE_WIDE].map(|name| annotations.get(name));
    let spec = serde_json::to_vec(&(&sealed.spec, scope, &sealed.metadata.namespace, &sealed.metadata.name));
    base64::encode_public(digest::digest(&digest::SHA256, &spec.unwrap_or_default()).as_ref())
}

impl Proof {
    /// Makes the proof for a Secret that was just written or found right, from the object and its [`spec_hash`]. `None`
    /// without a usable key.
    pub fn make(
        sealed: (&SealedSecret, &str),
        secret: &SecretObject,
        target: TargetVersion,
        key: Option<&Fingerprint>,
        keys: &SealingKeyRing,
    ) -> Option<Self> {
        let key = key.or_else(|| keys.newest().map(|key| key.fingerprint()))?;
        let mac_key = keys.by_fingerprint(key)?.derive_mac_key(PURPOSE);
        let mut proof = Self {
            uid: sealed.0.metadata.uid.clone()?,
            spec: sealed.1.to_owned(),
            target,
            key: key.as_str().to_owned(),
            content: String::new(),
            mac: String::new(),
        };
        proof.content = proof.content_mac(&mac_key, secret);
        proof.mac = proof.outer_mac(&mac_key);
        Some(proof)
    }

    /// Judges the present state from versions alone: no value is read.
    pub fn judge(
        &self,
        uid: &str,
        spec: &str,
        target: Option<&TargetVersion>,
        keys: &SealingKeyRing,
    ) -> InSync {
        let Some(target) = target else { return InSync::Unknown };
        if self.uid != uid || self.spec != spec || self.target.uid != target.uid || !self.is_authentic(keys) {
            return InSync::Unknown;
        }
        if self.target.resource_version == target.resource_version {
            InSync::Yes
        } else {
            InSync::TargetChanged
        }
    }

    /// Returns the proof for another version of the target, if its content is the one proved.
    pub fn renewed(
        &self,
        secret: &SecretObject,
        target: TargetVersion,
        keys: &SealingKeyRing,
    ) -> Option<Self> {
        let mac_key = keys.by_fingerprint(&self.key())?.derive_mac_key(PURPOSE);
        let same = constant_time_eq(&self.content, &self.content_mac(&mac_key, secret));
        let mut proof = Self { target, ..self.clone() };
        proof.mac = proof.outer_mac(&mac_key);
        same.then_some(proof)
    }

    /// Returns the key that opened the object.
    pub fn key(&self) -> Fingerprint {
        Fingerprint::from_text(&self.key)
    }

    /// Returns whether a process with one of these keys made the proof.
    pub fn is_authentic(&self, keys: &SealingKeyRing) -> bool {
        keys.by_fingerprint(&self.key())
            .is_some_and(|key| constant_time_eq(&self.mac, &self.outer_mac(&key.derive_mac_key(PURPOSE))))
    }

    fn content_mac(&self, key: &hmac::Key, secret: &SecretObject) -> String {
        let mut mac = Mac::new(key, "content");
        let metadata = &secret.metadata;
        mac.field(self.uid.as_bytes()).field(self.spec.as_bytes());
        mac.field(secret.type_.as_deref().unwrap_or("Opaque").as_bytes());
        for map in [metadata.labels(), metadata.annotations()] {
            mac.count(map.len());
            for (name, value) in map {
                mac.field(name.as_bytes()).field(value.as_bytes());
            }
        }
        mac.field(&serde_json::to_vec(&metadata.owner_references).unwrap_or_default());
        mac.count(secret.data.len());
        for (name, value) in &secret.data {
            mac.field(name.as_bytes()).field(value.expose());
        }
        mac.finish()
    }

    fn outer_mac(&self, key: &hmac::Key) -> String {
        let mut mac = Mac::new(key, "proof");
        for field in
            [&self.uid, &self.spec, &self.target.uid, &self.target.resource_version, &self.key, &self.content]
        {
            mac.field(field.as_bytes());
        }
        mac.finish()
    }
}

/// HMAC-SHA-256 over length-prefixed fields.
struct Mac(hmac::Context);

impl Mac {
    fn new(key: &hmac::Key, domain: &str) -> Self {
        let mut mac = Self(hmac::Context::with_key(key));
        mac.field(domain.as_bytes());
        mac
    }

    fn count(&mut self, number: usize) {
        self.0.update(&(number as u64).to_be_bytes());
    }

    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len());
        self.0.update(bytes);
        self
    }

    fn finish(self) -> String {
        base64::encode_public(self.0.sign().as_ref())
    }
}

fn constant_time_eq(a: &str, b: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}
