//! What stands between braces as a statement: control, definitions, calls of templates.

use sealops_formats::Plaintext;

use super::super::lexer::{Kind, Token};
use super::super::nodes::{Branch, List, Node};
use super::{End, Item, Parsed, Parser};
use crate::value::Text;

impl Parser<'_, '_, '_> {
    pub(super) fn item_list(&mut self) -> Parsed<(List, End)> {
        let mut list = List { at: self.peek_non_space().at, nodes: Vec::new() };
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.nodes.push(node),
                Item::End(end) => return Ok((list, end)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    pub(super) fn text_or_action(&mut self) -> Parsed<Item> {
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
}
