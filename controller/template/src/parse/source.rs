//! The tree back to text, as errors quote it (`String` of the nodes in `text/template/parse/node.go`).

use super::nodes::{Branch, Command, List, Node, Pipe};
use crate::go::quote::quoted;

impl List {
    pub(crate) fn write(&self, out: &mut String) {
        self.nodes.iter().for_each(|node| node.write(out));
    }
}

impl Pipe {
    pub(crate) fn write(&self, out: &mut String) {
        for (index, variable) in self.variables.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            variable.write(out);
        }
        if !self.variables.is_empty() {
            out.push_str(if self.assigns { " = " } else { " := " });
        }
        for (index, command) in self.commands.iter().enumerate() {
            out.push_str(if index > 0 { " | " } else { "" });
            command.write(out);
        }
    }
}

impl Command {
    pub(crate) fn write(&self, out: &mut String) {
        for (index, word) in self.words.iter().enumerate() {
            out.push_str(if index > 0 { " " } else { "" });
            word.write_operand(out);
        }
    }
}

impl Branch {
    fn write(&self, name: &str, out: &mut String) {
        out.push_str("{{");
        out.push_str(name);
        out.push(' ');
        self.pipe.write(out);
        out.push_str("}}");
        self.list.write(out);
        if let Some(otherwise) = &self.otherwise {
            out.push_str("{{else}}");
            otherwise.write(out);
        }
        out.push_str("{{end}}");
    }
}

impl Node {
    /// Writes a pipeline in parentheses, anything else as it is.
    fn write_operand(&self, out: &mut String) {
        if let Self::Pipe(pipe) = self {
            out.push('(');
            pipe.write(out);
            out.push(')');
        } else {
            self.write(out);
        }
    }

    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Text { text, .. } => out.push_str(&String::from_utf8_lossy(text.as_bytes())),
            Self::Action { pipe, .. } => {
                out.push_str("{{");
                pipe.write(out);
                out.push_str("}}");
            }
            Self::Break { .. } => out.push_str("{{break}}"),
            Self::Continue { .. } => out.push_str("{{continue}}"),
            Self::If(branch) => branch.write("if", out),
            Self::Range(branch) => branch.write("range", out),
            Self::With(branch) => branch.write("with", out),
            Self::Template { name, pipe, .. } => {
                out.push_str("{{template ");
                out.push_str(&quoted(name.as_bytes()));
                if let Some(pipe) = pipe {
                    out.push(' ');
                    pipe.write(out);
                }
                out.push_str("}}");
            }
            Self::Pipe(pipe) => pipe.write(out),
            Self::Identifier { name, .. } => out.push_str(name),
            Self::Variable { names, .. } => out.push_str(&names.join(".")),
            Self::Dot { .. } => out.push('.'),
            Self::Nil { .. } => out.push_str("nil"),
            Self::Field { names, .. } => names.iter().for_each(|name| push_field(name, out)),
            Self::Chain { base, names, .. } => {
                base.write_operand(out);
                names.iter().for_each(|name| push_field(name, out));
            }
            Self::Bool { value, .. } => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => out.push_str(&number.text),
            Self::String { quoted, .. } => out.push_str(quoted),
        }
    }

    /// Returns the node as an error quotes it.
    pub(crate) fn source(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

fn push_field(name: &str, out: &mut String) {
    out.push('.');
    out.push_str(name);
}
