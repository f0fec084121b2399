//! Tokens into nodes, by descent.
//!
//! The order in which tokens are looked at and taken decides which comments a node gets, so it follows go-yaml's.

use std::collections::HashMap;

use super::super::{MAX_DEPTH, MAX_NODES, ParseError, ParseProblem};
use super::comments::Lines;
use super::node::{Document, Id, Kind, Node, Nodes};
use super::scan::{Scan, Scanner};
use super::token::{Mark, Style, Text, TokenKind};

/// The long form of `!!`.
const STANDARD: &[u8] = b"tag:yaml.org,2002:";

pub(super) struct Parser<'a> {
    scanner: Scanner<'a>,
    pub(super) nodes: Nodes<'a>,
    /// Anchors live on in the documents that follow.
    anchors: HashMap<&'a [u8], Id>,
    handles: Vec<(Vec<u8>, Vec<u8>)>,
    /// Head comment of a `-` whose item is a block collection; it belongs to the collection as a whole.
    stem: Lines<'a>,
    first_document: bool,
    depth: usize,
}

/// What stands before the content of a node.
#[derive(Default)]
pub(super) struct Properties<'a> {
    pub(super) anchor: Option<&'a [u8]>,
    pub(super) tag: Option<String>,
    /// Whether a tag was written, the lone `!` too.
    any: bool,
}

