//! The tree as go-yaml (v3.0.4) writes it for SOPS: block style, comments where they were attached.
//!
//! Comments wait in four slots (head, line, foot, tail) until the writer comes to a place for their kind; which place
//! that is follows go-yaml's emitter step by step, because it shows in the bytes.

use super::super::{Comment, EmitError, Entry, Item, Key, Layout, Map, Node, Tree};
use super::leaf::Leaf;
use super::text::{double_quoted, is_multiline};
use super::token::Style;
use crate::Plaintext;

const DEFAULT_INDENT: isize = 4;

/// Writes every document.
pub(in super::super) fn emit(tree: &Tree, layout: &Layout) -> Result<Plaintext, EmitError> {
    let mut emitter = Emitter::new(indent_of(layout)?, tree.text_length());
    for (index, document) in tree.documents.iter().enumerate() {
        emitter.document(document, index == 0);
    }
    emitter.finish()
}

/// Writes one value; its indentation is always the default.
pub(in super::super) fn emit_value(value: &Node) -> Result<Plaintext, EmitError> {
    let mut emitter = Emitter::new(DEFAULT_INDENT, value.text_length());
    emitter.value_document(value);
    emitter.finish()
}

fn indent_of(layout: &Layout) -> Result<isize, EmitError> {
    match layout.indent {
        None | Some(0) => Ok(DEFAULT_INDENT),
        Some(columns @ 2..=9) => Ok(isize::try_from(columns).unwrap_or(DEFAULT_INDENT)),
        Some(1..) => Ok(2),
        Some(_) => Err(EmitError::Indent),
    }
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Key,
    Value,
    Item,
}

/// A comment text with its first `#`, lines joined; empty for none.
type Slot = Plaintext;

pub(super) struct Emitter {
    pub(super) out: Plaintext,
    pub(super) best_indent: isize,
    pub(super) indent: isize,
    pub(super) indents: Vec<isize>,
    pub(super) column: isize,
    pub(super) whitespace: bool,
    pub(super) indention: bool,
    pub(super) foot_indent: isize,
    pub(super) head: Slot,
    pub(super) line: Slot,
    pub(super) foot: Slot,
    pub(super) tail: Slot,
    pub(super) key_line: Slot,
    pub(super) failed: Option<EmitError>,
}

/// The comments of a collection: above it, and those that its end brings.
#[derive(Default)]
struct Around {
    head: Slot,
    line: Slot,
    foot: Slot,
}

impl Emitter {
    fn new(best_indent: isize, room: usize) -> Self {
        Self {
            out: Plaintext::with_capacity(room),
            best_indent,
            indent: -1,
            indents: Vec::new(),
            column: 0,
            whitespace: true,
            indention: true,
            foot_indent: -1,
            head: Slot::default(),
            line: Slot::default(),
            foot: Slot::default(),
            tail: Slot::default(),
            key_line: Slot::default(),
            failed: None,
        }
    }

    fn finish(self) -> Result<Plaintext, EmitError> {
        self.failed.map_or(Ok(self.out), Err)
    }

    fn document(&mut self, map: &Map, first: bool) {
        self.document_start(first);
        self.map(map, Around::default(), Place::Root);
        self.document_end();
    }

    fn value_document(&mut self, value: &Node) {
        self.document_start(true);
        self.node(value, Around::default(), Place::Root);
        self.document_end();
    }

    fn document_start(&mut self, first: bool) {
        if !first {
            self.write_indent();
            self.indicator(b"---", true, false, false);
            self.write_indent();
        }
        if !self.head.is_empty() {
            self.process_head();
            self.put_break();
        }
    }

    fn document_end(&mut self) {
        self.foot_indent = 0;
        self.process_foot();
        self.foot_indent = -1;
        self.write_indent();
    }

    fn node(&mut self, node: &Node, around: Around, place: Place) {
        match node {
            Node::Map(map) => self.map(map, around, place),
            Node::Seq(items) => self.list(items, around, place),
            Node::Null => self.leaf(Leaf::Word("null".into()), around, place),
            Node::Scalar(scalar) => self.leaf(Leaf::of(scalar), around, place),
        }
    }

