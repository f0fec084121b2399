//! Where in an object a template puts its result: `spec.rules[0].from`.

use sealops_formats::manifest::{Node, Value};

/// Largest index of a list, as upstream's.
const MAX_INDEX: usize = 10_000;
/// Steps of a path.
const MAX_STEPS: usize = 64;
/// Entries by which all templates of an object lengthen lists.
const MAX_GROWN: usize = 100_000;
/// Fields that are not the template's: what the object is, and what its own controller says.
const NOT_CONTENT: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// A path that begins with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::external) struct Path(Vec<Step>);

/// How many entries of lists may still be made.
pub(in crate::external) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(MAX_GROWN)
    }
}

impl Path {
    /// Reads a path: keys with dots between them, each with any number of `[n]`.
    ///
    /// # Errors
    /// Returns what is wrong with it, and that it leads out of the content.
    pub(in crate::external) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |problem: String| format!("invalid path {text:?}: {problem}");
        let mut steps = Vec::new();
        for segment in text.split('.') {
            let (name, mut rest) = segment.split_at(segment.find('[').unwrap_or(segment.len()));
            if !name.is_empty() {
                steps.push(Step::Key(name.to_owned()));
            } else if rest.is_empty() {
                return Err(wrong("empty segment".to_owned()));
            }
            while !rest.is_empty() {
                let inner = rest.strip_prefix('[').ok_or_else(|| wrong("expected '['".to_owned()))?;
                let (index, after) =
                    inner.split_once(']').ok_or_else(|| wrong("unterminated '['".to_owned()))?;
                let number = index.parse::<usize>().ok().filter(|number| *number <= MAX_INDEX);
                let number = number.ok_or_else(|| {
                    wrong(format!("bad index {index:?}: a number from 0 to {MAX_INDEX} is wanted"))
                })?;
                steps.push(Step::Index(number));
                rest = after;
            }
        }
        match steps.first() {
            Some(Step::Key(first)) if NOT_CONTENT.contains(&first.as_str()) => {
                Err(wrong(format!("{first} is not content; labels and annotations are targets of their own")))
            }
            Some(Step::Key(_)) if steps.len() <= MAX_STEPS => Ok(Self(steps)),
            Some(Step::Key(_)) => Err(wrong(format!("there are more than {MAX_STEPS} steps"))),
            _ => Err(wrong("path must start with a key".to_owned())),
        }
    }

    /// Returns the key of a path that is one key.
    pub(in crate::external) fn single(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Step::Key(key)] => Some(key),
            _ => None,
        }
    }

    /// Puts a value there, and makes what is missing on the way. `merge` adds the keys of a map to those of a map that
    /// is there already.
    ///
    /// # Errors
    /// Returns where something else stands in the way.
    pub(in crate::external) fn put(
        &self,
        fields: &mut Vec<(String, Node)>,
        value: Node,
        merge: bool,
        room: &mut Room,
    ) -> Result<(), String> {
        let mut root = Node { line: 0, value: Value::Map(std::mem::take(fields)) };
        let result =
            self.0.iter().try_fold(&mut root, |node, step| step.enter(node, room)).map(|node| {
                match (&mut node.value, value.value) {
                    (Value::Map(own), Value::Map(entries)) if merge => {
                        entries.into_iter().for_each(|(key, node)| set(own, key, node));
                    }
                    (own, value) => *own = value,
                }
            });
        if let Value::Map(entries) = root.value {
            *fields = entries;
        }
        result
    }
}

