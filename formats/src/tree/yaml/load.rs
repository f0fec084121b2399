//! Nodes into the tree, with the checks that go-yaml makes on the first document.

use std::collections::HashMap;

use super::super::{
    Comment, Entry, Item, Key, MAX_DEPTH, MAX_NODES, Map, Node as Value, ParseError, ParseProblem, Scalar,
};
use super::comments::Lines;
use super::node::{Document, Id, Kind, Nodes};
use super::resolve::{self, Resolved};
use super::scan::Scan;
use super::token::{Mark, Style};

pub(super) struct Loader<'n, 'a> {
    nodes: &'n Nodes<'a>,
    /// Values so far, each use of an alias counted.
    count: usize,
}

impl<'n, 'a> Loader<'n, 'a> {
    pub(super) fn new(nodes: &'n Nodes<'a>) -> Self {
        Self { nodes, count: 0 }
    }

    pub(super) fn document(&mut self, document: &Document<'a>) -> Scan<Map> {
        let mut map = Map::default();
        comments(&document.head, false, &mut map.entries);
        self.root(document.root, &mut map, 0)?;
        comments(&document.foot, false, &mut map.entries);
        Ok(map)
    }

    fn root(&mut self, id: Id, map: &mut Map, depth: usize) -> Scan<()> {
        let node = &self.nodes[id];
        comments(&node.head, false, &mut map.entries);
        comments(&node.line, false, &mut map.entries);
        match &node.kind {
            Kind::Map(entries) => self.entries(entries, map, depth)?,
            Kind::Alias(target) => {
                self.enter(id, depth)?;
                self.root(*target, map, depth + 1)?;
            }
            // An empty document.
            Kind::Scalar(text, style) if is_null(text.bytes(), *style, node.tag.as_deref()) => return Ok(()),
            Kind::Scalar(..) => {
                return Err(ParseError::new(node.mark, "YAML documents that are values are not supported"));
            }
            Kind::List(_) => {
                return Err(ParseError::new(
                    node.mark,
                    "YAML documents that are sequences are not supported",
                ));
            }
        }
        comments(&node.foot, false, &mut map.entries);
        Ok(())
    }

    fn entries(&mut self, entries: &[Id], map: &mut Map, depth: usize) -> Scan<()> {
        let into = &mut map.entries;
        into.reserve(entries.len() / 2);
        for pair in entries.chunks_exact(2) {
            let (key, value) = (&self.nodes[pair[0]], &self.nodes[pair[1]]);
            comments(&key.head, false, into);
            comments(&key.line, false, into);
            let leaf = matches!(value.kind, Kind::Scalar(..) | Kind::Alias(_));
            if leaf {
                comments(&value.head, false, into);
                comments(&value.line, true, into);
            }
            let name = self.key(pair[0], depth)?;
            let tree = self.value(pair[1], leaf, depth + 1)?;
            into.push(Entry::Pair { key: name, value: tree });
            if leaf {
                comments(&value.foot, false, into);
            }
            comments(&key.foot, false, into);
        }
        Ok(())
    }

    fn key(&mut self, id: Id, depth: usize) -> Scan<Key> {
        self.enter(id, depth)?;
        let node = &self.nodes[id];
        match &node.kind {
            Kind::Scalar(text, style) => {
                if node.tag.is_none()
                    && (*style != Style::Plain
                        || matches!(resolve::resolve(text.bytes(), true), Resolved::Text))
                {
                    return Ok(Key::from_bytes(text.bytes()));
                }
                Ok(match self.scalar(id)? {
                    Some(Scalar::Str(text)) => Key::from_bytes(text.expose()),
                    other => Key::Other(other),
                })
            }
            Kind::Alias(target) => self.key(*target, depth + 1),
            _ => Err(fail(node.mark, ParseProblem::ComplexKey)),
        }
    }

