//! Operands by verb (`fmt/print.go`: `printArg`, `printValue`).

use super::Printer;
use crate::error::FunctionError;
use crate::value::{List, Map, Struct, StructKind, Text, Value};

type Done = Result<(), FunctionError>;

/// Stands for an address under `%p`, which is another in each of Go's runs.
const ADDRESS: u64 = 0xc0_0000_0000;

impl Printer<'_, '_> {
    /// Prints an operand of `print` or `printf`.
    pub(super) fn operand(&mut self, value: &Value, verb: char) -> Done {
        match (value, verb) {
            (Value::Nil | Value::Missing, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil | Value::Missing, _) => self.wrong_verb(value, verb),
            (_, 'T') => self.string(value.type_name().as_bytes()),
            (_, 'p') => self.pointer(value),
            (Value::Bytes(bytes), _) => self.bytes(bytes, verb, "[]byte"),
            _ => self.value(value, verb, 0),
        }
    }

    fn wrong_verb(&mut self, value: &Value, verb: char) -> Done {
        let outer = std::mem::replace(&mut self.bad_verb, true);
        self.push(format!("%!{verb}(").as_bytes())?;
        if value.is_nil() {
            self.push(b"<nil>")?;
        } else {
            self.push(value.type_name().as_bytes())?;
            self.push(b"=")?;
            self.operand(value, 'v')?;
        }
        self.push(b")")?;
        self.bad_verb = outer;
        Ok(())
    }

    fn pointer(&mut self, value: &Value) -> Done {
        match value {
            Value::List(_) | Value::Bytes(_) | Value::Map(_) => self.address(!self.flags.sharp),
            Value::Struct(value) if value.kind == StructKind::Pointer => self.address(!self.flags.sharp),
            _ => self.wrong_verb(value, 'p'),
        }
    }

    fn address(&mut self, prefixed: bool) -> Done {
        self.with_sharp(prefixed, |printer| printer.integer(ADDRESS, false, 16, 'x'))
    }

    fn with_sharp(&mut self, sharp: bool, print: impl FnOnce(&mut Self) -> Done) -> Done {
        let outer = std::mem::replace(&mut self.flags.sharp, sharp);
        print(self)?;
        self.flags.sharp = outer;
        Ok(())
    }

    /// Prints a value at a depth of nesting.
    fn value(&mut self, value: &Value, verb: char, depth: usize) -> Done {
        self.context.charge_steps(1)?;
        self.context.check_depth(depth)?;
        if let Some(shown) = self.shown(value, verb) {
            return self.text(&shown, verb, value);
        }
        match value {
            Value::Missing | Value::Nil if self.flags.sharp_v => self.push(b"interface {}(nil)"),
            Value::Missing | Value::Nil => self.push(b"<nil>"),
            Value::Bool(bool) => match verb {
                't' | 'v' => self.pad(if *bool { b"true" } else { b"false" }),
                _ => self.wrong_verb(value, verb),
            },
            Value::Int(_, int) | Value::Duration(int) => {
                self.number(value, int.unsigned_abs(), *int < 0, verb)
            }
            Value::Uint(_, uint) => self.number(value, *uint, false, verb),
            Value::Float(float) => match verb {
                'v' => self.float(*float, 'g', None),
                'b' | 'g' | 'G' | 'x' | 'X' => self.float(*float, verb, None),
                'f' | 'e' | 'E' => self.float(*float, verb, Some(6)),
                'F' => self.float(*float, 'f', Some(6)),
                _ => self.wrong_verb(value, verb),
            },
            Value::String(text) => self.text(text, verb, value),
            Value::Bytes(bytes) => self.bytes(bytes, verb, "[]uint8"),
            Value::List(list) => self.list(list, verb, depth),
            Value::Map(map) => self.map(map, verb, depth),
            Value::Struct(fields) => self.structure(value, fields, verb, depth),
            Value::Time(time) => self.push(time.to_string().as_bytes()),
        }
    }

