//! Makes an outcome true in the cluster: the one place that writes and removes targets.

use super::api::SecretApi;
use super::leader::WriteGuard;
use crate::object::{SecretObject, manifest_version};
use crate::outcome::{Change, CommitError, CommitErrorKind, ManifestChange, Outcome};
use crate::sealed::TargetVersion;

/// What a commit did.
#[derive(Debug)]
pub struct Committed {
    /// The change that was made, with the version of the Secret afterwards.
    pub change: Option<(Change, TargetVersion)>,
    /// The Secrets that were removed.
    pub removed: Vec<SecretObject>,
}

/// Makes the changes in order, each under its precondition and only while this process leads.
///
/// # Errors
/// Returns the first change that was not made; the ones before it stay.
pub async fn commit(
    outcome: Outcome,
    api: &SecretApi,
    guard: &WriteGuard,
    field_manager: &str,
) -> Result<Committed, CommitError> {
    let mut committed = Committed { change: None, removed: Vec::new() };
    for change in outcome.changes {
        check(guard)?;
        let version = api.write(&change, field_manager).await?;
        match change {
            Change::Delete(secret) => committed.removed.push(secret),
            change => committed.change = Some((change, version)),
        }
    }
    Ok(committed)
}

/// Makes a change of a target that is no Secret, under its precondition and while this process leads. Returns its version
/// afterwards.
///
/// # Errors
/// Returns why it was not made.
pub async fn commit_manifest(
    change: &ManifestChange,
    api: &SecretApi,
    guard: &WriteGuard,
    field_manager: &str,
) -> Result<String, CommitError> {
    check(guard)?;
    api.write_manifest(change, field_manager).await.map(|metadata| manifest_version(&metadata))
}

/// Removes a target that was read, while this process leads: `--old-gc-behavior` only.
///
/// # Errors
/// Returns why it was not removed.
pub async fn remove(target: &SecretObject, api: &SecretApi, guard: &WriteGuard) -> Result<(), CommitError> {
    check(guard)?;
    api.delete(target).await
}

fn check(guard: &WriteGuard) -> Result<(), CommitError> {
    guard.check().map_err(|_| CommitError {
        kind: CommitErrorKind::NotLeader,
        message: "this replica does not lead any more".to_owned(),
    })
}
