//! `/v1/verify` and `/v1/rotate`: upstream's codes, with a share of the processors that no caller can exceed.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tracing::warn;

use super::router::{Request, Response, respond, text};
use crate::cluster::keys::{KeyManager, Keys};
use crate::sealed::{Body, OpenOptions, RotateError};
use sealops_crypto::sealing::Certificate;

/// What the two paths need.
pub struct SealingApi {
    keys: Arc<KeyManager>,
    options: OpenOptions,
    /// RSA operations at once, shared with the reconcilers.
    rsa: Arc<Semaphore>,
    /// Of those, what callers get: one at a time.
    share: Semaphore,
}

impl SealingApi {
    /// Makes the answers, from the controller's keys and its permits for RSA operations.
    pub fn new(keys: Arc<KeyManager>, options: OpenOptions, rsa: Arc<Semaphore>) -> Self {
        Self { keys, options, rsa, share: Semaphore::new(1) }
    }

    pub(super) async fn verify(self: Arc<Self>, request: Request) -> Response {
        let options = self.options;
        let opened = self
            .with_keys(request, move |body, keys| Ok(Body::read(&body)?.opens(&keys.ring, options)))
            .await;
        match opened {
            Ok(true) => text(200, ""),
            Ok(false) => text(409, ""),
            Err(problem) => {
                warn!(%problem, "Error validating secret");
                text(500, "")
            }
        }
    }

    pub(super) async fn rotate(self: Arc<Self>, request: Request) -> Response {
        let options = self.options;
        let rotated = self
            .with_keys(request, move |body, keys| {
                let current = keys.certificate.as_deref().map(|pem| Certificate::from_pem(pem.as_bytes()));
                let Some(Ok(current)) = current else {
                    return Err(RotateError::Unsealable("there is no sealing key".to_owned()));
                };
                Body::read(&body)?.rotate(&keys.ring, &current, options)
            })
            .await;
        match rotated {
            Ok(object) => respond(200, "application/json", object),
            Err(problem) => {
                warn!(%problem, "Error rotating secret");
                text(500, "")
            }
        }
    }

    /// Works on a body off the async threads, one body of all callers at a time.
    async fn with_keys<T: Send + 'static>(
        &self,
        request: Request,
        work: impl FnOnce(Bytes, &Keys) -> Result<T, RotateError> + Send + 'static,
    ) -> Result<T, RotateError> {
        let broken = || RotateError::Unsealable("an internal error occurred".to_owned());
        let _share = self.share.acquire().await.map_err(|_| broken())?;
        let permit = Arc::clone(&self.rsa).acquire_owned().await.map_err(|_| broken())?;
        let (keys, body) = (self.keys.current(), request.into_body());
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(body, &keys)
        })
        .await
        .unwrap_or_else(|_| Err(broken()))
    }
}
