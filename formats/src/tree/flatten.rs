//! Nested metadata as flat keys: `pgp__list_0__map_fp`.

use std::collections::{BTreeMap, HashSet};

use super::{Entry, Item, Key, Map, MetadataError, Node};

const MAP: &[u8] = b"__map_";
const LIST: &[u8] = b"__list_";

/// Returns the leaves under flat keys; empty maps and lists vanish.
pub(super) fn flatten(map: &Map) -> Result<Map, MetadataError> {
    let mut flat = Map::default();
    let mut seen = HashSet::new();
    add_map(map, b"", &mut flat, &mut seen)?;
    Ok(flat)
}

fn add_map(
    map: &Map,
    prefix: &[u8],
    flat: &mut Map,
    seen: &mut HashSet<Vec<u8>>,
) -> Result<(), MetadataError> {
    for entry in &map.entries {
        let Entry::Pair { key, value } = entry else { continue };
        let name = key.as_bytes().ok_or(MetadataError::Unflatten("a key is not text"))?;
        add(value, [prefix, name].concat(), flat, seen)?;
    }
    Ok(())
}

fn add(value: &Node, key: Vec<u8>, flat: &mut Map, seen: &mut HashSet<Vec<u8>>) -> Result<(), MetadataError> {
    match value {
        Node::Map(map) => return add_map(map, &[&key, MAP].concat(), flat, seen),
        Node::Seq(items) => {
            let nodes = items.iter().filter_map(|item| match item {
                Item::Node(node) => Some(node),
                Item::Comment(_) => None,
            });
            for (index, node) in nodes.enumerate() {
                add(node, [&key, LIST, index.to_string().as_bytes()].concat(), flat, seen)?;
            }
            return Ok(());
        }
        Node::Null | Node::Scalar(_) => {}
    }
    if !seen.insert(key.clone()) {
        return Err(MetadataError::Unflatten("two values under one flat key"));
    }
    flat.push(Key::from_bytes(&key), value.duplicate());
    Ok(())
}

#[derive(Default)]
struct Place {
    value: Option<Node>,
    keys: BTreeMap<Vec<u8>, Place>,
    elements: BTreeMap<usize, Place>,
}

/// Returns the tree of flat keys, sorted at every level.
pub(super) fn unflatten(flat: Map) -> Result<Map, MetadataError> {
    let mut top = Place::default();
    for entry in flat.entries {
        let Entry::Pair { key, value } = entry else { continue };
        let name = key.as_bytes().ok_or(MetadataError::Unflatten("a key is not text"))?;
        let mut place = &mut top;
        for step in steps(name) {
            place = match step {
                Step::Key(key) => place.keys.entry(key.to_vec()).or_default(),
                Step::Element(index) => place.elements.entry(index).or_default(),
            };
        }
        if place.value.replace(value).is_some() {
            return Err(MetadataError::Unflatten("Duplicate value"));
        }
    }
    match node_of(top)? {
        Node::Map(map) => Ok(map),
        _ => Err(MetadataError::Unflatten("Type mismatch")),
    }
}

fn node_of(place: Place) -> Result<Node, MetadataError> {
    let Place { value, keys, elements } = place;
    let kinds = [value.is_some(), !keys.is_empty(), !elements.is_empty()];
    if kinds.iter().filter(|kind| **kind).count() > 1 {
        return Err(MetadataError::Unflatten("Type mismatch"));
    }
    if let Some(value) = value {
        return Ok(value);
    }
    if !elements.is_empty() {
        if elements.keys().enumerate().any(|(expected, index)| expected != *index) {
            return Err(MetadataError::Unflatten("Incomplete list"));
        }
        let items: Result<_, _> =
            elements.into_values().map(|place| node_of(place).map(Item::Node)).collect();
        return items.map(Node::Seq);
    }
    let mut map = Map::default();
    for (key, place) in keys {
        map.push(Key::from_bytes(&key), node_of(place)?);
    }
    Ok(Node::Map(map))
}

enum Step<'a> {
    Key(&'a [u8]),
    Element(usize),
}

fn steps(name: &[u8]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let (mut start, mut at, mut list) = (0, 0, false);
    loop {
        let rest = &name[at..];
        let next = [(MAP, false), (LIST, true)].into_iter().find(|(mark, _)| rest.starts_with(mark));
        if at >= name.len() || next.is_some() {
            let text = &name[start..at];
            steps.push(if list { Step::Element(index_of(text)) } else { Step::Key(text) });
        }
        match next {
            _ if at >= name.len() => return steps,
            Some((mark, is_list)) => {
                at += mark.len();
                (start, list) = (at, is_list);
            }
            None => at += 1,
        }
    }
}

/// What is no number counts as 0, as in SOPS; a negative one can never be part of a list without gaps.
fn index_of(text: &[u8]) -> usize {
    match std::str::from_utf8(text).unwrap_or_default().parse::<i64>() {
        Ok(index) => usize::try_from(index).unwrap_or(usize::MAX),
        Err(_) => 0,
    }
}