    /// `handled`: the comments of this node are already in the tree.
    fn value(&mut self, id: Id, handled: bool, depth: usize) -> Scan<Value> {
        self.enter(id, depth)?;
        let node = &self.nodes[id];
        match &node.kind {
            Kind::Scalar(..) => Ok(self.scalar(id)?.map_or(Value::Null, Value::Scalar)),
            Kind::Alias(target) => self.value(*target, false, depth + 1),
            Kind::Map(entries) => {
                let mut map = Map::default();
                if !handled {
                    comments(&node.head, false, &mut map.entries);
                    comments(&node.line, false, &mut map.entries);
                }
                self.entries(entries, &mut map, depth)?;
                if !handled {
                    comments(&node.foot, false, &mut map.entries);
                }
                Ok(Value::Map(map))
            }
            Kind::List(ids) => {
                let mut items = Vec::with_capacity(ids.len());
                if !handled {
                    item_comments(&node.head, false, &mut items);
                    item_comments(&node.line, false, &mut items);
                }
                for id in ids {
                    let item = &self.nodes[*id];
                    item_comments(&item.head, false, &mut items);
                    item_comments(&item.line, true, &mut items);
                    let value = self.value(*id, true, depth + 1)?;
                    items.push(Item::Node(value));
                    item_comments(&item.foot, false, &mut items);
                }
                if !handled {
                    item_comments(&node.foot, false, &mut items);
                }
                Ok(Value::Seq(items))
            }
        }
    }

    fn scalar(&self, id: Id) -> Scan<Option<Scalar>> {
        let node = &self.nodes[id];
        let Kind::Scalar(text, style) = &node.kind else { return Ok(None) };
        resolve::value(text, *style, node.tag.as_deref()).map_err(|_| fail(node.mark, ParseProblem::WrongTag))
    }

    fn enter(&mut self, id: Id, depth: usize) -> Scan<()> {
        self.count += 1;
        let mark = self.nodes[id].mark;
        let problem = if self.count > MAX_NODES {
            ParseProblem::TooManyNodes
        } else if depth > MAX_DEPTH {
            // An alias inside of its own anchor ends here too.
            ParseProblem::TooDeep
        } else {
            return Ok(());
        };
        Err(fail(mark, problem))
    }
}

fn is_null(text: &[u8], style: Style, tag: Option<&str>) -> bool {
    match tag {
        Some(tag) => tag == "!!null",
        None => style == Style::Plain && matches!(resolve::resolve(text, true), Resolved::Null),
    }
}

fn fail(mark: Mark, problem: ParseProblem) -> ParseError {
    ParseError { line: mark.line + 1, column: mark.column + 1, problem }
}

fn comments(lines: &Lines<'_>, inline: bool, into: &mut Vec<Entry>) {
    into.extend(comment_lines(lines, inline).map(Entry::Comment));
}

fn item_comments(lines: &Lines<'_>, inline: bool, into: &mut Vec<Item>) {
    into.extend(comment_lines(lines, inline).map(Item::Comment));
}

fn comment_lines<'l>(lines: &'l Lines<'_>, inline: bool) -> impl Iterator<Item = Comment> + 'l {
    let texts = lines.iter().filter_map(|line| line.get(1..));
    texts.map(move |text| Comment { text: text.into(), inline })
}

/// What go-yaml refuses when it decodes into Go's maps, which SOPS does with the first document only.
pub(super) struct Check<'n, 'a> {
    nodes: &'n Nodes<'a>,
    decoded: usize,
    by_alias: usize,
    alias_depth: usize,
}

impl<'n, 'a> Check<'n, 'a> {
    pub(super) fn new(nodes: &'n Nodes<'a>) -> Self {
        Self { nodes, decoded: 1, by_alias: 0, alias_depth: 0 }
    }

    /// Checks a value; `string_keys` where Go's map has texts as keys, so that a null key hides its value.
    pub(super) fn node(&mut self, id: Id, string_keys: bool, depth: usize) -> Scan<()> {
        let node = &self.nodes[id];
        self.count(id)?;
        if depth > MAX_DEPTH {
            return Err(fail(node.mark, ParseProblem::TooDeep));
        }
        match &node.kind {
            Kind::Scalar(..) => Ok(()),
            Kind::Alias(target) => {
                self.alias_depth += 1;
                let result = self.node(*target, string_keys, depth + 1);
                self.alias_depth -= 1;
                result
            }
            Kind::List(items) => items.iter().try_for_each(|item| self.node(*item, false, depth + 1)),
            Kind::Map(entries) => self.map(entries, string_keys, depth),
        }
    }

