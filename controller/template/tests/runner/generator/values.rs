//! Expressions of one kind each.

use super::Generator;
use super::tables::*;

impl Generator<'_> {
    pub(super) fn text(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 2 } else { 4 }) {
            0 => {
                let text = self.pick(TEXTS);
                if text.starts_with('`') {
                    self.feature("raw string");
                }
                text.to_owned()
            }
            1 => {
                let field = self.pick(FIELDS);
                self.feature("field");
                if field == ".bin" {
                    self.feature("bytes");
                }
                field.to_owned()
            }
            2 => {
                self.feature("index");
                self.pick(&["(index . \"tls.key\")", "(index $ \"bin\")", "(index . \"none\")"]).to_owned()
            }
            _ => self.nested(
                &[
                    "upper",
                    "lower",
                    "trim",
                    "title",
                    "quote",
                    "squote",
                    "b64enc",
                    "toJson",
                    "replace",
                    "trunc",
                    "substr",
                    "snakecase",
                    "camelcase",
                    "kebabcase",
                    "print",
                    "printf",
                    "toString",
                    "join",
                    "nospace",
                    "cat",
                    "indent",
                    "regexReplaceAll",
                    "trimSuffix",
                    "swapcase",
                    "untitle",
                    "initials",
                    "b64dec",
                    "html",
                    "urlquery",
                    "js",
                    "sha256sum",
                    "date",
                    "wrap",
                    "repeat",
                    "toPrettyJson",
                    "typeOf",
                    "default",
                    "coalesce",
                    "ternary",
                ],
                depth,
            ),
        }
    }

    pub(super) fn number(&mut self, depth: usize) -> String {
        if depth > 0 && self.once_in(4) {
            return self.nested(
                &["add", "sub", "mul", "len", "atoi", "floor", "ceil", "max", "addf", "mulf", "round"],
                depth,
            );
        }
        let number = self.pick(NUMBERS);
        match number {
            "'a'" => self.feature("character"),
            "0x1F" | "0b11" | "0o17" | "1_000" => self.feature("number base"),
            "true" => self.feature("bool"),
            "nil" => self.feature("nil"),
            _ if number.contains('.') && !number.starts_with(['"', '(']) => self.feature("float"),
            _ => {}
        }
        number.to_owned()
    }

    pub(super) fn list(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => self
                .pick(&[
                    "(list)",
                    "(list 1 2 3)",
                    "(list \"b\" \"a\" nil 0 \"a\")",
                    "(list (list 1) (dict \"a\" 1))",
                ])
                .to_owned(),
            1 => "(splitList \",\" .list)".to_owned(),
            2 => self.pick(&["(until 3)", "(untilStep 5 0 -2)", "(until 0)"]).to_owned(),
            3 => "(fromJson `[1,null,\"a\",{\"k\":[2]},2.5,\"a\"]`)".to_owned(),
            4 => self
                .pick(&[
                    "(rest (list))",
                    "(regexFindAll \"a\" .list -1)",
                    "(regexFindAll \"q\" .list -1)",
                    "(first (list))",
                ])
                .to_owned(),
            5 => {
                let (a, b) = (self.expression('A', depth - 1), self.expression('A', depth - 1));
                format!("(list {a} {b} 3)")
            }
            _ => self.nested(
                &[
                    "list",
                    "append",
                    "rest",
                    "reverse",
                    "uniq",
                    "compact",
                    "concat",
                    "without",
                    "toStrings",
                    "chunk",
                    "initial",
                    "sortAlpha",
                    "keys",
                ],
                depth,
            ),
        }
    }

    pub(super) fn dict(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => self
                .pick(&[
                    "(dict)",
                    "(dict \"a\" 1 \"b\" (dict \"c\" \"x\"))",
                    "(dict \"a\" \"\" \"l\" (list 1))",
                    "(dict \"a\" nil \"b\" 2 \"key\" true)",
                ])
                .to_owned(),
            1 => "(fromJson .json)".to_owned(),
            2 => self
                .pick(&["(dict \"b\" (dict \"d\" 1) \"l\" (list))", "(dict \"a\" (dict) \"odd\")"])
                .to_owned(),
            3 => self.pick(&["(urlParse .url)", "(splitn \",\" 2 .list)", "(split \",\" .list)"]).to_owned(),
            4 => {
                let value = self.expression('A', depth - 1);
                format!("(dict \"a\" {value} \"key\" 2)")
            }
            _ => self.nested(
                &["merge", "mergeOverwrite", "set", "unset", "pick", "omit", "deepCopy", "dict", "mustMerge"],
                depth,
            ),
        }
    }

    pub(super) fn time(&mut self) -> String {
        self.pick(&[
            "(toDate \"2006-01-02\" \"2024-02-29\")",
            "(toDate \"2006-01-02T15:04:05Z07:00\" \"2023-12-31T23:59:58.123456789-05:00\")",
            "(int64 1700000000)",
            "1700000000",
            "(toDate \"x\" \"y\")",
            "(int64 -1)",
            "(toDate \"Jan 2 2006 MST\" \"Jul 4 1999 CEST\")",
        ])
        .to_owned()
    }

    pub(super) fn any(&mut self, depth: usize) -> String {
        match self.below(8) {
            0 | 1 => self.text(depth),
            2 | 3 => self.number(depth),
            4 => self.list(depth),
            5 => self.dict(depth),
            6 => self.time(),
            _ => {
                self.feature("missing key");
                self.pick(&[".none", "nil", "$.none", "true", "false", "."]).to_owned()
            }
        }
    }
}
