//! Sealing keys: the one of the test data, and sixty RSA-4096 keys that are made once and kept in the cache.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow};
use sealops_crypto::sealing::{Certificate, KeySpec, RingKey, SealingKey, SealingKeyRing};
use serde_json::{Value, json};

use crate::programs::repository;

/// A sealing key with its certificate.
#[derive(Clone)]
pub(crate) struct Pair {
    private_pem: Vec<u8>,
    /// What to seal with.
    pub(crate) certificate: Arc<Certificate>,
}

impl Pair {
    /// Returns the key Secret that both controllers read.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Result<Value> {
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "namespace": namespace,
                "name": name,
                "labels": { "sealedsecrets.bitnami.com/sealed-secrets-key": "active" },
            },
            "stringData": {
                "tls.key": std::str::from_utf8(&self.private_pem)?,
                "tls.crt": self.certificate.pem(),
            },
        }))
    }
}

/// Returns the ring with the private key of the certificate that P1 and P7 seal with.
pub(crate) fn test_ring() -> Result<SealingKeyRing> {
    let pem = std::fs::read(repository("testdata/keys/first-4096.key"))?;
    let key = SealingKey::from_pem(&pem.into())?;
    Ok(SealingKeyRing::new([RingKey { key: Arc::new(key), order: 0 }]))
}

/// Returns the ring of `pairs`, ordered by the certificates as a controller does it.
pub(crate) fn ring(pairs: &[Pair]) -> Result<SealingKeyRing> {
    let keys = pairs.iter().map(|pair| {
        let key = Arc::new(SealingKey::from_pem(&pair.private_pem.as_slice().into())?);
        Ok(RingKey { key, order: pair.certificate.not_before() })
    });
    Ok(SealingKeyRing::new(keys.collect::<Result<Vec<_>>>()?))
}

/// Returns the first `count` keys, oldest first; missing ones are made, on two processors, in about a second each.
pub(crate) fn pairs(count: usize) -> Result<Vec<Pair>> {
    let folder = cache()?.join("bench-keys");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let missing: Vec<usize> = (0..count).filter(|number| !file(&folder, *number, "crt").exists()).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(number) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            eprintln!("making RSA-4096 key {number} of {count} (once)");
            make(&folder, *number)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work()?;
        other.join().map_err(|_| anyhow!("making a key has panicked"))?
    })?;
    (0..count).map(|number| read(&folder, number)).collect()
}

fn read(folder: &Path, number: usize) -> Result<Pair> {
    let path = file(folder, number, "crt");
    let certificate = Certificate::from_pem(&std::fs::read(&path)?)
        .with_context(|| format!("{}: remove the folder", path.display()))?;
    let private_pem = std::fs::read(file(folder, number, "key"))?;
    Ok(Pair { private_pem, certificate: Arc::new(certificate) })
}

fn make(folder: &Path, number: usize) -> Result<()> {
    let spec = KeySpec {
        bits: 4096,
        common_name: String::new(),
        // Two days apart, so that their order is known.
        not_before: FIRST_DAY + i64::try_from(number)? * 2 * 86_400,
        lifetime: 20 * 365 * 86_400,
    };
    let pair = spec.generate()?;
    // The certificate comes last: where it is, the key is whole.
    for (ending, text) in [("key", pair.private_key.expose()), ("crt", pair.certificate.as_bytes())] {
        let path = file(folder, number, ending);
        let temporary = path.with_extension(format!("{ending}.new"));
        let options = File::options().create(true).write(true).truncate(true).mode(0o600).clone();
        options.open(&temporary)?.write_all(text)?;
        std::fs::rename(&temporary, &path)?;
    }
    Ok(())
}

fn file(folder: &Path, number: usize, ending: &str) -> PathBuf {
    folder.join(format!("{number:02}.{ending}"))
}

/// The cache folder, as the Makefile finds it.
fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("SEALOPS_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("sealops")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/sealops")));
    cache.context("neither SEALOPS_CACHE nor HOME is set")
}

/// 2024-01-01.
const FIRST_DAY: i64 = 1_704_067_200;
