//! What gives a value: pipelines, commands, operands, constants.

use sealops_formats::Plaintext;

use super::super::lexer::{Kind, Token};
use super::super::nodes::{Command, Ideal, Node, Number, Pipe};
use super::{Parsed, Parser};
use crate::go::number;
use crate::go::quote::{Unquoted, quoted, unquote, unquote_char};
use crate::value::Text;

impl Parser<'_, '_, '_> {
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
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
