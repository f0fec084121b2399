//! Generators, as far as a reconciler sees them: a reference in, values out.

use std::collections::BTreeMap;

use sealops_crds::external_secret::GeneratorRef;
use sealops_formats::Plaintext;

use super::Failure;
use crate::object::BoxFuture;

/// Makes the values of a generator.
pub trait Generators: Send + Sync {
    /// Returns the values of a generator that an object of a namespace names.
    ///
    /// # Errors
    /// Returns the cause only; the caller says which entry it was.
    fn generate<'a>(
        &'a self,
        reference: &'a GeneratorRef,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, Failure>>;

    /// Returns the controller class that a generator names, where it names one. An object with a generator of another
    /// class is left alone.
    fn class<'a>(&'a self, _: &'a GeneratorRef, _: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(async { None })
    }
}

/// No generators at all.
#[derive(Debug, Clone, Copy)]
pub struct NoGenerators;

impl Generators for NoGenerators {
    fn generate<'a>(
        &'a self,
        reference: &'a GeneratorRef,
        _: &'a str,
    ) -> BoxFuture<'a, Result<BTreeMap<String, Plaintext>, Failure>> {
        let cause = format!("generators of kind {} do not run here", reference.kind);
        Box::pin(async move { Err(Failure::cause(cause)) })
    }
}
