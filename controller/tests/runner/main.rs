//! The controller against a real API server, beside the real Sealed Secrets controller and kubeseal.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod bad_input;
mod both;
mod canary;
mod chaos;
mod chart;
mod chart_external;
mod cluster_kinds;
mod definitions;
mod eso;
mod eso_process;
mod external;
mod faults;
mod flags;
mod harness;
mod health;
mod http;
mod image;
mod install;
mod interop;
mod isolation;
mod judge;
mod objects;
mod offline;
mod push;
mod rejected;
mod restart;
mod rights;
mod sealing_keys;
mod store_server;
mod stores;
mod takeover;
mod template_interop;
mod templates;
mod validation;
