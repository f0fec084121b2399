//! The controller against a real API server, beside the real Sealed Secrets controller and kubeseal.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod canary;
mod chaos;
mod chart;
mod definitions;
mod external;
mod harness;
mod image;
mod interop;
mod objects;
mod offline;
mod restart;
mod rights;
mod takeover;
mod template_interop;
mod templates;
