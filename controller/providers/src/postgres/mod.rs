//! PostgreSQL, as the place of SOPS's audit: one connection, one statement.
//!
//! ```text
//!   connection string ──Settings::parse──► Settings ──Database::connect──► Database ──insert──► a row of audit_event
//!                       (URL or key=value, PG* variables, as lib/pq 1.12 reads them)
//! ```
//!
//! Different from lib/pq on purpose: one host only; `sslmode` is `require` (the default), `disable`, `verify-ca` or
//! `verify-full`; no password file, service file, Kerberos or inline certificates; connecting and inserting end after a
//! while. A setting that is not understood is an error: nothing is weaker than its owner thinks. Neither the connection
//! string nor a message of the server gets into an error: a password that is badly quoted may be in any part of either.

mod connect;
mod connection_string;
mod names;
mod settings;
mod tls;

pub use connect::{CONNECT_TIMEOUT, Database, INSERT_TIMEOUT, InsertError};
pub use settings::{Settings, Surroundings};
