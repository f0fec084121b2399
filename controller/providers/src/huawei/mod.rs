//! Huawei Cloud: keys of its KMS for SOPS.
//!
//! ```text
//!   credentials ── environment ─► profile file ─► the agency of this machine ─► identity of a pod
//!       ▼
//!   Login ── keys that sign: found once for all who wait, renewed before they end; the project of a region, asked once
//!       ▼
//!   Kms ── KeyService: encrypt, decrypt; every request is signed (SDK-HMAC-SHA256)
//! ```
//!
//! This is built on the HTTP client that all backends share: there is no SDK of Huawei's in Rust, and three requests are
//! all that is needed. Which addresses, variables and files count is what Huawei's Go SDK looks at, which SOPS uses.
//! Logins by an identity provider (`HUAWEICLOUD_SDK_IDP_ID`) are not built.

mod api;
mod clock;
mod credentials;
mod kms;
mod login;
mod machine;
mod profile;
mod regions;
mod shared;
mod signing;

pub use kms::{Kms, contacts};

use crate::ProviderErrorKind;

fn invalid(text: impl Into<String>) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text.into())
}

/// Names of regions and projects go into addresses.
fn is_word(text: &str) -> bool {
    const MAX_BYTES: usize = 128;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= MAX_BYTES && text.bytes().all(plain)
}
