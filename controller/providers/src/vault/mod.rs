//! Vault and OpenBao: logins, transit keys, KV stores, dynamic secrets.
//!
//! ```text
//!   Settings ─► Client ── one request: limits, retries, namespace, JSON in wiped memory
//!                 ▲
//!   Login ─► Session ── token: one login for all who wait, renewed, taken again when it died, revoked at the end
//!                 ▲
//!      ┌──────────┼───────────┐
//!   Transit     KvStore    dynamic          KeyService │ SecretsReader, SecretsWriter, StoreCheck │ generator
//! ```
//!
//! This is built on the HTTP client that all backends share and not on the crate vaultrs (0.8.0, with rustify 0.7.0),
//! which was looked at: it reads bodies without a bound, has no repetition and no `Retry-After`, keeps tokens and values
//! in plain `String`s whose types print them, puts the body of an answer that it cannot parse into the error and that
//! error into a log line, and brings reqwest as a second HTTP stack.

mod auth;
mod client;
mod connect;
mod dynamic;
#[cfg(feature = "local-keys")]
mod environment;
mod find;
mod kv;
mod leases;
mod paths;
mod publish;
mod push;
mod transit;

pub(crate) use crate::json::Json;
pub use auth::{Login, Session};
pub use client::{Client, Settings};
pub(crate) use connect::connect;
pub use dynamic::{Dynamic, DynamicRequest, DynamicResult, generate};
#[cfg(feature = "local-keys")]
pub use environment::EnvironmentServers;
pub use leases::{Intent, Lease, revoke};
pub use publish::{Published, publish};
pub use transit::{ALLOWLIST, Allowlist, Servers, Transit};

/// Name in errors: that of the property in the CRD.
pub(crate) const BACKEND: &str = "vault";