    fn map(&mut self, map: &Map, mut around: Around, place: Place) {
        let mut waiting = Waiting::default();
        let mut pairs = Vec::with_capacity(map.entries.len());
        for entry in &map.entries {
            match entry {
                Entry::Comment(comment) => waiting.add(comment),
                Entry::Pair { key, value } => {
                    if pairs.is_empty() {
                        join(&mut around.head, std::mem::take(&mut waiting.head));
                    }
                    pairs.push((key, value, waiting.take()));
                }
            }
        }
        let rest = waiting.rest();
        if pairs.is_empty() {
            join(&mut around.head, rest);
            self.start(around.head, place);
            self.empty_map(around.line, around.foot, place);
            return;
        }
        self.start(around.head, place);
        self.pairs(pairs, rest, place);
        fill(&mut self.line, around.line);
        fill(&mut self.foot, around.foot);
        // The end of the mapping: what is left above it, and the foot of its last key.
        self.process_head();
        self.indent = self.indents.pop().unwrap_or(-1);
    }

    fn pairs(&mut self, pairs: Vec<(&Key, &Node, (Slot, Slot))>, rest: Slot, place: Place) {
        self.increase_indent(false, place);
        for (key, value, (head, line)) in pairs {
            fill(&mut self.head, head);
            self.process_head();
            self.write_indent();
            if !self.line.is_empty() {
                self.key_line = std::mem::take(&mut self.line);
            }
            let leaf = Leaf::of_key(key);
            if leaf.is_simple_key() {
                self.scalar(&leaf, Place::Key);
                self.indicator(b":", false, false, false);
            } else {
                self.indicator(b"?", true, false, true);
                self.scalar(&leaf, Place::Key);
                self.write_indent();
                self.indicator(b":", true, false, true);
            }
            self.node(value, Around { line, ..Around::default() }, Place::Value);
        }
        fill(&mut self.tail, rest);
    }

