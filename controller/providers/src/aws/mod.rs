//! AWS: one login and one HTTP client for KMS (SOPS) and for Secrets Manager and Parameter Store (External Secrets).
//!
//! ```text
//!   auth: environment, profile, web identity, static keys ──► roles, one after the other ──► SdkConfig
//!            │     └── profile, mfa: a profile's roles that want the code of a device
//!            └── http_client: the SDK's requests through our HttpClient, with its limits and its one TLS stack
//!   kms: KeyService                                        by aws-sdk-kms
//!   secrets_manager, parameter_store: SecretsReader, …     by api: one signed JSON POST a call
//!   generate: logins to registries by api, sessions        by aws-sdk-sts
//!   s3: puts an object                                     by one signed request
//! ```
//!
//! Of AWS's errors the code is told and never the message: services quote what they were sent.
//!
//! What aws-sdk-kms copies of a part (its `Blob`, its JSON) is not wiped; the answers' bodies are.

mod api;
mod auth;
mod chain;
mod connect;
mod error;
mod generate;
mod http_client;
mod kms;
mod mfa;
mod parameter_store;
mod profile;
mod push;
mod s3;
mod secrets_manager;
mod together;

pub use auth::{Base, Role, session_name};
pub(crate) use connect::connect;
pub use generate::{registry_login, session};
pub use kms::Kms;
pub use mfa::MfaSessions;
pub use s3::S3;
