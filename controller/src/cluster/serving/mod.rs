//! `external-secrets webhook` and `external-secrets certcontroller`: upstream's admission, with upstream's certificate.
//!
//! ```text
//!   cert controller ──► Secret (ca.crt, ca.key, tls.crt, tls.key) ──mounted──► webhook ──► crate::admission
//!        └──► caBundle of the ValidatingWebhookConfigurations, and of definitions that convert by webhook
//! ```
//!
//! The webhook has no rights and asks nobody. The cert controller writes one Secret, and the fields above.

mod cert_controller;
mod certificates;
mod inject;
mod webhook;

pub use cert_controller::{CertControllerOptions, run_cert_controller};
pub use webhook::{TlsOptions, WebhookOptions, run_webhook};