    /// Returns what the `String` method gives, where the verb uses it.
    fn shown(&self, value: &Value, verb: char) -> Option<Text> {
        if self.bad_verb || self.flags.sharp_v || !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') {
            return None;
        }
        match value {
            Value::Time(time) => Some(Text::from(time.to_string())),
            Value::Duration(nanos) => Some(Text::from(crate::value::duration_text(*nanos))),
            Value::Struct(value) => value.display.clone(),
            _ => None,
        }
    }

    fn number(&mut self, value: &Value, magnitude: u64, negative: bool, verb: char) -> Done {
        let code = if negative { magnitude.wrapping_neg() } else { magnitude };
        match verb {
            'v' if self.flags.sharp_v && matches!(value, Value::Uint(..)) => {
                self.with_sharp(true, |printer| printer.integer(magnitude, false, 16, 'v'))
            }
            'v' | 'd' => self.integer(magnitude, negative, 10, verb),
            'b' => self.integer(magnitude, negative, 2, verb),
            'o' | 'O' => self.integer(magnitude, negative, 8, verb),
            'x' | 'X' => self.integer(magnitude, negative, 16, verb),
            'c' => self.character(code),
            'q' => self.quoted_character(code),
            'U' => self.unicode(code),
            _ => self.wrong_verb(value, verb),
        }
    }

    fn text(&mut self, text: &Text, verb: char, value: &Value) -> Done {
        match verb {
            'v' if self.flags.sharp_v => self.quoted(text.as_bytes()),
            'v' | 's' => self.string(text.as_bytes()),
            'x' | 'X' => self.hex(text.as_bytes(), verb),
            'q' => self.quoted(text.as_bytes()),
            _ => self.wrong_verb(value, verb),
        }
    }

    fn bytes(&mut self, bytes: &Text, verb: char, name: &str) -> Done {
        let text = bytes.as_bytes();
        match verb {
            's' => return self.string(text),
            'x' | 'X' => return self.hex(text, verb),
            'q' => return self.quoted(text),
            _ => {}
        }
        let (open, separator, close): (_, &[u8], &[u8]) = if self.flags.sharp_v {
            (format!("{name}{{"), b", ", b"}")
        } else {
            ("[".to_owned(), b" ", b"]")
        };
        self.push(open.as_bytes())?;
        for (index, byte) in text.iter().enumerate() {
            if index > 0 {
                self.push(separator)?;
            }
            let item = Value::Uint(crate::value::UintKind::Uint8, u64::from(*byte));
            self.value(&item, verb, 1)?;
        }
        self.push(close)
    }

    fn list(&mut self, list: &List, verb: char, depth: usize) -> Done {
        let (separator, close): (&[u8], &[u8]) = if self.flags.sharp_v {
            self.push(format!("[]{}", list.element()).as_bytes())?;
            if list.is_nil() {
                return self.push(b"(nil)");
            }
            self.push(b"{")?;
            (b", ", b"}")
        } else {
            self.push(b"[")?;
            (b" ", b"]")
        };
        for (index, item) in list.items().iter().enumerate() {
            if index > 0 {
                self.push(separator)?;
            }
            self.value(item, verb, depth + 1)?;
        }
        self.push(close)
    }

    fn map(&mut self, map: &Map, verb: char, depth: usize) -> Done {
        let (separator, close): (&[u8], &[u8]) = if self.flags.sharp_v {
            self.push(format!("map[string]{}", map.element()).as_bytes())?;
            if map.is_nil() {
                return self.push(b"(nil)");
            }
            self.push(b"{")?;
            (b", ", b"}")
        } else {
            self.push(b"map[")?;
            (b" ", b"]")
        };
        for (index, (key, value)) in map.entries().into_iter().enumerate() {
            if index > 0 {
                self.push(separator)?;
            }
            self.value(&Value::String(key), verb, depth + 1)?;
            self.push(b":")?;
            self.value(&value, verb, depth + 1)?;
        }
        self.push(close)
    }

    fn structure(&mut self, value: &Value, fields: &Struct, verb: char, depth: usize) -> Done {
        if fields.kind == StructKind::Pointer {
            if depth > 0 {
                return match verb {
                    'v' | 'x' | 'X' | 'd' | 'o' | 'b' => self.address(true),
                    _ => self.wrong_verb(value, verb),
                };
            }
            self.push(b"&")?;
        }
        if self.flags.sharp_v {
            self.push(fields.type_name.trim_start_matches('*').as_bytes())?;
        }
        self.push(b"{")?;
        for (index, (name, field)) in fields.fields.iter().enumerate() {
            if index > 0 {
                self.push(if self.flags.sharp_v { b", " } else { b" " })?;
            }
            if self.flags.plus_v || self.flags.sharp_v {
                self.push(name.as_bytes())?;
                self.push(b":")?;
            }
            self.value(field, verb, depth + 1)?;
        }
        self.push(b"}")
    }
}
