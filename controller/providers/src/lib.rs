//! Places that hold secrets and keys: one module and one feature per backend.
//!
//! A provider returns bytes and a version. It never looks into a value (properties, decoding and templates happen once,
//! in the controller), never holds the controller's own client and never sees a whole Secret of the cluster.
//!
//! ```text
//!   connect(store) ─► StoreConnection { SecretsReader, SecretsWriter, StoreCheck }     External Secrets
//!   KeyService: wrap, unwrap                                                         SOPS
//!        └── aws, vault, … : one login and one client for both ──► http: limits of time and size, retries
//! ```

#[cfg(feature = "http")]
mod authorities;
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "azure")]
pub mod azure;
mod duration;
#[cfg(feature = "egress")]
pub mod egress;
mod error;
mod fake;
#[cfg(feature = "gcp")]
pub mod gcp;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "http")]
pub mod http_extras;
#[cfg(feature = "huawei")]
pub mod huawei;
#[cfg(feature = "http")]
mod json;
pub mod key_service;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(feature = "local-keys")]
pub mod local;
#[cfg(feature = "names")]
pub mod names;
#[cfg(feature = "postgres")]
pub mod postgres;
mod reach;
#[cfg(feature = "http")]
pub mod retry;
mod store;
#[cfg(feature = "vault")]
pub mod vault;
#[cfg(feature = "webhook")]
mod webhook;

use std::future::Future;
use std::pin::Pin;

pub use duration::go_duration;
pub use error::{ProviderError, ProviderErrorKind, Retry};
pub use key_service::KeyService;
pub use reach::{OwnIdentity, Reach, Refusals};
pub use store::{
    ConnectContext, CredentialSource, Dialect, Egress, Find, PropertyRule, PushTarget, RemoteKey,
    RemoteSecret, RemoteValue, Render, RenderProblem, SecretsReader, SecretsWriter, Selector, StoreCheck,
    StoreConnection, StoreIdentity, TemplateValue, TokenRequest, Validation, ValueRule, connect,
};

/// A boxed future, so that the traits here can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
