//! Tokens to trees (`text/template/parse/parse.go`).

mod actions;
mod pipelines;

use std::collections::HashMap;

use super::lexer::{Kind, Lexer, Token, Words};
use super::nodes::{List, Node};
use crate::budget::{MAX_NESTING, MAX_NODES, MAX_TEMPLATE_BYTES};
use crate::error::ParseError;
use crate::functions::FunctionSet;
use crate::go::quote::{quoted, unquote};
use crate::template::Delimiters;

/// The trees of a text by name; the text itself is the tree of the template's name.
pub(crate) type Trees = HashMap<String, List>;

/// Parses a text into its trees.
pub(crate) fn parse(
    name: &str,
    text: &[u8],
    functions: &FunctionSet,
    delimiters: &Delimiters,
) -> Result<Trees, ParseError> {
    if text.len() > MAX_TEMPLATE_BYTES {
        let message = format!("the template is larger than {MAX_TEMPLATE_BYTES} bytes");
        return Err(ParseError { name: name.to_owned(), line: 1, message });
    }
    let words =
        Words { break_: functions.find("break").is_none(), continue_: functions.find("continue").is_none() };
    let mut shared = Shared { name, functions, trees: Trees::new(), nesting: 0, nodes: 0 };
    let mut lexer = Lexer::new(text, delimiters, words);
    let mut parser = Parser::new(&mut lexer, &mut shared);
    let root = parser.top()?;
    parser.add(name.to_owned(), root)?;
    Ok(shared.trees)
}

/// What the parsers of all definitions share.
struct Shared<'p> {
    name: &'p str,
    functions: &'p FunctionSet,
    trees: Trees,
    nesting: usize,
    nodes: usize,
}

/// Parses one tree: the text, or a definition in it.
struct Parser<'p, 's, 'f> {
    lexer: &'p mut Lexer<'s>,
    shared: &'p mut Shared<'f>,
    /// Tokens that were read ahead; the first is always the one read last.
    tokens: [Token<'s>; 3],
    ahead: usize,
    variables: Scope,
    action_line: usize,
    ranges: usize,
}

/// The variables in scope. Looked up by hash: a hostile text declares a hundred thousand and uses each.
#[derive(Default)]
struct Scope {
    order: Vec<String>,
    known: HashMap<String, usize>,
}

impl Scope {
    fn declare(&mut self, name: String) {
        *self.known.entry(name.clone()).or_default() += 1;
        self.order.push(name);
    }

    fn contains(&self, name: &str) -> bool {
        name == "$" || self.known.get(name).is_some_and(|count| *count > 0)
    }

    /// Goes back to the first `length` variables.
    fn leave(&mut self, length: usize) {
        for name in self.order.drain(length..) {
            if let Some(count) = self.known.get_mut(&name) {
                *count -= 1;
            }
        }
    }
}

/// What a list ends with.
enum End {
    End,
    Else { at: usize },
}

enum Item {
    Node(Node),
    End(End),
}

impl End {
    fn shown(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else { .. } => "{{else}}",
        }
    }
}

type Parsed<T> = Result<T, ParseError>;

impl<'p, 's, 'f> Parser<'p, 's, 'f> {
    fn new(lexer: &'p mut Lexer<'s>, shared: &'p mut Shared<'f>) -> Self {
        Self {
            lexer,
            shared,
            tokens: [Token::NONE, Token::NONE, Token::NONE],
            ahead: 0,
            variables: Scope::default(),
            action_line: 0,
            ranges: 0,
        }
    }

    fn next(&mut self) -> Token<'s> {
        if self.ahead > 0 {
            self.ahead -= 1;
        } else {
            self.tokens[0] = self.lexer.next_token();
        }
        self.tokens[self.ahead].clone()
    }

    fn backup(&mut self) {
        self.ahead += 1;
    }

    fn backup2(&mut self, first: Token<'s>) {
        self.tokens[1] = first;
        self.ahead = 2;
    }

    fn backup3(&mut self, first: Token<'s>, second: Token<'s>) {
        self.tokens[1] = second;
        self.tokens[2] = first;
        self.ahead = 3;
    }

    fn peek(&mut self) -> &Token<'s> {
        if self.ahead == 0 {
            self.ahead = 1;
            self.tokens[0] = self.lexer.next_token();
        }
        &self.tokens[self.ahead - 1]
    }

    fn next_non_space(&mut self) -> Token<'s> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> &Token<'s> {
        self.next_non_space();
        self.backup();
        self.peek()
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError { name: self.shared.name.to_owned(), line: self.tokens[0].line, message: message.into() }
    }

    fn unexpected(&self, token: &Token<'_>, context: &str) -> ParseError {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {} in {context}", token.shown()));
        }
        let mut message = token.shown();
        if self.action_line != 0 && self.action_line != token.line {
            let start = format!("{}:{}", self.shared.name, self.action_line);
            let link = if message.ends_with(" action") { "" } else { " in action" };
            message.push_str(&format!("{link} started at {start}"));
        }
        self.error(message)
    }

    fn expect(&mut self, kinds: &[Kind], context: &str) -> Parsed<Token<'s>> {
        let token = self.next_non_space();
        if kinds.contains(&token.kind) { Ok(token) } else { Err(self.unexpected(&token, context)) }
    }

    /// Goes one level deeper; [`Parser::leave`] goes back.
    fn enter(&mut self) -> Parsed<()> {
        self.shared.nesting += 1;
        if self.shared.nesting > MAX_NESTING {
            return Err(self.error(format!("max expression depth exceeded ({MAX_NESTING})")));
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.shared.nesting -= 1;
    }

    /// Counts a node.
    fn count(&mut self) -> Parsed<()> {
        self.shared.nodes += 1;
        if self.shared.nodes > MAX_NODES {
            return Err(self.error(format!("the template has more than {MAX_NODES} actions and operands")));
        }
        Ok(())
    }

    /// Parses the whole text.
    fn top(&mut self) -> Parsed<List> {
        let mut root = List { at: self.peek().at, nodes: Vec::new() };
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Kind::Define {
                    Parser::new(self.lexer, self.shared).definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            match self.text_or_action()? {
                Item::Node(node) => root.nodes.push(node),
                Item::End(end) => return Err(self.error(format!("unexpected {}", end.shown()))),
            }
        }
        Ok(root)
    }

    fn definition(&mut self) -> Parsed<()> {
        let context = "define clause";
        let name = self.expect(&[Kind::String, Kind::RawString], context)?;
        let name = self.unquote(&name)?;
        self.expect(&[Kind::RightDelim], context)?;
        self.body(name, context)
    }

    /// Parses up to `end` and adds the tree.
    fn body(&mut self, name: String, context: &str) -> Parsed<()> {
        self.enter()?;
        let (list, end) = self.item_list()?;
        self.leave();
        if let End::Else { .. } = end {
            return Err(self.error(format!("unexpected {} in {context}", end.shown())));
        }
        self.add(name, list)
    }

    /// An empty tree gives way to another of its name; two with content are an error.
    fn add(&mut self, name: String, list: List) -> Parsed<()> {
        match self.shared.trees.get(&name) {
            Some(old) if !old.is_empty() => {
                if !list.is_empty() {
                    let name = quoted(name.as_bytes());
                    return Err(self.error(format!("template: multiple definition of template {name}")));
                }
            }
            _ => {
                self.shared.trees.insert(name, list);
            }
        }
        Ok(())
    }

    fn unquote(&self, token: &Token<'_>) -> Parsed<String> {
        let text = unquote(&token.text).ok_or_else(|| self.error("invalid syntax"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}
