//! What a function gets beside its arguments: the budget, and what the caller allows.

use std::collections::BTreeMap;

use sealops_formats::Plaintext;

use crate::budget::{Budget, BudgetError, Limits, MAX_VALUE_DEPTH};
use crate::error::FunctionError;
use crate::value::{List, Map, Text, Time, Type, Value};

/// Tells the time.
pub trait Clock {
    /// Returns the current time in the zone that counts as local.
    fn now(&self) -> Time;
}

/// A private key to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// RSA of so many bits.
    Rsa(u32),
    /// ECDSA on P-256.
    EcdsaP256,
    /// Ed25519.
    Ed25519,
}

/// Makes random bytes and keys.
pub trait Random {
    /// Fills with random bytes that are fit for keys.
    ///
    /// # Errors
    /// Where the source of randomness fails.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), FunctionError>;

    /// Makes a private key, in PKCS#8 DER.
    ///
    /// # Errors
    /// Where this kind of key cannot be made.
    fn private_key(&self, kind: KeyKind) -> Result<Plaintext, FunctionError>;
}

/// What a template may use beside its data. The default is nothing.
#[derive(Clone, Copy, Default)]
pub struct Capabilities<'a> {
    /// For `now`, `ago`, certificates.
    pub clock: Option<&'a dyn Clock>,
    /// For `randAlpha`, `genPrivateKey`, `bcrypt`, `uuidv4`, PKCS#12.
    pub random: Option<&'a dyn Random>,
}

/// The state of one execution that functions see.
pub struct Context<'a> {
    budget: Budget,
    capabilities: Capabilities<'a>,
}

impl<'a> Context<'a> {
    /// Starts an execution; its time counts from here.
    pub fn new(limits: Limits, capabilities: Capabilities<'a>) -> Self {
        Self { budget: Budget::new(limits), capabilities }
    }

    /// Returns the bounds of this execution.
    pub fn limits(&self) -> &Limits {
        self.budget.limits()
    }

    /// Counts work: one step is about an item visited or a hundred bytes copied. Looks at the time now and then.
    ///
    /// # Errors
    /// Where steps or time are used up.
    pub fn charge_steps(&mut self, steps: u64) -> Result<(), FunctionError> {
        Ok(self.budget.steps(steps)?)
    }

    /// Counts work that looks at each of so many bytes on its own, such as escaping.
    ///
    /// # Errors
    /// Where steps or time are used up.
    pub fn charge_scan(&mut self, bytes: usize) -> Result<(), FunctionError> {
        self.charge_steps(1 + bytes as u64 / SCANNED_PER_STEP)
    }

    /// Counts memory, and the work of filling it. Call it **before** allocating.
    ///
    /// # Errors
    /// Where memory, steps or time are used up.
    pub fn charge_bytes(&mut self, bytes: usize) -> Result<(), FunctionError> {
        self.budget.bytes(bytes)?;
        self.charge_steps(1 + bytes as u64 / 128)
    }

    /// Counts a private key about to be made.
    ///
    /// # Errors
    /// Where too many were made.
    pub fn charge_key(&mut self) -> Result<(), FunctionError> {
        Ok(self.budget.keys()?)
    }

    /// Refuses to walk deeper than [`MAX_VALUE_DEPTH`]; for functions that recurse into lists and maps.
    ///
    /// # Errors
    /// Where `depth` is beyond it.
    pub fn check_depth(&self, depth: usize) -> Result<(), FunctionError> {
        if depth > MAX_VALUE_DEPTH { Err(BudgetError::ValueDepth.into()) } else { Ok(()) }
    }

    /// Makes a string of bytes and charges for them. For large results charge before building instead.
    ///
    /// # Errors
    /// Where the budget is spent.
    pub fn text(&mut self, bytes: impl Into<Plaintext>) -> Result<Value, FunctionError> {
        let bytes = bytes.into();
        self.charge_bytes(TEXT_BYTES + bytes.len())?;
        Ok(Value::String(Text::from(bytes)))
    }

    /// Makes an `[]interface {}` and charges for it.
    ///
    /// # Errors
    /// Where the budget is spent.
    pub fn list(&mut self, items: Vec<Value>) -> Result<Value, FunctionError> {
        self.list_of(&Type::Any, items)
    }

    /// Makes a slice of another type and charges for it.
    ///
    /// # Errors
    /// Where the budget is spent.
    pub fn list_of(&mut self, element: &'static Type, items: Vec<Value>) -> Result<Value, FunctionError> {
        self.charge_bytes(LIST_BYTES + items.len() * size_of::<Value>())?;
        Ok(Value::List(List::of(element, items)))
    }

    /// Makes a `map[string]interface {}` and charges for it.
    ///
    /// # Errors
    /// Where the budget is spent.
    pub fn map(&mut self, entries: BTreeMap<Text, Value>) -> Result<Value, FunctionError> {
        self.charge_bytes(LIST_BYTES + entries.len() * crate::value::ENTRY_BYTES)?;
        Ok(Value::Map(Map::new(entries)))
    }

    /// Returns the clock.
    ///
    /// # Errors
    /// Where the caller gave none.
    pub fn clock(&self) -> Result<&'a dyn Clock, FunctionError> {
        self.capabilities.clock.ok_or(FunctionError::Capability("a clock"))
    }

    /// Returns the source of randomness.
    ///
    /// # Errors
    /// Where the caller gave none.
    pub fn random(&self) -> Result<&'a dyn Random, FunctionError> {
        self.capabilities.random.ok_or(FunctionError::Capability("randomness"))
    }
}

/// Bytes looked at one by one that cost a step.
const SCANNED_PER_STEP: u64 = 3;
/// What a string costs beside its bytes.
const TEXT_BYTES: usize = 48;
/// What a list or map costs beside its items.
const LIST_BYTES: usize = 64;
