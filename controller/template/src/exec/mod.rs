//! Executing a template's trees (`text/template/exec.go`).

mod call;
mod eval;

use crate::budget::{BudgetError, Limits};
use crate::buffer::Buffer;
use crate::context::{Capabilities, Context};
use crate::error::{ExecError, FunctionError};
use crate::go::quote::quoted;
use crate::parse::nodes::{Branch, Command, List, Node, Pipe};
use crate::print;
use crate::template::Template;
use crate::value::{Text, Type, Value};
use sealops_formats::Plaintext;

/// Executes the template of the text's own name.
pub(crate) fn execute(
    template: &Template,
    root: &Value,
    limits: Limits,
    capabilities: Capabilities<'_>,
) -> Result<Plaintext, ExecError> {
    let dot = Dot { value: root.clone(), boxed: false };
    let mut state = State {
        template,
        name: template.name(),
        context: Context::new(limits, capabilities),
        out: Buffer::output(),
        variables: vec![("$", dot.clone())],
        base: 0,
        place: Place::None,
        depth: 0,
        levels: 0,
    };
    let Some((_, tree)) = template.tree(template.name()) else {
        return Err(*state
            .error(format!("{} is an incomplete or empty template", quoted(template.name().as_bytes()))));
    };
    state.list(&dot, tree).map_err(|error| *error)?;
    Ok(state.out.into_plaintext())
}

/// A value in its place: `boxed` if its static type there is `interface {}`, which errors name.
#[derive(Clone)]
struct Dot {
    value: Value,
    boxed: bool,
}

impl Dot {
    fn bare(value: Value) -> Self {
        Self { value, boxed: false }
    }

    /// Returns the static type as an error names it.
    fn type_name(&self) -> String {
        if self.boxed { Type::Any.to_string() } else { self.value.type_name() }
    }
}

/// What errors point at.
#[derive(Clone, Copy)]
enum Place<'t> {
    None,
    Node(&'t Node),
    List(&'t List),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Branch(&'t Node),
}

/// How a list was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Executed<T> = Result<T, Box<ExecError>>;

struct State<'t, 'c> {
    template: &'t Template,
    /// The name of the definition in execution.
    name: &'t str,
    context: Context<'c>,
    out: Buffer,
    variables: Vec<(&'t str, Dot)>,
    /// Where the variables of the definition in execution start.
    base: usize,
    place: Place<'t>,
    depth: usize,
    levels: usize,
}

impl<'t> State<'t, '_> {
    fn at(&mut self, place: Place<'t>) {
        self.place = place;
    }

    fn error(&self, message: impl AsRef<str>) -> Box<ExecError> {
        self.failed(message.as_ref(), None, None)
    }

    fn failed(
        &self,
        message: &str,
        budget: Option<BudgetError>,
        missing_capability: Option<&'static str>,
    ) -> Box<ExecError> {
        let mut source = String::new();
        let at = match self.place {
            Place::None => None,
            Place::Node(node) | Place::Branch(node) => {
                node.write(&mut source);
                Some(node.at())
            }
            Place::List(list) => {
                list.write(&mut source);
                Some(list.at)
            }
            Place::Pipe(pipe) => {
                pipe.write(&mut source);
                Some(pipe.at)
            }
            Place::Command(command) => {
                command.write(&mut source);
                Some(command.at)
            }
        };
        let text = match at {
            None => format!("template: {}: {message}", self.name),
            Some(at) => format!(
                "template: {}: executing {} at <{source}>: {message}",
                self.template.location(at),
                quoted(self.name.as_bytes())
            ),
        };
        Box::new(ExecError { text, budget, missing_capability })
    }

    /// Ends the execution for a function's error. `prefix` says which function, except where a bound was reached.
    fn fault(&self, prefix: &str, error: &FunctionError) -> Box<ExecError> {
        match error {
            FunctionError::Budget(budget) => self.failed(&budget.to_string(), Some(*budget), None),
            FunctionError::Capability(name) => self.failed(&format!("{prefix}{error}"), None, Some(name)),
            FunctionError::Failed(_) => self.failed(&format!("{prefix}{error}"), None, None),
        }
    }

