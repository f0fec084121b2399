//! What the network has unwrapped already: nobody is asked twice for the same text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealops_crypto::sops::{KeyPart, MasterKey};
use tokio::sync::OnceCell;

/// Parts that are remembered; what comes after them is asked for every time.
const MAX_REMEMBERED: usize = 100_000;

/// Parts by key and wrapped text, for the life of the process.
#[derive(Default)]
pub(super) struct Unwrapped {
    parts: Mutex<HashMap<(String, String), Arc<OnceCell<KeyPart>>>>,
}

impl Unwrapped {
    /// Returns the part that is known, or asks for it: one at a time for the same text. Failures are not remembered.
    pub(super) async fn get(
        &self,
        key: &MasterKey,
        wrapped: &str,
        ask: impl Future<Output = Result<KeyPart, Vec<String>>>,
    ) -> Result<KeyPart, Vec<String>> {
        let cell = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            let name = (format!("{} {key}", key.list()), wrapped.to_owned());
            match parts.get(&name) {
                Some(cell) => Arc::clone(cell),
                None if parts.len() >= MAX_REMEMBERED => Arc::default(),
                None => Arc::clone(parts.entry(name).or_default()),
            }
        };
        cell.get_or_try_init(|| ask).await.map(|part| KeyPart::new(part.plaintext().duplicate()))
    }
}
