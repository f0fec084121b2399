//! The cluster side of the controller.
//!
//! ```text
//!   watches ──► index ──► queue ──► workers: read live ─► reconcile (pure) ─► commit ─► status ─► event
//!                 ▲                    │ RSA on the blocking pool
//!   proofs from the shards             └► proofs, back into the shards
//! ```
//!
//! Every write passes a [`leader::WriteGuard`]: a process that may not lead any more sends nothing.

pub mod api;
pub mod commit;
mod driver;
pub mod events;
pub mod external;
pub mod fan_out;
pub mod generator_states;
pub mod http;
pub mod index;
pub mod keys;
pub mod leader;
mod ledger;
pub mod log;
pub mod metrics;
mod objects;
pub mod push;
pub mod queue;
pub mod reader;
pub mod receiver;
pub mod restarts;
pub mod run;
pub mod run_external;
pub mod sealed;
pub mod serving;
pub mod shards;
pub mod stores;
pub mod throttle;
pub mod watch;
pub mod workers;

/// Field manager of everything but the targets of ExternalSecrets, which carry upstream's.
pub const FIELD_MANAGER: &str = "sealops-controller";

/// Locks; a panic elsewhere leaves the value consistent, since every change made under these locks is one step.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
