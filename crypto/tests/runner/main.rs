//! Tests of the public interface against vectors of others and of our own.
#![allow(missing_docs, clippy::unwrap_used)]
// The rules of the pure core are for the core; tests read files.
#![allow(clippy::disallowed_methods)]

mod keys;
mod sealing;
mod vectors;
mod wycheproof_sets;

use std::path::PathBuf;

/// Returns a path below `testdata/`.
fn testdata(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata")).join(path)
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(testdata(path)).unwrap_or_else(|error| panic!("testdata/{path}: {error}"))
}

fn key(name: &str) -> sealops_crypto::sealing::SealingKey {
    sealops_crypto::sealing::SealingKey::from_pem(&read(&format!("keys/{name}.key")).into()).unwrap()
}

fn certificate(name: &str) -> sealops_crypto::sealing::Certificate {
    sealops_crypto::sealing::Certificate::from_pem(&read(&format!("keys/{name}.crt"))).unwrap()
}