    fn map(&mut self, entries: &[Id], string_keys: bool, depth: usize) -> Scan<()> {
        self.unique(entries)?;
        let mut merged = None;
        for pair in entries.chunks_exact(2) {
            if self.is_merge(pair[0]) {
                merged = Some(pair[1]);
                continue;
            }
            self.node(pair[0], false, depth + 1)?;
            if !(string_keys && self.is_null(pair[0])) {
                self.node(pair[1], false, depth + 1)?;
            }
        }
        let Some(source) = merged else { return Ok(()) };
        for pair in entries.chunks_exact(2) {
            self.count(pair[0])?;
        }
        self.merge(source, string_keys, depth)
    }

    fn merge(&mut self, source: Id, string_keys: bool, depth: usize) -> Scan<()> {
        let is_map = |id: Id| match &self.nodes[id].kind {
            Kind::Map(_) => true,
            Kind::Alias(target) => matches!(self.nodes[*target].kind, Kind::Map(_)),
            _ => false,
        };
        let sources = match &self.nodes[source].kind {
            Kind::List(items) => items.as_slice(),
            _ => &[source],
        };
        if let Some(wrong) = sources.iter().find(|id| !is_map(**id)) {
            return Err(fail(self.nodes[*wrong].mark, ParseProblem::Merge));
        }
        sources.iter().try_for_each(|id| self.node(*id, string_keys, depth + 1))
    }

    fn is_null(&self, id: Id) -> bool {
        let node = &self.nodes[id];
        match &node.kind {
            Kind::Scalar(text, style) => is_null(text.bytes(), *style, node.tag.as_deref()),
            Kind::Alias(target) => self.is_null(*target),
            _ => false,
        }
    }

    fn is_merge(&self, id: Id) -> bool {
        let node = &self.nodes[id];
        match &node.kind {
            Kind::Scalar(text, Style::Plain) => {
                text.bytes() == b"<<" && matches!(node.tag.as_deref(), None | Some("!!merge"))
            }
            Kind::Scalar(text, _) => text.bytes() == b"<<" && node.tag.as_deref() == Some("!!merge"),
            _ => false,
        }
    }

    fn unique(&self, entries: &[Id]) -> Scan<()> {
        let mut seen: HashMap<(bool, &[u8], usize), usize> = HashMap::with_capacity(entries.len() / 2);
        for pair in entries.chunks_exact(2) {
            let key = &self.nodes[pair[0]];
            let name = match &key.kind {
                Kind::Scalar(text, _) => (true, text.bytes(), 0),
                Kind::Alias(target) => (false, b"".as_slice(), target.0),
                _ => return Err(fail(key.mark, ParseProblem::ComplexKey)),
            };
            if let Some(first) = seen.insert(name, key.mark.line + 1) {
                return Err(fail(key.mark, ParseProblem::DuplicateKey { first }));
            }
        }
        Ok(())
    }

    /// go-yaml's guard against aliases that multiply: their share of all values is limited, the more there are.
    fn count(&mut self, id: Id) -> Scan<()> {
        const FEW: usize = 400_000;
        const MANY: usize = 4_000_000;
        self.decoded += 1;
        if self.alias_depth > 0 {
            self.by_alias += 1;
        }
        if self.by_alias <= 100 || self.decoded <= 1000 {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let (share, decoded) = (self.by_alias as f64 / self.decoded as f64, self.decoded as f64);
        let allowed = match self.decoded {
            ..=FEW => 0.99,
            MANY.. => 0.10,
            _ => 0.99 - 0.89 * ((decoded - 400_000.0) / 3_600_000.0),
        };
        if share > allowed {
            return Err(ParseError::new(self.nodes[id].mark, "document contains excessive aliasing"));
        }
        Ok(())
    }
}
