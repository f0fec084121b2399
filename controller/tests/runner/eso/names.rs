//! The record's namespace `test` is a fresh one in each run.

use serde_json::Value;

/// Maps names of the record to fresh ones and back.
#[derive(Clone)]
pub struct Names {
    /// What stands in place of `test`.
    pub fresh: String,
    /// Further placeholders of texts with their values.
    pub texts: Vec<(&'static str, String)>,
}

const RECORDED: &str = "test";

impl Names {
    /// Returns a name of the run.
    pub fn fresh(&self, recorded: &str) -> String {
        match recorded.strip_prefix(RECORDED) {
            Some("") => self.fresh.clone(),
            Some(rest) if rest.starts_with('-') => format!("{}{rest}", self.fresh),
            _ => self.text(recorded),
        }
    }

    fn text(&self, text: &str) -> String {
        let text = text.replace("${NS}", &self.fresh);
        self.texts.iter().fold(text, |text, (name, value)| text.replace(name, value))
    }

    /// Maps every text of an object.
    pub fn object(&self, value: &Value) -> Value {
        map(value, &|text| self.fresh(text))
    }

    /// Maps a text of the run back.
    pub fn recorded(&self, text: &str) -> String {
        let addresses = self.texts.iter().filter(|(_, value)| value.starts_with("http"));
        let text = addresses.fold(text.to_owned(), |text, (name, value)| text.replace(value.as_str(), name));
        text.replace(&self.fresh, RECORDED)
    }

    /// Maps every text and every name of a field back.
    pub fn back(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.recorded(text)),
            Value::Array(items) => items.iter().map(|item| self.back(item)).collect(),
            Value::Object(fields) => Value::Object(
                fields.iter().map(|(key, value)| (self.recorded(key), self.back(value))).collect(),
            ),
            other => other.clone(),
        }
    }
}

fn map(value: &Value, each: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(each(text)),
        Value::Array(items) => items.iter().map(|item| map(item, each)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), map(value, each))).collect())
        }
        other => other.clone(),
    }
}
