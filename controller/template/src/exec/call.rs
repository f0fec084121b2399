//! Function calls: arguments by Go's rules for `reflect` calls.

use super::eval::Given;
use super::{Dot, Executed, Place, State};
use crate::functions::{Function, Special};
use crate::parse::nodes::Node;
use crate::value::{List, Map, Type, Value};

/// Most arguments of a call that need no allocation.
type Arguments = Vec<Value>;

impl<'t> State<'t, '_> {
    /// Calls the function that `node` names. `place` is what an error of the function points at.
    pub(super) fn function(
        &mut self,
        dot: &Dot,
        node: &'t Node,
        place: Place<'t>,
        given: Given<'t, '_>,
    ) -> Executed<Dot> {
        let Node::Identifier { function, name, .. } = node else {
            return Err(self.error("internal error: not a function"));
        };
        self.at(Place::Node(node));
        self.check_count(function, name, given)?;
        if matches!(function.special, Special::And | Special::Or) {
            return self.short_circuit(dot, function.special == Special::Or, given);
        }
        let arguments = self.arguments(dot, function, given)?;
        self.charge(1)?;
        if function.special == Special::Call {
            return self.call_value(place, name, given, &arguments[0]);
        }
        match (function.call)(&mut self.context, &arguments) {
            Ok(value) => {
                let boxed = matches!(value, Value::Nil);
                Ok(Dot { value, boxed })
            }
            Err(error) => {
                self.at(place);
                Err(self.fault(&format!("error calling {name}: "), &error))
            }
        }
    }

    fn check_count(&self, function: &Function, name: &str, given: Given<'_, '_>) -> Executed<()> {
        let (fixed, written) = (function.parameters.len(), given.arguments.len());
        let got = written + usize::from(given.last.is_some());
        if function.variadic.is_some() {
            if got < fixed {
                let text = format!("wrong number of args for {name}: want at least {fixed} got {written}");
                return Err(self.error(text));
            }
        } else if got != fixed {
            return Err(self.error(format!("wrong number of args for {name}: want {fixed} got {got}")));
        }
        Ok(())
    }

    fn arguments(&mut self, dot: &Dot, function: &Function, given: Given<'t, '_>) -> Executed<Arguments> {
        let mut arguments = Arguments::with_capacity(given.arguments.len() + 1);
        let parameter =
            |index: usize| function.parameters.get(index).copied().or(function.variadic).unwrap_or(Type::Any);
        for (index, node) in given.arguments.iter().enumerate() {
            let argument = self.argument(dot, parameter(index), node)?;
            arguments.push(argument);
        }
        if let Some(last) = given.last {
            let kind = parameter(arguments.len());
            arguments.push(self.fitted(last.clone(), kind)?);
        }
        Ok(arguments)
    }

    /// `and` and `or`: arguments are evaluated until one decides, and that one is the result.
    fn short_circuit(&mut self, dot: &Dot, or: bool, given: Given<'t, '_>) -> Executed<Dot> {
        let mut value = Value::Missing;
        for node in given.arguments {
            value = self.argument(dot, Type::Reflect, node)?;
            if value.is_true() == or {
                return Ok(Dot::bare(value));
            }
        }
        if let Some(last) = given.last {
            value = last.clone();
        }
        Ok(Dot::bare(value))
    }

    /// `call`: no value here is a function.
    fn call_value(
        &mut self,
        place: Place<'t>,
        name: &str,
        given: Given<'t, '_>,
        callee: &Value,
    ) -> Executed<Dot> {
        self.at(place);
        let reason = if callee.is_nil() {
            "call of nil".to_owned()
        } else {
            // Go shows the value itself where the pipeline hands it over.
            let source =
                given.arguments.first().map(|node| format!(" {}", node.source())).unwrap_or_default();
            format!("non-function{source} of type {}", callee.type_name())
        };
        Err(self.error(format!("error calling {name}: {reason}")))
    }

    /// Evaluates an argument for a parameter of a type.
    fn argument(&mut self, dot: &Dot, kind: Type, node: &'t Node) -> Executed<Value> {
        self.at(Place::Node(node));
        self.charge(1)?;
        let value = match node {
            Node::Dot { .. } => dot.value.clone(),
            Node::Nil { .. } => {
                if kind.can_be_nil() {
                    return self.fitted(Value::Missing, kind);
                }
                return Err(self.error(format!("cannot assign nil to {kind}")));
            }
            Node::Field { names, .. } => self.chain(dot, dot.clone(), node, names, Given::NOTHING)?.value,
            Node::Variable { .. } => self.variable_node(dot, node, Given::NOTHING)?.value,
            Node::Pipe(pipe) => self.pipeline(dot, pipe)?.value,
            Node::Identifier { .. } => self.function(dot, node, Place::Node(node), Given::NOTHING)?.value,
            Node::Chain { .. } => self.chain_node(dot, node, Given::NOTHING)?.value,
            _ => return self.literal(kind, node),
        };
        self.fitted(value, kind)
    }

    /// Evaluates a literal for a parameter of a type.
    fn literal(&mut self, kind: Type, node: &'t Node) -> Executed<Value> {
        self.at(Place::Node(node));
        let expected = match (kind, node) {
            (Type::Bool, Node::Bool { value, .. })
            | (Type::Any | Type::Reflect, Node::Bool { value, .. }) => {
                return Ok(Value::Bool(*value));
            }
            (Type::String | Type::Any | Type::Reflect, Node::String { text, .. }) => {
                return Ok(Value::String(text.clone()));
            }
            (Type::Any | Type::Reflect, Node::Number(number)) => return self.constant(node, number),
            (Type::Int(_) | Type::Duration | Type::Uint(_) | Type::Float, Node::Number(number)) => {
                match (kind, number.int, number.uint, number.float) {
                    (Type::Int(kind), Some(int), ..) => return Ok(Value::Int(kind, kind.wrap(int))),
                    (Type::Duration, Some(int), ..) => return Ok(Value::Duration(int)),
                    (Type::Uint(kind), _, Some(uint), _) => return Ok(Value::Uint(kind, kind.wrap(uint))),
                    (Type::Float, .., Some(float)) => return Ok(Value::Float(float)),
                    _ => literal_name(kind),
                }
            }
            (Type::Any | Type::Reflect, _) => None,
            (kind, _) => literal_name(kind),
        };
        let source = node.source();
        Err(self.error(match expected {
            Some(expected) => format!("expected {expected}; found {source}"),
            None => format!("can't handle {source} for arg of type {kind}"),
        }))
    }

    /// Checks that a value may be passed for a type, and makes nothing into the type's nil.
    fn fitted(&self, value: Value, kind: Type) -> Executed<Value> {
        match (&value, kind) {
            (_, Type::Reflect) | (Value::Nil, Type::Any) => return Ok(value),
            (Value::Missing, _) => {
                return match kind {
                    Type::Any | Type::Struct(_) if kind.can_be_nil() => Ok(Value::Nil),
                    Type::List(element) => Ok(Value::List(List::nil(element))),
                    Type::Map(element) => Ok(Value::Map(Map::nil(element))),
                    _ => Err(self.error(format!("invalid value; expected {kind}"))),
                };
            }
            (_, Type::Any) => return Ok(value),
            _ => {}
        }
        match value.type_of() {
            Some(found) if found == kind => Ok(value),
            Some(found) => Err(self.error(format!("wrong type for value; expected {kind}; got {found}"))),
            None => Err(self.error(format!("wrong type for value; expected {kind}; got {}", Type::Any))),
        }
    }
}

/// What Go calls the literal that a parameter of this type takes.
fn literal_name(kind: Type) -> Option<&'static str> {
    match kind {
        Type::Bool => Some("bool"),
        Type::String => Some("string"),
        Type::Int(_) | Type::Duration => Some("integer"),
        Type::Uint(_) => Some("unsigned integer"),
        Type::Float => Some("float"),
        _ => None,
    }
}
