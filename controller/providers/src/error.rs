//! Why a provider did not do what was asked: the same kinds for every backend.

use std::time::Duration;

/// Why a provider did not do what was asked. Carries names and status codes and never a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{backend} provider: {operation} {target}: {kind}")]
pub struct ProviderError {
    /// The provider's name in the CRD, or the kind of key.
    pub backend: String,
    /// What was tried.
    pub operation: &'static str,
    /// What it was tried on.
    pub target: String,
    /// What went wrong.
    pub kind: ProviderErrorKind,
}

/// Kinds of [`ProviderError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The settings make no sense.
    #[error("{0}")]
    Invalid(String),
    /// This build has no code for the provider.
    #[error("this build of sealops has no such provider")]
    NotBuilt,
    /// The provider cannot do this at all.
    #[error("{0} is not supported by this provider")]
    Unsupported(&'static str),
    /// The store has no such value.
    #[error("there is no such secret")]
    NotFound,
    /// The credentials are wrong, or run out.
    #[error("the login was refused: {0}")]
    Unauthenticated(String),
    /// The credentials are right and do not suffice.
    #[error("access was denied: {0}")]
    Denied(String),
    /// A policy of ours forbids it: nothing was sent.
    #[error("{0}")]
    Forbidden(String),
    /// Too many requests.
    #[error("too many requests{}", wait(.0))]
    Throttled(Option<Duration>),
    /// Not reachable, overloaded or unclear.
    #[error("{0}")]
    Unavailable(String),
    /// The answer makes no sense, or the request was refused for good.
    #[error("{0}")]
    Failed(String),
}

fn wait(after: &Option<Duration>) -> String {
    after.map(|after| format!("; the server asks to wait {} s", after.as_secs())).unwrap_or_default()
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request gives the same answer.
    Never,
    /// After a growing wait.
    Backoff,
    /// After the wait that the server named.
    After(Duration),
}

impl ProviderErrorKind {
    /// Returns whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Throttled(Some(after)) => Retry::After(*after),
            Self::Throttled(None) | Self::Unavailable(_) => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}
