//! Lists and maps.
//!
//! A list never changes. A map is shared by its clones and changes in place (sprig's `set`, `unset`, `merge`). Two rules
//! keep hostile nesting harmless: a map cannot be put into itself, so nothing leaks and every walk ends, and taking
//! apart is a loop, so that no depth exhausts the stack.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::rc::Rc;

use super::{Struct, Text, Type, Value};
use crate::context::Context;
use crate::error::FunctionError;

/// A Go slice of a known element type.
#[derive(Clone)]
pub struct List(Rc<Items>);

struct Items {
    element: &'static Type,
    nil: bool,
    items: Vec<Value>,
}

impl List {
    /// Makes an `[]interface {}`. The caller has charged for the items ([`Context::list`]).
    pub fn new(items: Vec<Value>) -> Self {
        Self::of(&Type::Any, items)
    }

    /// Makes a slice of another element type, which the caller promises that every item has.
    pub fn of(element: &'static Type, items: Vec<Value>) -> Self {
        Self(Rc::new(Items { element, nil: false, items }))
    }

    /// Makes a nil slice.
    pub fn nil(element: &'static Type) -> Self {
        Self(Rc::new(Items { element, nil: true, items: Vec::new() }))
    }

    /// Returns the element type.
    pub fn element(&self) -> &'static Type {
        self.0.element
    }

    /// Returns the items.
    pub fn items(&self) -> &[Value] {
        &self.0.items
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.0.items.len()
    }

    /// Returns whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.0.items.is_empty()
    }

    /// Returns whether this is a nil slice (JSON `null`).
    pub fn is_nil(&self) -> bool {
        self.0.nil
    }
}

/// A Go map with string keys: `map[string]interface {}` or `map[string]string`.
#[derive(Clone)]
pub struct Map(Rc<Entries>);

struct Entries {
    element: &'static Type,
    /// `None`: a nil map.
    entries: RefCell<Option<BTreeMap<Text, Value>>>,
}

impl Map {
    fn with(element: &'static Type, entries: Option<BTreeMap<Text, Value>>) -> Self {
        Self(Rc::new(Entries { element, entries: RefCell::new(entries) }))
    }

    /// Makes a `map[string]interface {}`. The caller has charged for the entries ([`Context::map`]).
    pub fn new(entries: BTreeMap<Text, Value>) -> Self {
        Self::with(&Type::Any, Some(entries))
    }

    /// Makes a `map[string]string`.
    pub fn of_strings(entries: impl IntoIterator<Item = (Text, Text)>) -> Self {
        Self::with(&Type::String, Some(entries.into_iter().map(|(k, v)| (k, Value::String(v))).collect()))
    }

    /// Makes a nil map.
    pub fn nil(element: &'static Type) -> Self {
        Self::with(element, None)
    }

    /// Returns the element type.
    pub fn element(&self) -> &'static Type {
        self.0.element
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        self.0.entries.borrow().as_ref()?.get(key).cloned()
    }

    /// Returns whether there is such a key.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.0.entries.borrow().as_ref().is_some_and(|entries| entries.contains_key(key))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.entries.borrow().as_ref().map_or(0, BTreeMap::len)
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether this is a nil map.
    pub fn is_nil(&self) -> bool {
        self.0.entries.borrow().is_none()
    }

    /// Returns whether both are one and the same map.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the keys, sorted by bytes.
    pub fn keys(&self) -> Vec<Text> {
        self.0.entries.borrow().iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Returns the entries as they are now, sorted by key.
    pub fn entries(&self) -> Vec<(Text, Value)> {
        self.0.entries.borrow().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Sets an entry in place and charges for it.
    ///
    /// # Errors
    /// A nil map; a value that contains this very map; a budget that is spent.
    pub fn insert(&self, context: &mut Context<'_>, key: Text, value: Value) -> Result<(), FunctionError> {
        context.charge_bytes(ENTRY_BYTES + key.len())?;
        if self.is_within(context, &value)? {
            return Err(FunctionError::failed("a map cannot be put into itself"));
        }
        let replaced = match self.0.entries.borrow_mut().as_mut() {
            Some(entries) => entries.insert(key, value),
            None => return Err(FunctionError::failed("assignment to entry in nil map")),
        };
        drop(replaced);
        Ok(())
    }

    /// Removes an entry in place.
    pub fn remove(&self, key: &[u8]) -> Option<Value> {
        self.0.entries.borrow_mut().as_mut()?.remove(key)
    }

    /// Returns whether `value` is or contains this map. Each container is visited once.
    fn is_within(&self, context: &mut Context<'_>, value: &Value) -> Result<bool, FunctionError> {
        let mut pending = vec![value.clone()];
        let mut seen = BTreeSet::new();
        while let Some(value) = pending.pop() {
            context.charge_steps(1)?;
            match &value {
                Value::Map(map) if map.is_same(self) => return Ok(true),
                Value::Map(map) if seen.insert(Rc::as_ptr(&map.0).cast::<()>()) => {
                    pending.extend(containers(map.0.entries.borrow().iter().flat_map(BTreeMap::values)));
                }
                Value::List(list) if seen.insert(Rc::as_ptr(&list.0).cast::<()>()) => {
                    context.charge_steps(list.len() as u64)?;
                    pending.extend(containers(list.items().iter()));
                }
                _ => {}
            }
        }
        Ok(false)
    }
}

/// What one entry of a map costs beside its texts.
pub(crate) const ENTRY_BYTES: usize = 96;

fn containers<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<Value> {
    values.filter(|value| matches!(value, Value::List(_) | Value::Map(_))).cloned().collect()
}

/// Takes nested containers apart in a loop: dropping them by recursion would use stack for each level.
fn dismantle(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(List(items)) => {
                if let Ok(mut items) = Rc::try_unwrap(items) {
                    pending.append(&mut items.items);
                }
            }
            Value::Map(Map(entries)) => {
                if let Ok(entries) = Rc::try_unwrap(entries) {
                    pending.extend(entries.entries.take().into_iter().flat_map(BTreeMap::into_values));
                }
            }
            Value::Struct(value) => {
                if let Ok(mut value) = Rc::try_unwrap(value) {
                    pending.extend(take(&mut value.fields).into_iter().map(|(_, field)| field));
                }
            }
            _ => {}
        }
    }
}

impl Drop for Items {
    fn drop(&mut self) {
        if self.items.iter().any(|item| matches!(item, Value::List(_) | Value::Map(_) | Value::Struct(_))) {
            dismantle(take(&mut self.items));
        }
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        dismantle(self.entries.take().into_iter().flat_map(BTreeMap::into_values).collect());
    }
}

impl Drop for Struct {
    fn drop(&mut self) {
        dismantle(take(&mut self.fields).into_iter().map(|(_, field)| field).collect());
    }
}
