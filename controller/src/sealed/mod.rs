//! SealedSecret → Secret, as sealed-secrets 0.40.0 does it.
//!
//! ```text
//!   SealedSecret ──open (RSA, no I/O)──► Opened ──decide (reads the existing Secret)──► Outcome
//!                                                   a committer makes it so ──► report: status, event
//! ```
//!
//! [`open()`] is pure and expensive: a cluster runs it off the async threads. [`decide()`] is cheap.

mod decide;
mod failure;
mod keys;
mod open;
mod proof;
mod report;
mod rotate;

pub use decide::decide;
pub use failure::{Failure, FailureReason};
pub use keys::{KEY_TYPE, KeyOrder, KeySecretError, key_secret, read_key_secret};
pub use open::{OpenOptions, Opened, open, scope_of};
pub use proof::{InSync, Proof, TargetVersion, spec_hash};
pub use report::{Progress, Report, report, says_failed, says_synced};
pub use rotate::{Body, RotateError};

use sealops_crds::SealedSecret;

use crate::object::ObjectReader;
use crate::outcome::Outcome;

/// Reads the existing target and decides what to write.
///
/// `made_by_us` is the uid of the target that an earlier reconcile of this object created, where that is known.
///
/// # Errors
/// Returns why the Secret cannot be written.
pub async fn reconcile(
    sealed: &SealedSecret,
    opened: Opened,
    reader: &dyn ObjectReader,
    made_by_us: Option<&str>,
) -> Result<Outcome, Failure> {
    let name = sealed.metadata.name.as_deref().unwrap_or_default();
    let existing = reader.secret(name).await.map_err(|error| Failure::read(&error))?;
    decide(sealed, opened.secret, existing, made_by_us)
}
