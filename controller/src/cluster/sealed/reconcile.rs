//! One object: read it, make its target true, report.

use std::sync::Arc;

use sealops_crds::{Metadata, SealedSecret};
use sealops_crypto::sealing::Fingerprint;
use tracing::{debug, info};

use super::{KIND, SealedDriver};
use crate::HINT_ANNOTATION;
use crate::cluster::commit::{commit, remove};
use crate::cluster::keys::Keys;
use crate::cluster::leader::WriteGuard;
use crate::cluster::lock;
use crate::cluster::metrics::{ReconcileResult, UnsealErrorReason};
use crate::object::{ClusterReader, ObjectKey, controller_of};
use crate::outcome::CommitErrorKind;
use crate::sealed::{self, Failure, InSync, Opened, Proof, TargetVersion};

/// How a reconcile ended.
pub(super) enum Done {
    /// The object is as it should be, or gone.
    Settled(ReconcileResult),
    /// It failed; another try may help.
    Again,
    /// It failed; only a change helps.
    Stuck,
}

/// An object as read, and what it is compared by.
pub(super) struct Read<'a> {
    pub(super) key: &'a ObjectKey,
    pub(super) object: SealedSecret,
    pub(super) spec: String,
    pub(super) keys: Arc<Keys>,
}

/// Why making the target true stopped.
pub(super) enum Stop {
    /// It failed, and the status says so.
    Failed(Failure),
    /// Somebody else was faster, or leads: read again, say nothing.
    Silent,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl SealedDriver {
    pub(super) async fn work(&self, guard: &WriteGuard) {
        while let Some(item) = self.shared.queue.next().await {
            let done = self.reconcile(&item.key, guard).await;
            match done {
                Done::Settled(result) => {
                    self.shared.metrics.reconcile(KIND, result);
                    self.shared.queue.forget(&item.key);
                }
                Done::Stuck => self.shared.metrics.reconcile(KIND, ReconcileResult::Error),
                Done::Again => {
                    self.shared.metrics.reconcile(KIND, ReconcileResult::Error);
                    self.shared.queue.failed(item.key.clone());
                }
            }
        }
    }

    async fn reconcile(&self, key: &ObjectKey, guard: &WriteGuard) -> Done {
        let object = match self.shared.api.object::<SealedSecret>(key).await {
            Ok(Some(object)) => object,
            Ok(None) => return self.gone(key, guard).await,
            Err(error) => {
                debug!(%error, "cannot read the object");
                self.shared.metrics.unseal_error(UnsealErrorReason::Fetch, &key.namespace);
                return Done::Again;
            }
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Done::Settled(ReconcileResult::Unchanged);
        }
        let spec = sealed::spec_hash(&object);
        let read = Read { key, object, spec, keys: self.keys.current() };
        if self.would_fail_again(&read) {
            return Done::Stuck; // the same values and the same keys give the same failure
        }
        self.shared.metrics.unseal_request();
        match self.bring_about(&read, guard).await {
            Ok(wrote) => self.report_success(&read, wrote, guard).await,
            Err(Stop::Failed(failure)) => self.report_failure(&read, &failure, guard).await,
            Err(Stop::Silent) => Done::Again,
        }
    }

    /// The object is not there any more. Kubernetes removes its target; with `--old-gc-behavior` we do, where it was
    /// this object's. Upstream deletes whatever has the name.
    async fn gone(&self, key: &ObjectKey, guard: &WriteGuard) -> Done {
        self.forget(key);
        let Some(gone) = lock(&self.gone).get(key).cloned() else {
            return Done::Settled(ReconcileResult::Unchanged);
        };
        let target = match self.shared.api.secret(key).await {
            Ok(Some(target)) => target,
            Ok(None) => {
                lock(&self.gone).remove(key);
                return Done::Settled(ReconcileResult::Unchanged);
            }
            Err(_) => return Done::Again,
        };
        // What we made and somebody else has taken over since is not ours any more.
        let ours = match controller_of(&target.metadata) {
            Some(owner) => owner.uid == gone.uid,
            None => gone.made.is_some() && gone.made == target.metadata.uid,
        };
        if ours {
            info!(secret = %key, "SealedSecret has gone, deleting Secret");
            if remove(&target, &self.shared.api, guard).await.is_err() {
                return Done::Again;
            }
        }
        lock(&self.gone).remove(key);
        Done::Settled(ReconcileResult::Written)
    }

    /// Makes the target true. Returns whether it was written.
    async fn bring_about(&self, read: &Read<'_>, guard: &WriteGuard) -> Result<bool, Stop> {
        let Read { key, object, spec, keys } = read;
        let proof = lock(&self.proofs).get(key).cloned();
        if let Some(proof) = &proof
            && self.is_proved(read, proof).await?
        {
            return Ok(false);
        }
        let hint = proof.as_ref().map(Proof::key).or_else(|| hint_of(object));
        let opened = self.open(object, keys, hint).await?;
        let used = opened.key.clone();
        let made_by_us = proof.as_ref().filter(|proof| Some(&proof.uid) == object.metadata.uid.as_ref());
        let made_by_us = made_by_us.map(|proof| proof.target.uid.clone());
        let namespace = self.shared.reader.in_namespace(&key.namespace);
        let mut outcome =
            sealed::reconcile(object, opened, namespace.as_ref(), made_by_us.as_deref()).await?;
        let kept = outcome.kept.take();
        let committed = commit(outcome, &self.shared.api, guard, crate::cluster::FIELD_MANAGER)
            .await
            .map_err(|error| match error.kind {
                CommitErrorKind::Conflict | CommitErrorKind::NotLeader => Stop::Silent,
                _ => Stop::Failed(Failure::commit(&key.namespace, &key.name, &error)),
            })?;
        let proof = match (&committed.change, kept) {
            (Some((change, version)), _) => {
                Proof::make((object, spec), change.secret(), version.clone(), used.as_ref(), &keys.ring)
            }
            (None, Some(kept)) => {
                let version = version_of(&kept.metadata);
                Proof::make((object, spec), &kept, version, used.as_ref(), &keys.ring)
            }
            (None, None) => None,
        };
        lock(&self.proofs).set(key, proof);
        Ok(committed.change.is_some())
    }

    /// Compares the target with a proof of the same spec: no RSA.
    async fn is_proved(&self, read: &Read<'_>, proof: &Proof) -> Result<bool, Stop> {
        let uid = read.object.metadata.uid.as_deref().unwrap_or_default();
        let target = lock(&self.index).secret(read.key).map(|secret| secret.version.clone());
        if proof.judge(uid, &read.spec, target.as_ref(), &read.keys.ring) == InSync::Unknown {
            return Ok(false);
        }
        let secret = self.shared.api.secret(read.key).await.map_err(|error| Failure::read(&error))?;
        let Some(secret) = secret else { return Ok(false) };
        let renewed = proof.renewed(&secret, version_of(&secret.metadata), &read.keys.ring);
        let proved = renewed.is_some();
        if proved {
            lock(&self.proofs).set(read.key, renewed);
        }
        Ok(proved)
    }

    async fn open(
        &self,
        object: &SealedSecret,
        keys: &Arc<Keys>,
        hint: Option<Fingerprint>,
    ) -> Result<Opened, Failure> {
        let (object, keys, options) = (object.clone(), Arc::clone(keys), self.options.open);
        let _permit = self.rsa.acquire().await;
        let opened =
            tokio::task::spawn_blocking(move || sealed::open(&object, &keys.ring, hint.as_ref(), options))
                .await;
        let opened =
            opened.unwrap_or_else(|_| Err(Failure::unseal("an internal error occurred while unsealing")));
        if let Ok(opened) = &opened {
            self.shared.metrics.rsa_operations(u32::try_from(opened.rsa_operations).unwrap_or(u32::MAX));
        }
        opened
    }
}

fn hint_of(object: &SealedSecret) -> Option<Fingerprint> {
    object.metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text))
}

fn version_of(metadata: &Metadata) -> TargetVersion {
    TargetVersion {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
    }
}
