//! The section `basic` of a file of profiles, which is INI.

use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Format, Map, Node};

/// Section of the credentials that KMS takes.
const SECTION: &str = "basic";

/// What a profile says. An empty entry is none.
pub(super) struct Profile {
    section: Map,
}

impl Profile {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns what is wrong with it, for people, without its text.
    pub(super) fn read(text: &Plaintext) -> Result<Self, String> {
        let tree = tree::parse(Format::Ini, text.expose())
            .map_err(|error| format!("line {} is no INI", error.line))?;
        let sections = tree.documents.into_iter().flat_map(|document| document.entries);
        let mut found = sections.filter_map(|entry| match entry {
            tree::Entry::Pair { key, value: Node::Map(section) } => {
                (key.as_bytes() == Some(SECTION.as_bytes())).then_some(section)
            }
            _ => None,
        });
        let section = found.next().ok_or_else(|| format!("there is no section [{SECTION}]"))?;
        Ok(Self { section })
    }

    /// Returns an entry.
    pub(super) fn text(&self, name: &str) -> Option<&Plaintext> {
        self.section.find(name)?.as_text().filter(|text| !text.is_empty())
    }

    /// Returns an entry that is no secret.
    pub(super) fn public(&self, name: &str) -> Option<String> {
        self.text(name)?.expose_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read() {
        let text = "; mine\n[global]\nak = g\n\n[basic]\nak = a\nsk = \"s=1\"\nproject_id =\n";
        let profile = Profile::read(&text.into()).unwrap();
        assert_eq!(profile.public("ak").as_deref(), Some("a"));
        assert_eq!(profile.text("sk").unwrap().expose(), b"s=1");
        assert!(profile.text("project_id").is_none() && profile.text("iam_endpoint").is_none());
        for text in ["[global]\nak = hunter2\n", "[basic\nak = hunter2", "hunter2"] {
            let error = Profile::read(&text.into()).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