    fn list(&mut self, items: &[Item], mut around: Around, place: Place) {
        let mut waiting = Waiting::default();
        let mut elements = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Comment(comment) => waiting.add(comment),
                Item::Node(node) => {
                    if elements.is_empty() {
                        join(&mut around.head, std::mem::take(&mut waiting.head));
                    }
                    let (head, line) = waiting.take();
                    elements.push((node, Around { head, line, foot: Slot::default() }));
                }
            }
        }
        let rest = waiting.rest();
        if let Some((_, last)) = elements.last_mut() {
            last.foot = rest;
        } else {
            join(&mut around.head, rest);
            self.start(around.head, place);
            self.empty_list(around.line, around.foot, place);
            return;
        }
        self.start(around.head, place);
        self.increase_indent(false, place);
        for (node, around) in elements {
            self.node(node, around, Place::Item);
        }
        fill(&mut self.line, around.line);
        fill(&mut self.foot, around.foot);
        self.indent = self.indents.pop().unwrap_or(-1);
    }

    /// What happens at a place before the node itself, and for a collection right after its start.
    fn start(&mut self, head: Slot, place: Place) {
        fill(&mut self.head, head);
        self.before(place);
        if place == Place::Value {
            self.line_of_key(false);
        }
        self.process_line();
        self.process_foot();
    }

    fn before(&mut self, place: Place) {
        match place {
            Place::Root => self.process_head(),
            Place::Item => {
                self.process_head();
                self.write_indent();
                self.indicator(b"-", true, false, true);
            }
            Place::Key | Place::Value => {}
        }
    }

    /// A line comment that is left from before the key goes to a scalar value without one, or is written now.
    fn line_of_key(&mut self, scalar: bool) {
        if self.key_line.is_empty() {
            return;
        }
        if !scalar {
            std::mem::swap(&mut self.line, &mut self.key_line);
            self.process_line();
            std::mem::swap(&mut self.line, &mut self.key_line);
        } else if self.line.is_empty() {
            self.line = std::mem::take(&mut self.key_line);
        }
    }

    fn leaf(&mut self, leaf: Leaf<'_>, around: Around, place: Place) {
        fill(&mut self.head, around.head);
        fill(&mut self.line, around.line);
        fill(&mut self.foot, around.foot);
        self.before(place);
        if place == Place::Value {
            self.line_of_key(true);
        }
        self.scalar(&leaf, place);
        self.process_line();
        self.process_foot();
    }

    fn empty_map(&mut self, line: Slot, foot: Slot, place: Place) {
        fill(&mut self.line, line);
        fill(&mut self.foot, foot);
        self.increase_indent(true, place);
        self.back_to_indent(place);
        self.indicator(b"{", true, true, false);
        self.process_head();
        self.indent = self.indents.pop().unwrap_or(-1);
        self.indicator(b"}", false, false, false);
        self.process_line();
        self.process_foot();
    }

    fn empty_list(&mut self, line: Slot, foot: Slot, place: Place) {
        fill(&mut self.line, line);
        fill(&mut self.foot, foot);
        self.increase_indent(true, place);
        self.back_to_indent(place);
        self.indicator(b"[", true, true, false);
        self.indent = self.indents.pop().unwrap_or(-1);
        if self.column == 0 {
            self.write_indent();
        }
        self.indicator(b"]", false, false, false);
        self.process_line();
        self.process_foot();
    }

    /// After a comment that was left from the element before, an empty collection starts on a line of its own: go-yaml
    /// forgets to indent it, and cannot read that.
    fn back_to_indent(&mut self, place: Place) {
        if self.column == 0 && place != Place::Root {
            self.write_indent();
        }
    }

    fn increase_indent(&mut self, flow: bool, place: Place) {
        self.indents.push(self.indent);
        let best = self.best_indent;
        self.indent = match self.indent {
            ..0 if flow => best,
            ..0 => 0,
            indent if place == Place::Item => indent + 2,
            indent => best * ((indent + best) / best),
        };
    }

    fn scalar(&mut self, leaf: &Leaf<'_>, place: Place) {
        let (text, mut style) = (leaf.bytes(), leaf.style());
        // go-yaml writes the second line of the comment into the literal, where it is text.
        if style == Style::Literal && is_multiline(self.line.expose()) {
            style = Style::Double;
        }
        if let Some(tag) = leaf.tag() {
            if !self.whitespace {
                self.put(b" ", 1);
            }
            self.put(tag, isize::try_from(tag.len()).unwrap_or(0));
            self.whitespace = false;
            self.indention = false;
        }
        self.increase_indent(true, place);
        match style {
            Style::Plain => self.plain(text),
            Style::Single => self.single(text),
            Style::Double => {
                // The quotes, as one more indicator.
                self.indicator(b"", true, false, false);
                double_quoted(&mut self.out, std::str::from_utf8(text).unwrap_or_default());
                self.column += 2;
            }
            Style::Literal | Style::Folded => self.literal(text),
        }
        self.indent = self.indents.pop().unwrap_or(-1);
    }
}

/// Comments that wait for the next key or element.
#[derive(Default)]
struct Waiting {
    head: Slot,
    line: Slot,
}

impl Waiting {
    fn add(&mut self, comment: &Comment) {
        let slot = if comment.inline { &mut self.line } else { &mut self.head };
        slot.push(if slot.is_empty() { b"#" } else { b"\n#" });
        slot.push(comment.text.expose());
    }

    fn take(&mut self) -> (Slot, Slot) {
        (std::mem::take(&mut self.head), std::mem::take(&mut self.line))
    }

    /// What nothing follows: ordinary comments, then inline ones.
    fn rest(self) -> Slot {
        let Self { mut head, line } = self;
        join(&mut head, line);
        head
    }
}

/// Puts a comment under another one.
fn join(slot: &mut Slot, more: Slot) {
    if slot.is_empty() {
        *slot = more;
    } else if !more.is_empty() {
        slot.push(b"\n");
        slot.push(more.expose());
    }
}

/// Sets a slot, where there is something to set.
fn fill(slot: &mut Slot, comment: Slot) {
    if !comment.is_empty() {
        *slot = comment;
    }
}
