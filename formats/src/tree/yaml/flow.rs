//! Flow collections: `[a, b]` and `{a: b}`.

use super::node::{Id, Kind};
use super::parse::{Next, Parser, Properties};
use super::scan::Scan;
use super::token::Mark;

impl<'a> Parser<'a> {
    pub(super) fn flow_list(&mut self, properties: Properties<'a>, mark: Mark) -> Scan<Id> {
        let id = self.flow_start(Kind::List(Vec::new()), properties, mark)?;
        let mut items = Vec::new();
        loop {
            let mut next = self.peek()?;
            if next != Next::FlowSequenceEnd && !items.is_empty() {
                if next != Next::FlowEntry {
                    return Err(self.fault("a ',' or ']' is missing"));
                }
                self.take();
                next = self.peek()?;
            }
            match next {
                Next::FlowSequenceEnd => break,
                Next::Key => {
                    let pair = self.flow_pair()?;
                    items.push(pair);
                }
                _ => items.push(self.node(false, false)?),
            }
        }
        self.flow_end(id);
        self.nodes[id].kind = Kind::List(items);
        Ok(id)
    }

    /// Reads `key: value` as an element of a list.
    fn flow_pair(&mut self) -> Scan<Id> {
        let mark = self.mark()?;
        let id = self.add(Kind::Map(Vec::new()), None, mark)?;
        self.take();
        let key = match self.peek()? {
            Next::Value | Next::FlowEntry | Next::FlowSequenceEnd => {
                self.take();
                self.empty()?
            }
            _ => self.node(false, false)?,
        };
        let mut value = None;
        if self.peek()? == Next::Value {
            self.take();
            if !matches!(self.peek()?, Next::FlowEntry | Next::FlowSequenceEnd) {
                value = Some(self.node(false, false)?);
            }
        }
        let value = match value {
            Some(value) => value,
            None => self.empty()?,
        };
        self.move_foot(key, value);
        self.peek()?;
        self.nodes[id].kind = Kind::Map(vec![key, value]);
        Ok(id)
    }

    pub(super) fn flow_map(&mut self, properties: Properties<'a>, mark: Mark) -> Scan<Id> {
        let id = self.flow_start(Kind::Map(Vec::new()), properties, mark)?;
        let mut entries = Vec::new();
        loop {
            let mut next = self.peek()?;
            if next != Next::FlowMappingEnd && !entries.is_empty() {
                if next != Next::FlowEntry {
                    return Err(self.fault("a ',' or '}' is missing"));
                }
                self.take();
                next = self.peek()?;
            }
            let (key, with_value) = match next {
                Next::FlowMappingEnd => break,
                Next::Key => {
                    self.take();
                    match self.peek()? {
                        Next::Value | Next::FlowEntry | Next::FlowMappingEnd => (self.empty()?, true),
                        _ => (self.node(false, false)?, true),
                    }
                }
                _ => (self.node(false, false)?, false),
            };
            let mut value = None;
            if self.peek()? == Next::Value && with_value {
                self.take();
                if !matches!(self.peek()?, Next::FlowEntry | Next::FlowMappingEnd) {
                    value = Some(self.node(false, false)?);
                }
            }
            let value = match value {
                Some(value) => value,
                None => self.empty()?,
            };
            self.move_foot(key, value);
            entries.extend([key, value]);
        }
        self.flow_end(id);
        self.nodes[id].kind = Kind::Map(entries);
        Ok(id)
    }

    fn flow_start(&mut self, kind: Kind<'a>, properties: Properties<'a>, mark: Mark) -> Scan<Id> {
        let (head, _, _) = self.comments();
        let id = self.add(kind, properties.tag, mark)?;
        self.nodes[id].head = head;
        self.remember(properties.anchor, id);
        self.take();
        Ok(id)
    }

    fn flow_end(&mut self, id: Id) {
        let (_, line, foot) = self.comments();
        self.nodes[id].line = line;
        self.nodes[id].foot = foot;
        self.take();
    }
}
