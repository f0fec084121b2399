//! Statements around an expression.

use super::Generator;

impl Generator<'_> {
    /// Text and actions around an expression.
    pub(super) fn statement(&mut self, expression: &str, depth: usize) -> String {
        let inner = if depth > 0 && self.once_in(3) {
            let nested = self.expression('A', 1);
            self.statement(&nested, depth - 1)
        } else {
            "<{{ . }}>".to_owned()
        };
        let (open, close) = if self.once_in(5) {
            self.feature("trim");
            self.pick(&[("{{- ", " -}}"), ("{{- ", " }}"), ("{{ ", " -}}")])
        } else {
            ("{{ ", " }}")
        };
        let simple = |text: &str| format!("{open}{text}{close}");
        match self.below(17) {
            0 => {
                self.feature("if");
                self.feature("else");
                format!("{}{inner} {{{{ else }}}}no {{{{ end }}}}", simple(&format!("if {expression}")))
            }
            1 => {
                self.feature("if");
                self.feature("else if");
                format!(
                    "{}a{{{{ else if .user }}}}{inner}{{{{ else }}}}c{{{{ end }}}}",
                    simple(&format!("if {expression}"))
                )
            }
            2 => {
                self.feature("with");
                format!("{}{inner}{{{{ end }}}}", simple(&format!("with {expression}")))
            }
            3 => {
                self.feature("with");
                self.feature("else with");
                format!(
                    "{{{{ with {expression} }}}}[{{{{ . }}}}]{{{{ else with .user }}}}{inner}{{{{ else }}}}z{{{{ end }}}}"
                )
            }
            4 => {
                self.feature("range list");
                let list = self.list(1);
                self.feature("range else");
                format!(
                    "{{{{ range {list} }}}}{{{{ . }}}},{inner}{{{{ else }}}}none{{{{ end }}}}{{{{ {expression} }}}}"
                )
            }
            5 => {
                self.feature("range map");
                self.feature("range variables");
                let dict = self.dict(1);
                format!(
                    "{{{{ range $k, $v := {dict} }}}}{{{{ $k }}}}={{{{ $v }}}};{{{{ end }}}} {{{{ {expression} }}}}"
                )
            }
            6 => {
                self.feature("range int");
                let count = self.pick(&["3", "0", "5"]);
                format!("{{{{ range $i := {count} }}}}{{{{ $i }}}}{{{{ {expression} }}}}{{{{ end }}}}")
            }
            7 => {
                self.feature("break");
                self.feature("continue");
                format!(
                    "{{{{ range $i, $e := until 5 }}}}{{{{ if eq $i 1 }}}}{{{{ continue }}}}{{{{ end }}}}{{{{ if gt $i 2 }}}}{{{{ break }}}}{{{{ end }}}}{{{{ $i }}}}{{{{ end }}}}{{{{ {expression} }}}}"
                )
            }
            8 => {
                self.feature("define");
                self.feature("template");
                format!(
                    "{{{{ define \"t\" }}}}({{{{ . }}}}{{{{ $ }}}}){{{{ end }}}}{{{{ template \"t\" {expression} }}}}{inner}"
                )
            }
            9 => {
                self.feature("block");
                format!("{{{{ block \"b\" ({expression}) }}}}[{{{{ . }}}}]{{{{ end }}}}{inner}")
            }
            10 => {
                self.feature("variable");
                self.feature("assignment");
                format!("{{{{ $x := {expression} }}}}{{{{ $x }}}}{{{{ $x = 1 }}}}{{{{ $x }}}}{inner}")
            }
            11 => {
                self.feature("comment");
                format!("a {{{{- /* {{ }} */ -}}}} b{{{{/* c */}}}}{}", simple(expression))
            }
            12 => {
                self.feature("chained field");
                let field = self.pick(&["a", "b.c", "host", "none", "Major", "s", "Year"]);
                format!("{{{{ ({expression}).{field} }}}}")
            }
            13 => {
                self.feature("text");
                format!("line\n  {}\n\ttail }}}} é", simple(expression))
            }
            14 => {
                self.feature("pipeline");
                let next = self.pick(&[
                    "print",
                    "toJson",
                    "quote",
                    "kindOf",
                    "default 1",
                    "printf \"%v\"",
                    "len",
                    "not",
                ]);
                simple(&format!("{expression} | {next}"))
            }
            15 => format!("{{{{ {expression} | toJson }}}}{{{{ {expression} | printf \"%v\" }}}}"),
            _ => {
                self.feature("action");
                simple(expression)
            }
        }
    }
}
