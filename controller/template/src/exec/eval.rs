//! Pipelines, commands, fields.

use super::{Dot, Executed, Place, State};
use crate::parse::nodes::{Command, Ideal, Node, Number, Pipe};
use crate::template::MissingKey;
use crate::value::{Type, Value};

/// A command: its words without the first, and the value that the pipeline hands it.
#[derive(Clone, Copy)]
pub(super) struct Given<'t, 'v> {
    pub(super) arguments: &'t [Node],
    pub(super) last: Option<&'v Value>,
}

impl Given<'_, '_> {
    pub(super) const NOTHING: Self = Given { arguments: &[], last: None };

    fn is_nothing(&self) -> bool {
        self.arguments.is_empty() && self.last.is_none()
    }
}

impl<'t> State<'t, '_> {
    /// Evaluates a pipeline and sets its variables, which stay until the caller takes them off.
    pub(super) fn pipeline(&mut self, dot: &Dot, pipe: &'t Pipe) -> Executed<Dot> {
        self.at(Place::Pipe(pipe));
        self.enter()?;
        let mut value: Option<Dot> = None;
        for command in &pipe.commands {
            let mut result = self.command(dot, command, value.as_ref().map(|dot| &dot.value))?;
            // A value in an interface comes out of it; nothing in an interface is no value.
            result.boxed = false;
            if matches!(result.value, Value::Nil) {
                result.value = Value::Missing;
            }
            value = Some(result);
        }
        self.levels -= 1;
        let value = value.unwrap_or_else(|| Dot::bare(Value::Missing));
        for variable in &pipe.variables {
            let Node::Variable { names, .. } = variable else { continue };
            if pipe.assigns {
                self.assign(&names[0], value.clone())?;
            } else {
                self.variables.push((names[0].as_str(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Dot, command: &'t Command, last: Option<&Value>) -> Executed<Dot> {
        self.charge(1)?;
        let first = &command.words[0];
        let given = Given { arguments: &command.words[1..], last };
        match first {
            Node::Field { names, .. } => {
                self.at(Place::Node(first));
                return self.chain(dot, dot.clone(), first, names, given);
            }
            Node::Chain { .. } => return self.chain_node(dot, first, given),
            Node::Identifier { .. } => return self.function(dot, first, Place::Command(command), given),
            Node::Pipe(pipe) => {
                self.no_arguments(first, given)?;
                return self.pipeline(dot, pipe);
            }
            Node::Variable { .. } => return self.variable_node(dot, first, given),
            _ => {}
        }
        self.at(Place::Node(first));
        self.no_arguments(first, given)?;
        Ok(match first {
            Node::Bool { value, .. } => Dot::bare(Value::Bool(*value)),
            Node::Dot { .. } => dot.clone(),
            Node::Nil { .. } => return Err(self.error("nil is not a command")),
            Node::Number(number) => Dot::bare(self.constant(first, number)?),
            Node::String { text, .. } => Dot::bare(Value::String(text.clone())),
            other => return Err(self.error(format!("can't evaluate command {}", other.source()))),
        })
    }

    fn no_arguments(&self, first: &Node, given: Given<'_, '_>) -> Executed<()> {
        if given.is_nothing() {
            return Ok(());
        }
        let mut source = String::new();
        first.write(&mut source);
        Err(self.error(format!("can't give argument to non-function {source}")))
    }

    /// Returns the value of a number where nothing says its type.
    pub(super) fn constant(&mut self, node: &'t Node, number: &Number) -> Executed<Value> {
        self.at(Place::Node(node));
        match number.ideal {
            Ideal::Int(int) => Ok(Value::int(int)),
            Ideal::Float(float) => Ok(Value::Float(float)),
            Ideal::Overflow => Err(self.error(format!("{} overflows int", number.text))),
        }
    }

    /// `(pipeline).Field1.Field2`
    pub(super) fn chain_node(&mut self, dot: &Dot, node: &'t Node, given: Given<'t, '_>) -> Executed<Dot> {
        let Node::Chain { base, names, .. } = node else {
            return Err(self.error("internal error: not a chain"));
        };
        self.at(Place::Node(node));
        if let Node::Nil { .. } = **base {
            return Err(self.error(format!("indirection through explicit nil in {}", node.source())));
        }
        let receiver = self.operand(dot, base)?;
        self.chain(dot, receiver, node, names, given)
    }

    /// Evaluates what a chain starts with.
    fn operand(&mut self, dot: &Dot, node: &'t Node) -> Executed<Dot> {
        self.at(Place::Node(node));
        match node {
            Node::Pipe(pipe) => self.pipeline(dot, pipe),
            Node::Identifier { .. } => self.function(dot, node, Place::Node(node), Given::NOTHING),
            Node::Chain { .. } => self.chain_node(dot, node, Given::NOTHING),
            other => Err(self.error(format!("can't evaluate command {}", other.source()))),
        }
    }

    /// `$x.Field1`
    pub(super) fn variable_node(&mut self, dot: &Dot, node: &'t Node, given: Given<'t, '_>) -> Executed<Dot> {
        let Node::Variable { names, .. } = node else {
            return Err(self.error("internal error: not a variable"));
        };
        self.at(Place::Node(node));
        let value = self.variable(&names[0])?;
        if names.len() == 1 {
            self.no_arguments(node, given)?;
            return Ok(value);
        }
        self.chain(dot, value, node, &names[1..], given)
    }

    /// Walks down fields; the last one gets the arguments.
    pub(super) fn chain(
        &mut self,
        _dot: &Dot,
        mut receiver: Dot,
        node: &'t Node,
        names: &'t [String],
        given: Given<'t, '_>,
    ) -> Executed<Dot> {
        let (last, rest) = match names.split_last() {
            Some(split) => split,
            None => return Ok(receiver),
        };
        for name in rest {
            receiver = self.field(node, name, &receiver, Given::NOTHING)?;
        }
        self.field(node, last, &receiver, given)
    }

    fn field(&mut self, _node: &'t Node, name: &str, receiver: &Dot, given: Given<'_, '_>) -> Executed<Dot> {
        self.charge(1)?;
        let missing_key = self.template.missing_key();
        match &receiver.value {
            Value::Missing if missing_key == MissingKey::Error => Err(self
                .error(format!("nil data; no entry for key {}", crate::go::quote::quoted(name.as_bytes())))),
            Value::Missing => Ok(Dot::bare(Value::Missing)),
            Value::Nil => {
                Err(self.error(format!("nil pointer evaluating {}.{name}", receiver_type(receiver))))
            }
            Value::Map(_) if !given.is_nothing() => {
                Err(self.error(format!("{name} is not a method but has arguments")))
            }
            Value::Map(map) => {
                let boxed = *map.element() == Type::Any;
                if let Some(value) = map.get(name.as_bytes()) {
                    return Ok(Dot { value, boxed });
                }
                match missing_key {
                    MissingKey::Default => Ok(Dot::bare(Value::Missing)),
                    MissingKey::Zero if boxed => Ok(Dot { value: Value::Nil, boxed }),
                    MissingKey::Zero => Ok(Dot::bare(Value::from(""))),
                    MissingKey::Error => {
                        let key = crate::go::quote::quoted(name.as_bytes());
                        Err(self.error(format!("map has no entry for key {key}")))
                    }
                }
            }
            Value::Struct(value) => match value.field(name) {
                Some(_) if !given.is_nothing() => {
                    Err(self.error(format!("{name} has arguments but cannot be invoked as function")))
                }
                Some(field) => Ok(Dot::bare(field.clone())),
                None => Err(self.no_field(name, receiver)),
            },
            _ => Err(self.no_field(name, receiver)),
        }
    }

    fn no_field(&self, name: &str, receiver: &Dot) -> Box<crate::error::ExecError> {
        self.error(format!("can't evaluate field {name} in type {}", receiver.type_name()))
    }
}

fn receiver_type(receiver: &Dot) -> String {
    if receiver.value.is_nil() { Type::Any.to_string() } else { receiver.type_name() }
}
