//! The nodes of a YAML text with the comments that go-yaml attaches to them.

use super::comments::Lines;
use super::token::{Mark, Style, Text};

/// The place of a node in [`Nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) usize);

/// Every node of a text; aliases point back to their anchor.
#[derive(Default)]
pub(super) struct Nodes<'a>(Vec<Node<'a>>);

pub(super) struct Node<'a> {
    pub(super) kind: Kind<'a>,
    /// The tag, `!!` for the standard prefix; `None` where there is none or the lone `!`.
    pub(super) tag: Option<String>,
    pub(super) mark: Mark,
    pub(super) head: Lines<'a>,
    pub(super) line: Lines<'a>,
    pub(super) foot: Lines<'a>,
}

pub(super) enum Kind<'a> {
    Scalar(Text<'a>, Style),
    List(Vec<Id>),
    /// Keys and values in turn.
    Map(Vec<Id>),
    Alias(Id),
}

/// One document.
pub(super) struct Document<'a> {
    pub(super) root: Id,
    pub(super) head: Lines<'a>,
    pub(super) foot: Lines<'a>,
}

impl<'a> Nodes<'a> {
    pub(super) fn add(&mut self, node: Node<'a>) -> Id {
        self.0.push(node);
        Id(self.0.len() - 1)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> std::ops::Index<Id> for Nodes<'a> {
    type Output = Node<'a>;

    fn index(&self, id: Id) -> &Node<'a> {
        &self.0[id.0]
    }
}

impl<'a> std::ops::IndexMut<Id> for Nodes<'a> {
    fn index_mut(&mut self, id: Id) -> &mut Node<'a> {
        &mut self.0[id.0]
    }
}