impl Step {
    fn enter<'a>(&self, node: &'a mut Node, room: &mut Room) -> Result<&'a mut Node, String> {
        if node.is_null() {
            node.value = match self {
                Self::Key(_) => Value::Map(Vec::new()),
                Self::Index(_) => Value::List(Vec::new()),
            };
        }
        match (self, &mut node.value) {
            (Self::Key(key), Value::Map(entries)) => {
                let place = entries.iter().position(|(own, _)| own == key);
                let place = place.unwrap_or_else(|| {
                    entries.push((key.clone(), Node::default()));
                    entries.len() - 1
                });
                Ok(&mut entries[place].1)
            }
            (Self::Index(index), Value::List(items)) => {
                let missing = (index + 1).saturating_sub(items.len());
                room.0 = room.0.checked_sub(missing).ok_or_else(|| {
                    format!("the templates lengthen lists by more than {MAX_GROWN} entries")
                })?;
                items.resize_with(items.len().max(index + 1), Node::default);
                Ok(&mut items[*index])
            }
            (Self::Key(key), _) => Err(format!("expected a map at key {key:?}")),
            (Self::Index(index), _) => Err(format!("expected a list at index {index}")),
        }
    }
}

/// Sets an entry of a map.
pub(in crate::external) fn set(entries: &mut Vec<(String, Node)>, key: String, node: Node) {
    match entries.iter_mut().find(|(own, _)| *own == key) {
        Some((_, own)) => *own = node,
        None => entries.push((key, node)),
    }
}

#[cfg(test)]
mod tests {
    use sealops_formats::manifest::{parse, to_json};

    use super::*;

    fn put(into: &str, path: &str, value: &str, merge: bool) -> Result<String, String> {
        let read = |text: &str| parse(text.as_bytes()).unwrap().pop().unwrap().root;
        let Value::Map(mut fields) = read(into).value else { unreachable!() };
        Path::parse(path)?.put(&mut fields, read(value), merge, &mut Room::default())?;
        let text = to_json(&Node::map(fields));
        Ok(text.expose_str().unwrap().split_whitespace().collect())
    }

    #[test]
    fn paths_make_what_is_missing() {
        assert_eq!(put("{}", "spec.a.b", "1", true).unwrap(), r#"{"spec":{"a":{"b":1}}}"#);
        assert_eq!(put("{}", "spec.l[1].x", "t", true).unwrap(), r#"{"spec":{"l":[null,{"x":"t"}]}}"#);
        assert_eq!(
            put("{spec: {l: [[1]]}}", "spec.l[0][1]", "2", true).unwrap(),
            r#"{"spec":{"l":[[1,2]]}}"#
        );
        assert_eq!(
            put("{}", "spec.customHeaders.xY", "1", true).unwrap(),
            r#"{"spec":{"customHeaders":{"xY":1}}}"#
        );
    }

    #[test]
    fn maps_are_merged_or_replaced() {
        let before = "{spec: {a: 1, b: {c: 2}}}";
        assert_eq!(put(before, "spec.b", "{d: 3}", true).unwrap(), r#"{"spec":{"a":1,"b":{"c":2,"d":3}}}"#);
        assert_eq!(put(before, "spec", "{d: 3}", false).unwrap(), r#"{"spec":{"d":3}}"#);
        assert_eq!(put(before, "spec.a", "[x]", true).unwrap(), r#"{"spec":{"a":["x"],"b":{"c":2}}}"#);
        assert!(put(before, "spec.a.b", "1", true).unwrap_err().contains("expected a map"));
        assert!(put(before, "spec.b[0]", "1", true).unwrap_err().contains("expected a list"));
    }

    #[test]
    fn what_is_no_path_or_no_content_is_refused() {
        for path in
            ["", ".", "spec.", "spec..a", "[0].a", "spec[", "spec[x]", "spec[-1]", "spec[10001]", "spec[0]x"]
        {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        for path in ["metadata.ownerReferences", "status.x", "kind", "apiVersion", "metadata"] {
            assert!(Path::parse(path).unwrap_err().contains("not content"), "{path}");
        }
        assert!(Path::parse(&vec!["a"; 65].join(".")).is_err());
        let mut fields = Vec::new();
        let mut room = Room::default();
        let full = (0..20).try_for_each(|index| {
            Path::parse(&format!("spec.l{index}[10000]")).unwrap().put(
                &mut fields,
                Node::default(),
                true,
                &mut room,
            )
        });
        assert!(full.unwrap_err().contains("lengthen"));
    }
}
