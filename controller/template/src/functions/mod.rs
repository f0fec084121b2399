//! The functions that templates call, and the two sets of them.
//!
//! Each module exports `TABLE`, a list of [`Function`]s; `MODULES` lists the tables. A module that a set lacks entirely,
//! or a single name that differs, is said in [`sealed_secrets`] and [`external_secrets`] and nowhere else.
//!
//! A function gets arguments that the engine has checked against its signature, by the rules and with the words of Go's
//! `reflect` calls, and converted: nil for a list or map parameter arrives as a nil list or map, a missing value for an
//! `interface {}` parameter as [`Value::Nil`].

mod aes;
mod builtins;
mod certificates;
mod chain;
mod compare;
mod convert;
mod dates;
mod decimal;
mod defaults;
mod dicts;
mod encoding;
mod escape;
mod hash;
mod json;
mod jwk;
mod keys;
mod lists;
mod merge;
mod numbers;
mod passwords;
mod paths;
mod pem;
mod pkcs12;
mod random;
mod reflection;
mod regex;
mod rsa;
mod semver;
mod strings;
mod url;
mod words;
mod yaml;

use std::collections::HashMap;

use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

/// What a function does. The arguments match the signature.
pub type Call = fn(&mut Context<'_>, &[Value]) -> Result<Value, FunctionError>;

/// Which upstream has a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Go or sprig: in both sets.
    Both,
    /// Sealed Secrets only.
    SealedSecrets,
    /// External Secrets only.
    ExternalSecrets,
}

/// A function's name, signature and code.
#[derive(Clone, Copy)]
pub struct Function {
    /// The name in templates.
    pub name: &'static str,
    /// The types of the parameters.
    pub parameters: &'static [Type],
    /// The element type of a final `...T` parameter.
    pub variadic: Option<Type>,
    /// Which set it belongs to.
    pub origin: Origin,
    /// What the engine does itself.
    pub(crate) special: Special,
    /// The code.
    pub call: Call,
}

/// Functions that the engine knows, because they do not simply take the values of their arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Special {
    /// An ordinary function.
    No,
    /// `and`
    And,
    /// `or`
    Or,
    /// `call`
    Call,
}

impl Function {
    /// A function with a fixed number of parameters, in both sets.
    pub const fn new(name: &'static str, parameters: &'static [Type], call: Call) -> Self {
        Self { name, parameters, variadic: None, origin: Origin::Both, special: Special::No, call }
    }

    /// A function whose last parameter is `...rest`, in both sets.
    pub const fn variadic(name: &'static str, parameters: &'static [Type], rest: Type, call: Call) -> Self {
        Self { name, parameters, variadic: Some(rest), origin: Origin::Both, special: Special::No, call }
    }

    pub(crate) const fn special(mut self, special: Special) -> Self {
        self.special = special;
        self
    }

    /// The same function, in one set only.
    pub const fn only(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }
}

/// The functions that a template may name.
#[derive(Clone)]
pub struct FunctionSet(HashMap<&'static str, Function>);

impl FunctionSet {
    /// Go's built-in functions alone.
    pub fn builtins() -> Self {
        Self(builtins::TABLE.iter().map(|function| (function.name, *function)).collect())
    }

    /// Adds a function; one of the same name is replaced, as sprig's `slice` replaces Go's.
    #[must_use]
    pub fn with(mut self, function: Function) -> Self {
        self.0.insert(function.name, function);
        self
    }

    /// Returns a function.
    pub fn find(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }

    /// Returns all names, sorted.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

/// Every module's functions. A later one replaces an earlier one of the same name.
const MODULES: &[&[Function]] = &[
    strings::TABLE,
    words::TABLE,
    numbers::TABLE,
    numbers::INTEGERS,
    lists::TABLE,
    dicts::TABLE,
    defaults::TABLE,
    json::TABLE,
    yaml::TABLE,
    regex::TABLE,
    dates::TABLE,
    paths::TABLE,
    url::TABLE,
    semver::TABLE,
    encoding::TABLE,
    hash::TABLE,
    reflection::TABLE,
    pem::TABLE,
    pkcs12::TABLE,
    jwk::TABLE,
    certificates::TABLE,
    rsa::TABLE,
    aes::TABLE,
    passwords::TABLE,
    random::TABLE,
];

fn set(origin: Origin) -> FunctionSet {
    MODULES
        .iter()
        .flat_map(|table| table.iter())
        .filter(|function| function.origin == Origin::Both || function.origin == origin)
        .fold(FunctionSet::builtins(), |set, function| set.with(*function))
}

/// The functions of Sealed Secrets 0.40: Go's and sprig 3.3.0's, without `env`, `expandenv` and `getHostByName`.
pub fn sealed_secrets() -> FunctionSet {
    set(Origin::SealedSecrets)
}

/// The functions of External Secrets Operator 2.9: Go's, its copy of sprig, and its own for PEM, PKCS#12, JWK and YAML.
pub fn external_secrets() -> FunctionSet {
    set(Origin::ExternalSecrets)
}
