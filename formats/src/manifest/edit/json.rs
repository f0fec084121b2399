//! Places in a stream of JSON values that serde_json has accepted (so nesting is bounded and the syntax is right).

use std::ops::Range;

use super::place::{Entry, Kind, Place, Quotes};

/// Finds every value.
pub(super) fn places(text: &str) -> Vec<Place> {
    let mut scanner = Scanner { text, at: 0 };
    let mut places = Vec::new();
    while scanner.peek().is_some() {
        places.push(scanner.value());
    }
    places
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    /// Returns the next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self) -> Place {
        let first = self.peek();
        let start = self.at;
        let kind = match first {
            Some(b'{') => self.map(),
            Some(b'[') => self.list(),
            Some(b'"') => {
                self.string();
                Kind::Scalar(Quotes::Double)
            }
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let length = rest.iter().take_while(|byte| !b",]}{[\" \t\r\n".contains(byte)).count();
                // At least one byte, so that the scan ends whatever stands here.
                self.at += length.max(1).min(rest.len());
                Kind::Scalar(Quotes::Plain)
            }
        };
        Place { span: start..self.at, kind }
    }

    fn map(&mut self) -> Kind {
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    let key_span = self.string();
                    let key = serde_json::from_str(&self.text[key_span.clone()]).unwrap_or_default();
                    if self.peek() == Some(b':') {
                        self.at += 1;
                    }
                    entries.push(Entry { key, key_span, value: self.value() });
                }
                Some(b',') => self.at += 1,
                other => {
                    self.at += usize::from(other.is_some());
                    return Kind::Map { in_brackets: true, entries };
                }
            }
        }
    }

    fn list(&mut self) -> Kind {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Kind::List(items);
                }
                Some(b',') => self.at += 1,
                Some(_) => items.push(self.value()),
                None => return Kind::List(items),
            }
        }
    }

    fn string(&mut self) -> Range<usize> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(&byte) = bytes.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(bytes.len());
        start..self.at
    }
}