/// What the next token is, as far as the grammar asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Alias,
    Anchor,
    Tag,
    Scalar,
    Key,
    Value,
    BlockEntry,
    BlockEnd,
    BlockSequence,
    BlockMapping,
    FlowEntry,
    FlowSequence,
    FlowSequenceEnd,
    FlowMapping,
    FlowMappingEnd,
    Directive,
    DocumentStart,
    DocumentEnd,
    StreamStart,
    StreamEnd,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            scanner: Scanner::new(text),
            nodes: Nodes::default(),
            anchors: HashMap::new(),
            handles: Vec::new(),
            stem: Lines::new(),
            first_document: true,
            depth: 0,
        }
    }

    /// Returns the next document.
    pub(super) fn document(&mut self) -> Scan<Option<Document<'a>>> {
        let first = std::mem::take(&mut self.first_document);
        if first && self.peek()? == Next::StreamStart {
            self.take();
        }
        let mut next = self.peek()?;
        while !first && next == Next::DocumentEnd {
            self.take();
            next = self.peek()?;
        }
        if next == Next::StreamEnd {
            return Ok(None);
        }
        let mut head = Lines::new();
        let root = if first && !matches!(next, Next::Directive | Next::DocumentStart) {
            self.directives()?;
            head = self.split_document_head();
            self.node(true, false)?
        } else {
            self.directives()?;
            if self.peek()? != Next::DocumentStart {
                return Err(self.fault("a document has to start with '---' here"));
            }
            self.take();
            match self.peek()? {
                Next::Directive | Next::DocumentStart | Next::DocumentEnd | Next::StreamEnd => {
                    self.empty()?
                }
                _ => self.node(true, false)?,
            }
        };
        if self.peek()? == Next::DocumentEnd {
            self.take();
        }
        self.handles.clear();
        let (above, _, mut foot) = self.comments();
        if foot.is_empty() {
            foot = above;
        }
        Ok(Some(Document { root, head, foot }))
    }

    fn directives(&mut self) -> Scan<()> {
        let mut version = false;
        while self.peek()? == Next::Directive {
            let mark = self.mark()?;
            match self.take() {
                Some(TokenKind::VersionDirective { major, minor }) => {
                    if version {
                        return Err(ParseError::new(mark, "two YAML directives"));
                    }
                    if (major, minor) != (1, 1) {
                        return Err(ParseError::new(mark, "found incompatible YAML document"));
                    }
                    version = true;
                }
                Some(TokenKind::TagDirective { handle, prefix }) => {
                    if self.handles.iter().any(|(known, _)| *known == handle) {
                        return Err(ParseError::new(mark, "two TAG directives with one handle"));
                    }
                    self.handles.push((handle, prefix));
                }
                _ => {}
            }
        }
        for (handle, prefix) in [(b"!".as_slice(), b"!".as_slice()), (b"!!", STANDARD)] {
            if !self.handles.iter().any(|(known, _)| known == handle) {
                self.handles.push((handle.to_vec(), prefix.to_vec()));
            }
        }
        Ok(())
    }

    /// What stands above the last blank line over the first node belongs to the document.
    fn split_document_head(&mut self) -> Lines<'a> {
        let head = &mut self.scanner.notes.head;
        let Some(last) = head.len().checked_sub(1).filter(|last| *last > 0) else { return Lines::new() };
        if head[last].is_empty() {
            head.pop();
            return std::mem::take(head);
        }
        match head.iter().rposition(|line| line.is_empty()).filter(|blank| *blank > 0) {
            Some(blank) => {
                let rest = head.split_off(blank + 1);
                head.truncate(blank);
                std::mem::replace(head, rest)
            }
            None => Lines::new(),
        }
    }

    /// Reads a node; `indentless` where a list may stand at the column of its key.
    pub(super) fn node(&mut self, block: bool, indentless: bool) -> Scan<Id> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.scanner.error(ParseProblem::TooDeep));
        }
        let id = self.node_here(block, indentless)?;
        self.depth -= 1;
        Ok(id)
    }

    fn node_here(&mut self, block: bool, indentless: bool) -> Scan<Id> {
        let mark = self.mark()?;
        if self.peek()? == Next::Alias {
            return self.alias(mark);
        }
        let properties = self.properties(mark)?;
        match self.peek()? {
            Next::BlockEntry if indentless => self.block_list(properties, mark, true),
            Next::Scalar => self.scalar(properties, mark),
            Next::FlowSequence => self.flow_list(properties, mark),
            Next::FlowMapping => self.flow_map(properties, mark),
            Next::BlockSequence if block => self.block_list(properties, mark, false),
            Next::BlockMapping if block => self.block_map(properties, mark),
            _ if properties.anchor.is_some() || properties.any => {
                let anchor = properties.anchor;
                let id = self.add(Kind::Scalar(Text::Source(b""), Style::Plain), properties.tag, mark)?;
                self.remember(anchor, id);
                Ok(id)
            }
            _ => Err(self.fault("a value is missing")),
        }
    }

    fn alias(&mut self, mark: Mark) -> Scan<Id> {
        let comments = self.comments();
        let Some(TokenKind::Alias(name)) = self.take() else { return Err(self.fault("a value is missing")) };
        let target = *self
            .anchors
            .get(name)
            .ok_or_else(|| ParseError::new(mark, "an alias without an anchor before it"))?;
        let id = self.add(Kind::Alias(target), None, mark)?;
        self.attach(id, comments);
        Ok(id)
    }

    fn scalar(&mut self, properties: Properties<'a>, mark: Mark) -> Scan<Id> {
        let comments = self.comments();
        let Some(TokenKind::Scalar { text, style }) = self.take() else {
            return Err(self.fault("a value is missing"));
        };
        let id = self.add(Kind::Scalar(text, style), properties.tag, mark)?;
        self.attach(id, comments);
        self.remember(properties.anchor, id);
        Ok(id)
    }

    fn properties(&mut self, start: Mark) -> Scan<Properties<'a>> {
        let mut found = Properties::default();
        let mut tag = None;
        for _ in 0..2 {
            match self.peek()? {
                Next::Anchor if found.anchor.is_none() => {
                    if let Some(TokenKind::Anchor(name)) = self.take() {
                        found.anchor = Some(name);
                    }
                }
                Next::Tag if tag.is_none() => {
                    if let Some(TokenKind::Tag { handle, suffix }) = self.take() {
                        tag = Some((handle, suffix));
                    }
                }
                _ => break,
            }
        }
        // The comments of the token that follows are due before it is looked at again.
        self.peek()?;
        if let Some((handle, suffix)) = tag {
            found.any = true;
            found.tag = self.resolve_tag(&handle, &suffix, start)?;
        }
        Ok(found)
    }

    fn resolve_tag(&self, handle: &[u8], suffix: &[u8], mark: Mark) -> Scan<Option<String>> {
        let long = if handle.is_empty() {
            suffix.to_vec()
        } else {
            let known = self.handles.iter().find(|(known, _)| known == handle);
            let (_, prefix) = known.ok_or_else(|| ParseError::new(mark, "a tag with an unknown handle"))?;
            [prefix, suffix].concat()
        };
        if long.is_empty() {
            return Err(ParseError::new(mark, "a tag with an unknown handle"));
        }
        if long == b"!" {
            return Ok(None);
        }
        Ok(Some(match long.strip_prefix(STANDARD) {
            Some(name) => format!("!!{}", String::from_utf8_lossy(name)),
            None => String::from_utf8_lossy(&long).into_owned(),
        }))
    }

    fn block_list(&mut self, properties: Properties<'a>, mark: Mark, indentless: bool) -> Scan<Id> {
        let id = self.add(Kind::List(Vec::new()), properties.tag, mark)?;
        self.remember(properties.anchor, id);
        let mut items = Vec::new();
        if !indentless {
            self.nodes[id].head = std::mem::take(&mut self.stem);
            self.take();
        }
        while self.peek()? == Next::BlockEntry {
            let above = self.scanner.notes.head.len();
            self.take();
            self.split_stem(above)?;
            let next = self.peek()?;
            let empty = match next {
                Next::BlockEntry | Next::BlockEnd => true,
                Next::Key | Next::Value => indentless,
                _ => false,
            };
            items.push(if empty { self.empty()? } else { self.node(true, false)? });
        }
        if !indentless {
            if self.peek()? != Next::BlockEnd {
                return Err(self.fault("a '-' is missing"));
            }
            self.take();
        }
        self.nodes[id].kind = Kind::List(items);
        Ok(id)
    }

    fn split_stem(&mut self, above: usize) -> Scan<()> {
        if above > 0 && matches!(self.peek()?, Next::BlockSequence | Next::BlockMapping) {
            let head = &mut self.scanner.notes.head;
            let rest = head.split_off(above);
            self.stem = std::mem::replace(head, rest);
        }
        Ok(())
    }

    fn block_map(&mut self, properties: Properties<'a>, mark: Mark) -> Scan<Id> {
        let id = self.add(Kind::Map(Vec::new()), properties.tag, mark)?;
        self.remember(properties.anchor, id);
        self.nodes[id].head = std::mem::take(&mut self.stem);
        self.take();
        let mut entries: Vec<Id> = Vec::new();
        while self.peek()? == Next::Key {
            self.take();
            let key = self.block_map_part()?;
            entries.push(key);
            // A foot that only shows up at the next key belongs to the entry before.
            if !self.nodes[key].foot.is_empty()
                && let Some(before) = entries.len().checked_sub(3)
            {
                let foot = std::mem::take(&mut self.nodes[key].foot);
                self.nodes[entries[before]].foot = foot;
            }
            let value = if self.peek()? == Next::Value {
                self.take();
                self.block_map_part()?
            } else {
                self.empty()?
            };
            entries.push(value);
            self.move_foot(key, value);
        }
        if self.peek()? != Next::BlockEnd {
            return Err(self.fault("a key is missing"));
        }
        let (_, line, foot) = self.comments();
        self.take();
        self.nodes[id].line = line;
        match entries.len().checked_sub(2) {
            Some(last) if !foot.is_empty() => self.nodes[entries[last]].foot = foot,
            _ => self.nodes[id].foot = foot,
        }
        self.nodes[id].kind = Kind::Map(entries);
        Ok(id)
    }

    fn block_map_part(&mut self) -> Scan<Id> {
        match self.peek()? {
            Next::Key | Next::Value | Next::BlockEnd => self.empty(),
            _ => self.node(true, true),
        }
    }

    pub(super) fn move_foot(&mut self, key: Id, value: Id) {
        if self.nodes[key].foot.is_empty() && !self.nodes[value].foot.is_empty() {
            self.nodes[key].foot = std::mem::take(&mut self.nodes[value].foot);
        }
    }

    pub(super) fn empty(&mut self) -> Scan<Id> {
        let mark = self.mark()?;
        self.add(Kind::Scalar(Text::Source(b""), Style::Plain), None, mark)
    }

    pub(super) fn add(&mut self, kind: Kind<'a>, tag: Option<String>, mark: Mark) -> Scan<Id> {
        if self.nodes.len() >= MAX_NODES {
            return Err(self.scanner.error(ParseProblem::TooManyNodes));
        }
        let (head, line, foot) = (Lines::new(), Lines::new(), Lines::new());
        Ok(self.nodes.add(Node { kind, tag, mark, head, line, foot }))
    }

    fn attach(&mut self, id: Id, comments: (Lines<'a>, Lines<'a>, Lines<'a>)) {
        let node = &mut self.nodes[id];
        (node.head, node.line, node.foot) = comments;
    }

    pub(super) fn remember(&mut self, anchor: Option<&'a [u8]>, id: Id) {
        if let Some(name) = anchor {
            self.anchors.insert(name, id);
        }
    }

    /// Takes the comments that are due: head, line, foot.
    pub(super) fn comments(&mut self) -> (Lines<'a>, Lines<'a>, Lines<'a>) {
        self.stem.clear();
        let notes = &mut self.scanner.notes;
        (std::mem::take(&mut notes.head), std::mem::take(&mut notes.line), std::mem::take(&mut notes.foot))
    }

    /// Looks at the next token, which makes the comments in front of it due.
    pub(super) fn peek(&mut self) -> Scan<Next> {
        let token = self.scanner.peek()?;
        let start = token.start;
        let next = match token.kind {
            TokenKind::StreamStart => Next::StreamStart,
            TokenKind::StreamEnd => Next::StreamEnd,
            TokenKind::VersionDirective { .. } | TokenKind::TagDirective { .. } => Next::Directive,
            TokenKind::DocumentStart => Next::DocumentStart,
            TokenKind::DocumentEnd => Next::DocumentEnd,
            TokenKind::BlockSequenceStart => Next::BlockSequence,
            TokenKind::BlockMappingStart => Next::BlockMapping,
            TokenKind::BlockEnd => Next::BlockEnd,
            TokenKind::FlowSequenceStart => Next::FlowSequence,
            TokenKind::FlowSequenceEnd => Next::FlowSequenceEnd,
            TokenKind::FlowMappingStart => Next::FlowMapping,
            TokenKind::FlowMappingEnd => Next::FlowMappingEnd,
            TokenKind::BlockEntry => Next::BlockEntry,
            TokenKind::FlowEntry => Next::FlowEntry,
            TokenKind::Key => Next::Key,
            TokenKind::Value => Next::Value,
            TokenKind::Alias(_) => Next::Alias,
            TokenKind::Anchor(_) => Next::Anchor,
            TokenKind::Tag { .. } => Next::Tag,
            TokenKind::Scalar { .. } => Next::Scalar,
        };
        self.scanner.notes.unfold(start, next == Next::BlockEnd);
        Ok(next)
    }

    pub(super) fn take(&mut self) -> Option<TokenKind<'a>> {
        self.scanner.take().map(|token| token.kind)
    }

    pub(super) fn mark(&mut self) -> Scan<Mark> {
        self.scanner.peek().map(|token| token.start)
    }

    pub(super) fn fault(&self, problem: &'static str) -> ParseError {
        self.scanner
            .queue
            .front()
            .map_or_else(|| self.scanner.fault(problem), |token| ParseError::new(token.start, problem))
    }
}
