//! Weakly typed reading, as SOPS reads metadata since 3.13: names in any case, texts for numbers and back, one value for
//! a list of one.

use super::Field;
use super::parse::MetadataProblem;

/// A map whose fields are taken out one by one; what is left is unknown.
pub(super) struct Reader {
    fields: Vec<(String, Field)>,
    /// Where the map stands, for errors: empty, or `pgp[0].`.
    place: String,
}

impl Reader {
    pub(super) fn new(fields: Vec<(String, Field)>, place: String) -> Self {
        Self { fields, place }
    }

    /// Takes a field: the exact name first, then any case.
    pub(super) fn take(&mut self, name: &str) -> Option<Field> {
        let exact = self.fields.iter().position(|(key, _)| key == name);
        let at = exact.or_else(|| self.fields.iter().position(|(key, _)| key.eq_ignore_ascii_case(name)))?;
        match self.fields.remove(at).1 {
            Field::Null => None,
            field => Some(field),
        }
    }

    /// Returns what was not taken.
    pub(super) fn rest(self) -> Vec<(String, Field)> {
        self.fields
    }

    fn wrong<T>(&self, name: &str, expected: &'static str) -> Result<T, MetadataProblem> {
        Err(MetadataProblem::WrongType { field: format!("{}{name}", self.place), expected })
    }

    /// Takes a text; empty where there is none.
    pub(super) fn text(&mut self, name: &str) -> Result<String, MetadataProblem> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Field::Text(text)) => Ok(text),
            Some(Field::Int(number)) => Ok(number.to_string()),
            Some(Field::Bool(value)) => Ok(u8::from(value).to_string()),
            Some(_) => self.wrong(name, "a text"),
        }
    }

    /// Takes a boolean.
    pub(super) fn boolean(&mut self, name: &str) -> Result<bool, MetadataProblem> {
        match self.take(name) {
            None => Ok(false),
            Some(Field::Bool(value)) => Ok(value),
            Some(Field::Int(number)) => Ok(number != 0),
            Some(Field::Text(text)) => match text.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
                "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
                _ => self.wrong(name, "true or false"),
            },
            Some(_) => self.wrong(name, "true or false"),
        }
    }

    /// Takes a small number.
    pub(super) fn number(&mut self, name: &str) -> Result<usize, MetadataProblem> {
        let number = match self.take(name) {
            None => Some(0),
            Some(Field::Int(number)) => usize::try_from(number).ok(),
            Some(Field::Bool(value)) => Some(usize::from(value)),
            Some(Field::Text(text)) if text.is_empty() => Some(0),
            Some(Field::Text(text)) => text.parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(number) => Ok(number),
            None => self.wrong(name, "a number"),
        }
    }

    /// Takes a list of maps; a single map is a list of one.
    pub(super) fn maps(&mut self, name: &str) -> Result<Vec<Reader>, MetadataProblem> {
        let items = match self.take(name) {
            None => Vec::new(),
            Some(Field::List(items)) => items,
            Some(Field::Map(fields)) if fields.is_empty() => Vec::new(),
            Some(Field::Text(text)) if text.is_empty() => Vec::new(),
            Some(single) => vec![single],
        };
        let mut readers = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let place = format!("{}{name}[{index}].", self.place);
            match item {
                Field::Map(fields) => readers.push(Reader::new(fields, place)),
                Field::Null => readers.push(Reader::new(Vec::new(), place)),
                _ => return self.wrong(&format!("{name}[{index}]"), "a map"),
            }
        }
        Ok(readers)
    }

    /// Takes a map of texts.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<(String, String)>, MetadataProblem> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Field::Map(fields)) => {
                let mut inner = Reader::new(fields, format!("{}{name}.", self.place));
                let names: Vec<String> = inner.fields.iter().map(|(key, _)| key.clone()).collect();
                names.into_iter().map(|name| inner.text(&name).map(|text| (name, text))).collect()
            }
            Some(_) => self.wrong(name, "a map"),
        }
    }

    /// Returns the names of lists whose elements are all maps with this field.
    pub(super) fn lists_with(&self, name: &str) -> Vec<String> {
        let has = |item: &Field| match item {
            Field::Map(fields) => fields.iter().any(|(key, _)| key == name),
            _ => false,
        };
        let is_list = |field: &Field| match field {
            Field::List(items) => !items.is_empty() && items.iter().all(has),
            _ => false,
        };
        self.fields.iter().filter(|(_, field)| is_list(field)).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }
}
