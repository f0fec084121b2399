//! What generators leave behind at providers: said before it is there, so that it can be taken back.

use sealops_crds::external_secret::GeneratorRef;
use serde_json::Value;

use crate::object::{BoxFuture, ClusterReader};

/// Something that a generator leaves behind, or may.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Which part of the owner asked for it: what comes later for the same part takes its place.
    pub part: String,
    /// The generator as it is.
    pub resource: Value,
    /// What it needs to take it back.
    pub state: Value,
}

/// Keeps what is left behind.
pub trait Ledger: Send + Sync {
    /// Records what may come; the answer names the entry.
    fn intend<'a>(&'a self, left: &'a Left) -> BoxFuture<'a, Result<String, String>>;
    /// Records what is there; the entry of the intention becomes this one.
    fn made<'a>(&'a self, entry: Option<String>, left: &'a Left) -> BoxFuture<'a, Result<(), String>>;
    /// Forgets an intention of which nothing came.
    fn nothing(&self, entry: String) -> BoxFuture<'_, ()>;
}

/// How and for whom a generator is used.
#[derive(Clone, Copy)]
pub struct Usage<'a> {
    /// Which generator.
    pub reference: &'a GeneratorRef,
    /// Namespace of the user.
    pub namespace: &'a str,
    /// Objects.
    pub cluster: &'a dyn ClusterReader,
    /// Seconds since 1970.
    pub now: i64,
    /// Where what is left behind is recorded; without, it is not.
    pub ledger: Option<&'a dyn Ledger>,
    /// See [`Left::part`].
    pub part: &'a str,
}
