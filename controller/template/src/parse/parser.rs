//! Tokens to trees (`text/template/parse/parse.go`).

use std::collections::HashMap;

use sealops_formats::Plaintext;

use super::lexer::{Kind, Lexer, Token, Words};
use super::nodes::{Branch, Command, Ideal, List, Node, Number, Pipe};
use crate::budget::{MAX_NESTING, MAX_NODES, MAX_TEMPLATE_BYTES};
use crate::error::ParseError;
use crate::functions::FunctionSet;
use crate::go::number;
use crate::go::quote::{Unquoted, quoted, unquote, unquote_char};
use crate::template::Delimiters;
use crate::value::Text;

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

    fn item_list(&mut self) -> Parsed<(List, End)> {
        let mut list = List { at: self.peek_non_space().at, nodes: Vec::new() };
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.nodes.push(node),
                Item::End(end) => return Ok((list, end)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        self.count()?;
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text {
                at: token.at,
                text: Text::literal(Plaintext::from(&*token.text)),
            })),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action()?;
                self.action_line = 0;
                Ok(item)
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        Ok(Item::Node(match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => {
                self.loop_control("{{break}}")?;
                Node::Break { at: token.at }
            }
            Kind::Continue => {
                self.loop_control("{{continue}}")?;
                Node::Continue { at: token.at }
            }
            Kind::Else => return self.else_control().map(Item::End),
            Kind::End => {
                self.expect(&[Kind::RightDelim], "end")?;
                return Ok(Item::End(End::End));
            }
            Kind::If => Node::If(Box::new(self.control("if")?)),
            Kind::Range => Node::Range(Box::new(self.control("range")?)),
            Kind::With => Node::With(Box::new(self.control("with")?)),
            Kind::Template => self.template()?,
            _ => {
                self.backup();
                let at = self.peek().at;
                Node::Action { at, pipe: self.pipeline("command", Kind::RightDelim)? }
            }
        }))
    }

    fn loop_control(&mut self, name: &str) -> Parsed<()> {
        self.expect(&[Kind::RightDelim], name)?;
        if self.ranges == 0 {
            return Err(self.error(format!("{name} outside {{{{range}}}}")));
        }
        Ok(())
    }

    fn else_control(&mut self) -> Parsed<End> {
        let peeked = self.peek_non_space();
        if matches!(peeked.kind, Kind::If | Kind::With) {
            return Ok(End::Else { at: peeked.at });
        }
        Ok(End::Else { at: self.expect(&[Kind::RightDelim], "else")?.at })
    }

    fn control(&mut self, context: &str) -> Parsed<Branch> {
        self.enter()?;
        let variables = self.variables.order.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        self.ranges += usize::from(context == "range");
        let (list, end) = self.item_list()?;
        self.ranges -= usize::from(context == "range");
        let otherwise = match end {
            End::End => None,
            End::Else { at } => Some(self.otherwise(context, at)?),
        };
        self.variables.leave(variables);
        self.leave();
        Ok(Branch { at: pipe.at, pipe, list, otherwise })
    }

    fn otherwise(&mut self, context: &str, at: usize) -> Parsed<List> {
        let node = match (context, self.peek().kind) {
            ("if", Kind::If) => {
                self.next();
                Node::If(Box::new(self.control("if")?))
            }
            ("with", Kind::With) => {
                self.next();
                Node::With(Box::new(self.control("with")?))
            }
            _ => {
                let (list, end) = self.item_list()?;
                return match end {
                    End::End => Ok(list),
                    End::Else { .. } => Err(self.error(format!("expected end; found {}", end.shown()))),
                };
            }
        };
        Ok(List { at, nodes: vec![node] })
    }

    fn block(&mut self) -> Parsed<Node> {
        let context = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        Parser::new(self.lexer, self.shared).body(name.clone(), context)?;
        Ok(Node::Template { at: token.at, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Parsed<Node> {
        let context = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(context, Kind::RightDelim)?);
        }
        Ok(Node::Template { at: token.at, name, pipe })
    }

    fn template_name(&mut self, token: &Token<'_>, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(token),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let at = self.peek_non_space().at;
        let mut pipe = Pipe { at, assigns: false, variables: Vec::new(), commands: Vec::with_capacity(1) };
        while self.declaration(context, &mut pipe)? {}
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.check(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    pipe.commands.push(self.command()?);
                }
                _ => return Err(self.unexpected(&token, context)),
            }
        }
    }

    /// Parses a variable that takes the result; returns whether another may follow.
    fn declaration(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<bool> {
        if self.peek_non_space().kind != Kind::Variable {
            return Ok(false);
        }
        let variable = self.next();
        // A space after the variable must be read again if it is an operand.
        let after = self.peek().clone();
        let next = self.peek_non_space().clone();
        let comma = next.kind == Kind::Char && &*next.text == b",";
        if !comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
            if after.kind == Kind::Space {
                self.backup3(variable, after);
            } else {
                self.backup2(variable);
            }
            return Ok(false);
        }
        self.next_non_space();
        self.count()?;
        let names = names(&variable.text);
        self.variables.declare(String::from_utf8_lossy(&variable.text).into_owned());
        pipe.variables.push(Node::Variable { at: variable.at, names });
        if !comma {
            pipe.assigns = next.kind == Kind::Assign;
            return Ok(false);
        }
        if context == "range" && pipe.variables.len() < 2 {
            return match self.peek_non_space().kind {
                Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                _ => Err(self.error("range can only initialize variables")),
            };
        }
        Err(self.error(format!("too many declarations in {context}")))
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.words[0],
                Node::Bool { .. }
                    | Node::Dot { .. }
                    | Node::Nil { .. }
                    | Node::Number(_)
                    | Node::String { .. }
            ) {
                return Err(self.error(format!("non executable command in pipeline stage {}", index + 1)));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        self.count()?;
        let mut command = Command { at: self.peek_non_space().at, words: Vec::with_capacity(1) };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                command.words.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if command.words.is_empty() {
            return Err(self.error("empty command"));
        }
        Ok(command)
    }

    fn operand(&mut self) -> Parsed<Option<Node>> {
        let Some(node) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(node));
        }
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            self.count()?;
            fields.push(String::from_utf8_lossy(&self.next().text[1..]).into_owned());
        }
        Ok(Some(match node {
            Node::Field { names, .. } => Node::Field { at, names: [names, fields].concat() },
            Node::Variable { names, .. } => Node::Variable { at, names: [names, fields].concat() },
            Node::Bool { .. }
            | Node::String { .. }
            | Node::Number(_)
            | Node::Nil { .. }
            | Node::Dot { .. } => {
                let term = quoted(node.source().as_bytes());
                return Err(self.error(format!("unexpected . after term {term}")));
            }
            base => Node::Chain { at, base: Box::new(base), names: fields },
        }))
    }

    fn term(&mut self) -> Parsed<Option<Node>> {
        let token = self.next_non_space();
        let at = token.at;
        self.count()?;
        let text = || String::from_utf8_lossy(&token.text).into_owned();
        Ok(Some(match token.kind {
            Kind::Identifier => {
                let name = text();
                match self.shared.functions.find(&name) {
                    Some(function) => Node::Identifier { at, function: *function, name },
                    None => {
                        let name = quoted(name.as_bytes());
                        return Err(self.error(format!("function {name} not defined")));
                    }
                }
            }
            Kind::Dot => Node::Dot { at },
            Kind::Nil => Node::Nil { at },
            Kind::Variable => {
                let names = names(&token.text);
                if !self.variables.contains(&names[0]) {
                    let name = quoted(names[0].as_bytes());
                    return Err(self.error(format!("undefined variable {name}")));
                }
                Node::Variable { at, names }
            }
            Kind::Field => Node::Field { at, names: names(&token.text[1..]) },
            Kind::Bool => Node::Bool { at, value: &*token.text == b"true" },
            Kind::CharConstant | Kind::Complex | Kind::Number => Node::Number(self.number(&token)?),
            Kind::LeftParen => {
                self.enter()?;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.leave();
                Node::Pipe(pipe)
            }
            Kind::String | Kind::RawString => {
                let value = unquote(&token.text).ok_or_else(|| self.error("invalid syntax"))?;
                Node::String { at, quoted: text(), text: Text::literal(Plaintext::from(value)) }
            }
            _ => {
                self.backup();
                return Ok(None);
            }
        }))
    }

    fn number(&self, token: &Token<'_>) -> Parsed<Number> {
        let text = String::from_utf8_lossy(&token.text).into_owned();
        let shown = quoted(text.as_bytes());
        let ideal = Ideal::Overflow;
        let mut parsed = Number { at: token.at, int: None, uint: None, float: None, text, ideal };
        if token.kind == Kind::CharConstant {
            let rune = char_constant(&token.text).map_err(|malformed| {
                self.error(if malformed {
                    format!("malformed character constant: {}", parsed.text)
                } else {
                    "invalid syntax".to_owned()
                })
            })?;
            parsed.int = Some(i64::from(rune));
            parsed.uint = Some(u64::from(rune));
            parsed.float = Some(f64::from(rune));
            parsed.ideal = Ideal::Int(i64::from(rune));
            return Ok(parsed);
        }
        if token.kind == Kind::Complex || parsed.text.ends_with('i') {
            return Err(self.error(format!("complex numbers are not supported: {shown}")));
        }
        parsed.int = number::parse_int(&parsed.text);
        parsed.uint = number::parse_uint(&parsed.text).or(parsed.int.filter(|int| *int == 0).map(|_| 0));
        parsed.float = parsed.int.map(|int| int as f64).or(parsed.uint.map(|uint| uint as f64));
        if parsed.float.is_none()
            && let Some(float) = number::parse_float(&parsed.text)
        {
            if !parsed.text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(self.error(format!("integer overflow: {shown}")));
            }
            let whole = float.trunc() == float;
            parsed.float = Some(float);
            parsed.int =
                (whole && (-(2f64.powi(63))..2f64.powi(63)).contains(&float)).then_some(float as i64);
            parsed.uint = (whole && (0.0..2f64.powi(64)).contains(&float)).then_some(float as u64);
        }
        if parsed.float.is_none() {
            return Err(self.error(format!("illegal number syntax: {shown}")));
        }
        parsed.ideal = ideal_constant(&parsed);
        Ok(parsed)
    }
}

/// Decides by the syntax: a point or an exponent makes a float, except that `e` is a digit of a hexadecimal integer.
fn ideal_constant(number: &Number) -> Ideal {
    let text = number.text.as_str();
    let hex =
        text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    match (number.float, number.int) {
        (Some(float), _) if !hex && text.contains(['.', 'e', 'E', 'p', 'P']) => Ideal::Float(float),
        (_, Some(int)) => Ideal::Int(int),
        _ => Ideal::Overflow,
    }
}

/// Splits `$x.y` or `x.y` at its dots.
fn names(text: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(text).split('.').map(str::to_owned).collect()
}

/// Returns the code of a character constant; the error says whether it is malformed rather than of invalid syntax.
fn char_constant(text: &[u8]) -> Result<u32, bool> {
    let (value, rest) = unquote_char(text.get(1..).ok_or(false)?, b'\'').ok_or(false)?;
    if rest != b"'" {
        return Err(true);
    }
    Ok(match value {
        Unquoted::Byte(byte) => u32::from(byte),
        Unquoted::Rune(rune) => u32::from(rune),
    })
}