    fn charge(&mut self, steps: u64) -> Executed<()> {
        self.context.charge_steps(steps).map_err(|error| self.fault("", &error))
    }

    /// Goes one level deeper; the caller takes it back.
    fn enter(&mut self) -> Executed<()> {
        self.levels += 1;
        let limit = self.context.limits().levels;
        if self.levels > limit {
            let budget = BudgetError::Levels(limit);
            return Err(self.failed(&budget.to_string(), Some(budget), None));
        }
        Ok(())
    }

    fn list(&mut self, dot: &Dot, list: &'t List) -> Executed<Flow> {
        self.at(Place::List(list));
        self.enter()?;
        let mut flow = Flow::Next;
        for node in &list.nodes {
            flow = self.node(dot, node)?;
            if flow != Flow::Next {
                break;
            }
        }
        self.levels -= 1;
        Ok(flow)
    }

    fn node(&mut self, dot: &Dot, node: &'t Node) -> Executed<Flow> {
        self.at(Place::Node(node));
        self.charge(1)?;
        match node {
            Node::Text { text, .. } => self.write(text)?,
            Node::Action { pipe, .. } => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.at(Place::Node(node));
                    self.print(&value.value)?;
                }
            }
            Node::Break { .. } => return Ok(Flow::Break),
            Node::Continue { .. } => return Ok(Flow::Continue),
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => {
                self.at(Place::Branch(node));
                return self.range(dot, branch);
            }
            Node::Template { name, pipe, .. } => self.call_template(dot, node, name, pipe.as_ref())?,
            other => return Err(self.error(format!("unknown node: {}", other.source()))),
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, text: &Text) -> Executed<()> {
        self.out.push(&mut self.context, text.as_bytes()).map_err(|error| self.fault("", &error))
    }

    /// Prints the value of an action.
    fn print(&mut self, value: &Value) -> Executed<()> {
        let printed = match value {
            Value::String(text) => return self.write(text),
            Value::Nil | Value::Missing => self.out.push(&mut self.context, b"<no value>"),
            other => print::print(&mut self.context, &mut self.out, std::slice::from_ref(other)),
        };
        printed.map_err(|error| self.fault("", &error))
    }

    fn branch(&mut self, dot: &Dot, branch: &'t Branch, with: bool) -> Executed<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.value.is_true() {
            self.list(if with { &value } else { dot }, &branch.list)?
        } else if let Some(otherwise) = &branch.otherwise {
            self.list(dot, otherwise)?
        } else {
            Flow::Next
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(&mut self, dot: &Dot, branch: &'t Branch) -> Executed<Flow> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?.value;
        let flow = match self.iterate(branch, &value)? {
            Some(flow) => flow,
            None => match &branch.otherwise {
                Some(otherwise) => self.list(dot, otherwise)?,
                None => Flow::Next,
            },
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    /// Goes over the items; `None` if there are none.
    fn iterate(&mut self, branch: &'t Branch, value: &Value) -> Executed<Option<Flow>> {
        let count = match value {
            Value::Int(_, count) => u64::try_from(*count).unwrap_or(0),
            Value::Duration(count) => u64::try_from(*count).unwrap_or(0),
            Value::Uint(_, count) => *count,
            Value::List(list) => list.len() as u64,
            Value::Bytes(bytes) => bytes.len() as u64,
            Value::Map(map) => map.len() as u64,
            Value::Missing | Value::Nil => 0,
            // Go shows the value here.
            other => {
                return Err(
                    self.error(format!("range can't iterate over a value of type {}", other.type_name()))
                );
            }
        };
        if matches!(value, Value::Int(..) | Value::Duration(_) | Value::Uint(..))
            && branch.pipe.variables.len() > 1
        {
            let name = value.type_name();
            return Err(self
                .error(format!("can't use a value of type {name} to iterate over more than one variable")));
        }
        let entries = match value {
            Value::Map(map) => {
                self.charge(count)?;
                map.entries()
            }
            _ => Vec::new(),
        };
        for index in 0..count {
            self.charge(1)?;
            let at = index as usize;
            let (key, item) = match value {
                Value::List(list) => {
                    let boxed = *list.element() == Type::Any;
                    (Value::int(index as i64), Dot { value: list.items()[at].clone(), boxed })
                }
                Value::Bytes(bytes) => {
                    let byte = u64::from(bytes.as_bytes()[at]);
                    (Value::int(index as i64), Dot::bare(Value::Uint(crate::value::UintKind::Uint8, byte)))
                }
                Value::Map(map) => {
                    let boxed = *map.element() == Type::Any;
                    let (key, value) = entries[at].clone();
                    (Value::String(key), Dot { value, boxed })
                }
                Value::Int(kind, _) => (Value::Missing, Dot::bare(Value::Int(*kind, index as i64))),
                Value::Uint(kind, _) => (Value::Missing, Dot::bare(Value::Uint(*kind, index))),
                _ => (Value::Missing, Dot::bare(Value::Duration(index as i64))),
            };
            match self.iteration(branch, key, &item)? {
                Flow::Break => break,
                Flow::Next | Flow::Continue => {}
            }
        }
        Ok((count > 0).then_some(Flow::Next))
    }

    fn iteration(&mut self, branch: &'t Branch, key: Value, item: &Dot) -> Executed<Flow> {
        let mark = self.variables.len();
        let names = &branch.pipe.variables;
        if let Some(Node::Variable { names: last, .. }) = names.last() {
            if branch.pipe.assigns {
                if let [Node::Variable { names: first, .. }, _] = names.as_slice() {
                    self.assign(&first[0], Dot::bare(key))?;
                }
                self.assign(&last[0], item.clone())?;
            } else {
                self.variables[mark - 1].1 = item.clone();
                if names.len() > 1 {
                    self.variables[mark - 2].1 = Dot::bare(key);
                }
            }
        }
        let flow = self.list(item, &branch.list)?;
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn call_template(
        &mut self,
        dot: &Dot,
        node: &'t Node,
        name: &str,
        pipe: Option<&'t Pipe>,
    ) -> Executed<()> {
        self.at(Place::Node(node));
        let Some((name, tree)) = self.template.tree(name) else {
            return Err(self.error(format!("template {} not defined", quoted(name.as_bytes()))));
        };
        if self.depth >= self.context.limits().call_depth {
            let budget = BudgetError::CallDepth(self.depth);
            return Err(self.failed(&budget.to_string(), Some(budget), None));
        }
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Dot::bare(Value::Missing),
        };
        // The definition sees no variable of its caller but its own `$`.
        let (outer_name, outer_base, mark) = (self.name, self.base, self.variables.len());
        self.name = name;
        self.base = mark;
        self.depth += 1;
        self.variables.push(("$", dot.clone()));
        self.list(&dot, tree)?;
        self.variables.truncate(mark);
        self.depth -= 1;
        self.base = outer_base;
        self.name = outer_name;
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Dot) -> Executed<()> {
        let index = self.lookup(name)?;
        self.variables[index].1 = value;
        Ok(())
    }

    fn variable(&mut self, name: &str) -> Executed<Dot> {
        let index = self.lookup(name)?;
        Ok(self.variables[index].1.clone())
    }

    /// Finds a variable from the innermost outwards, and charges for the way.
    fn lookup(&mut self, name: &str) -> Executed<usize> {
        let found = self.variables[self.base..].iter().rposition(|(known, _)| *known == name);
        let Some(index) = found.map(|index| index + self.base) else {
            return Err(self.error(format!("undefined variable: {name}")));
        };
        self.charge((self.variables.len() - index) as u64 / LOOKUPS_PER_STEP)?;
        Ok(index)
    }
}

/// Variables passed over that cost a step.
const LOOKUPS_PER_STEP: u64 = 2;
