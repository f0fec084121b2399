//! Secrets and SealedSecrets to measure with, and the check that both sides have made the same of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use sealops_controller::sealed::scope_of;
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{Certificate, Label, Scope, SealingKeyRing, seal};
use sealops_formats::{base64, manifest};
use serde_json::{Value, json};

use crate::stats::Random;

/// The values of one object.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) entries: BTreeMap<String, Vec<u8>>,
}

impl Values {
    /// Returns `count` values of 32 characters, the same ones for the same name.
    pub(crate) fn new(namespace: &str, name: &str, count: usize) -> Self {
        let seed = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let mut random = Random(seed | 1);
        let mut value = || format!("{:016x}{:016x}", random.next(), random.next()).into_bytes();
        let entries = (0..count).map(|number| (format!("key-{number:04}"), value())).collect();
        Self { namespace: namespace.to_owned(), name: name.to_owned(), entries }
    }

    /// Returns the object sealed by our own library.
    pub(crate) fn sealed(&self, certificate: &Certificate) -> Result<Value> {
        let label = Label::for_secret(Scope::Strict, &self.namespace, &self.name);
        let mut encrypted = BTreeMap::new();
        for (key, value) in &self.entries {
            let sealed = seal(certificate, &label, &value.as_slice().into())?;
            encrypted.insert(key.clone(), base64::encode_public(&sealed));
        }
        let metadata = json!({ "namespace": self.namespace, "name": self.name });
        Ok(json!({
            "apiVersion": SealedSecret::API_VERSION,
            "kind": SealedSecret::KIND,
            "metadata": metadata,
            "spec": { "encryptedData": encrypted, "template": { "metadata": metadata } },
        }))
    }
}

/// Returns the Secrets in YAML, one document each.
pub(crate) fn secret_manifest(secrets: &[Values]) -> String {
    let mut text = String::new();
    for secret in secrets {
        let _ = write!(
            text,
            "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n  namespace: {}\ndata:\n",
            secret.name, secret.namespace
        );
        for (key, value) in &secret.entries {
            let _ = writeln!(text, "  {key}: {}", base64::encode_public(value));
        }
    }
    text
}

/// Opens what a tool has sealed.
pub(crate) struct SealedCheck {
    pub(crate) ring: SealingKeyRing,
    pub(crate) expected: Vec<Values>,
}

/// One sealed value with what must come out of it.
struct Opening<'a> {
    label: Label,
    sealed: String,
    value: &'a [u8],
}

impl SealedCheck {
    /// Checks the output of both sides: all names, and every value (`thorough`) or some.
    pub(crate) fn both(&self, peer: &Path, ours: &Path, thorough: bool) -> Result<()> {
        self.one(peer, thorough).context("peer")?;
        self.one(ours, thorough).context("ours")
    }

    fn one(&self, file: &Path, thorough: bool) -> Result<()> {
        let documents = manifest::parse(&std::fs::read(file)?).map_err(|error| anyhow!("{error}"))?;
        let documents: Vec<_> = documents.into_iter().filter(|document| !document.root.is_null()).collect();
        ensure!(documents.len() == self.expected.len(), "{} objects", documents.len());
        let mut openings = Vec::new();
        for (document, expected) in documents.iter().zip(&self.expected) {
            let sealed: SealedSecret = document.root.read()?;
            openings.extend(compare_names(&sealed, expected)?);
        }
        let step = if thorough { 1 } else { openings.len().div_ceil(SAMPLES) };
        let chosen: Vec<&Opening<'_>> = openings.iter().step_by(step).collect();
        let (left, right) = chosen.split_at(chosen.len() / 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| self.open(left));
            self.open(right)?;
            other.join().map_err(|_| anyhow!("a check has panicked"))?
        })
    }

    fn open(&self, openings: &[&Opening<'_>]) -> Result<()> {
        for opening in openings {
            let sealed = base64::decode(opening.sealed.as_bytes())?;
            let unsealed = self.ring.unseal(&opening.label, sealed.expose(), None)?;
            ensure!(unsealed.value.expose() == opening.value, "another value came out");
        }
        Ok(())
    }
}

fn compare_names<'a>(sealed: &SealedSecret, expected: &'a Values) -> Result<Vec<Opening<'a>>> {
    let metadata = &sealed.metadata;
    let found = (metadata.namespace.as_deref(), metadata.name.as_deref());
    ensure!(found == (Some(expected.namespace.as_str()), Some(expected.name.as_str())), "object {found:?}");
    ensure!(sealed.spec.encrypted_data.len() == expected.entries.len(), "another number of values");
    let scope = scope_of(metadata.annotations());
    let label = Label::for_secret(scope, &expected.namespace, &expected.name);
    let entries = sealed.spec.encrypted_data.iter().zip(&expected.entries);
    entries
        .map(|((key, sealed), (expected_key, value))| {
            ensure!(key == expected_key, "entry {key}");
            Ok(Opening { label: label.clone(), sealed: sealed.clone(), value })
        })
        .collect()
}

/// Values that are opened where not all are.
const SAMPLES: usize = 4;
