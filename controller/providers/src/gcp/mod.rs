//! Google Cloud: keys of SOPS in Cloud KMS, and objects in Cloud Storage that SOPS publishes.
//!
//! ```text
//!   environment: variables, files ─► Settings ─► Login ── token: one login for all who wait, renewed, taken again after 401
//!                                                  │
//!                                     Api ── one request: limits, repetitions, closed set of words for errors
//!                                      ├─ Kms: KeyService         REST, v1
//!                                      └─ Storage: puts an object  JSON API, one upload
//! ```
//!
//! This is built on the HTTP client that all backends share and not on Google's crates (google-cloud-kms-v1, -storage,
//! -auth), which were looked at: they bring about a hundred packages, among them a second HTTP client and a gRPC stack,
//! read answers without a bound, keep tokens and plaintexts in plain `String`s and `Bytes`, and put the text of an
//! answer into the error. What is needed is three requests. SOPS asks Cloud KMS by gRPC unless
//! `SOPS_GCP_KMS_CLIENT_TYPE` says `rest`; here it is always REST, which the same addresses serve.

mod api;
mod checksum;
mod credentials;
#[cfg(feature = "local-keys")]
mod environment;
mod federation;
mod jwt;
mod kms;
mod login;
mod storage;
mod token_server;

pub use api::Settings;
pub use credentials::Credentials;
#[cfg(feature = "local-keys")]
pub use environment::{kms_contacts, kms_settings, storage_settings};
pub use kms::Kms;
pub use storage::Storage;

/// Where Google's own services are.
pub(crate) const UNIVERSE: &str = "googleapis.com";
