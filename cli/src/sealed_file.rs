//! SealedSecrets in a text, among whatever else stands there: read, and edited where they stand.

use std::path::{Path, PathBuf};

use sealops_controller::sealed::scope_of;
use sealops_controller::{HINT_ANNOTATION, directory};
use sealops_crds::SealedSecret;
use sealops_crypto::sealing::{Fingerprint, Label, Scope};
use sealops_formats::Plaintext;
use sealops_formats::manifest::{self, Edit, Node, Source, Value};

use crate::error::CommandError;
use crate::files::{self, Access, Before, NewFile};
use crate::input::Input;
use crate::interrupt::Interrupt;

/// A text with its SealedSecrets.
pub(crate) struct SealedFile {
    pub(crate) input: Input,
    pub(crate) objects: Vec<SealedObject>,
    /// Objects of other kinds, with their places.
    pub(crate) others: Vec<String>,
}

/// One SealedSecret.
pub(crate) struct SealedObject {
    /// File, document and line, for messages.
    pub(crate) place: String,
    pub(crate) sealed: SealedSecret,
    document: usize,
    /// Where the object stands in its document: nothing, or `items.N`.
    path: Vec<String>,
}

impl SealedFile {
    /// Reads a text. Other objects are left alone; an object that looks like a SealedSecret and cannot be read as one is
    /// an error.
    pub(crate) fn read(input: Input) -> Result<Self, CommandError> {
        let documents = manifest::parse(input.text.expose())
            .map_err(|error| CommandError::input(error).within(&input.name))?;
        let mut file = Self { input, objects: Vec::new(), others: Vec::new() };
        for (index, document) in documents.iter().enumerate() {
            file.add(&document.root, index, Vec::new())?;
        }
        Ok(file)
    }

    fn add(&mut self, node: &Node, document: usize, path: Vec<String>) -> Result<(), CommandError> {
        let line = if node.line > 0 { format!(", line {}", node.line) } else { String::new() };
        let place = format!("{}: document {}{line}", self.input.name, document + 1);
        if !matches!(node.value, Value::Map(_)) {
            self.others.push(format!("{place}: this is not a Kubernetes object"));
            return Ok(());
        }
        let kind = node.str_at(&["kind"]).unwrap_or("nothing");
        if let (true, Some(Value::List(items))) =
            (kind.ends_with("List"), node.child("items").map(|n| &n.value))
        {
            for (index, item) in items.iter().enumerate() {
                self.add(item, document, [&path[..], &["items".to_owned(), index.to_string()]].concat())?;
            }
            return Ok(());
        }
        let version = node.str_at(&["apiVersion"]).unwrap_or_default();
        if kind != SealedSecret::KIND || !version.starts_with("bitnami.com/") {
            self.others.push(format!("{place}: expected a bitnami.com/v1alpha1 SealedSecret, found {kind}"));
            return Ok(());
        }
        if version != SealedSecret::API_VERSION {
            return Err(CommandError::input(format!(
                "only {} is known, found {version}",
                SealedSecret::API_VERSION
            ))
            .within(place));
        }
        let sealed = node.read().map_err(|error| CommandError::input(error).within(&place))?;
        self.objects.push(SealedObject { place, sealed, document, path });
        Ok(())
    }

    /// Fails unless there is a SealedSecret.
    pub(crate) fn check_not_empty(&self) -> Result<(), CommandError> {
        match (self.objects.as_slice(), self.others.first()) {
            ([], Some(other)) => Err(CommandError::input(other)),
            ([], None) => Err(CommandError::input(format!(
                "{}: no sealed secrets found. Ensure the input is valid and UTF-8 encoded",
                self.input.name
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the text with edits made.
    pub(crate) fn edited(&self, edits: &[Edit]) -> Result<Plaintext, CommandError> {
        let source = Source::parse(self.input.text.expose()).map_err(CommandError::input);
        source
            .and_then(|source| source.apply(edits).map_err(CommandError::input))
            .map_err(|error| error.within(&self.input.name))
    }
}

impl SealedObject {
    /// Returns an object of a cluster, which stands in no text.
    pub(crate) fn of_cluster(sealed: SealedSecret, server: &str) -> Self {
        Self { place: server.to_owned(), sealed, document: 0, path: Vec::new() }
    }

    pub(crate) fn name(&self) -> &str {
        self.sealed.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.sealed.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Returns `namespace/name`.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// Returns the scope that the object's own annotations choose: the only ones that count when it is opened.
    pub(crate) fn scope(&self) -> Scope {
        scope_of(self.sealed.metadata.annotations())
    }

    pub(crate) fn label(&self) -> Label {
        Label::for_secret(self.scope(), self.namespace(), self.name())
    }

    /// Returns the key that the object says it was sealed with.
    pub(crate) fn hint(&self) -> Option<Fingerprint> {
        self.sealed.metadata.annotations().get(HINT_ANNOTATION).map(|text| Fingerprint::from_text(text))
    }

    /// Fails where the label needs a part that the object does not have.
    pub(crate) fn check_names(&self) -> Result<(), CommandError> {
        let missing = match self.scope() {
            Scope::Strict if self.name().is_empty() => "name",
            Scope::Strict | Scope::NamespaceWide if self.namespace().is_empty() => "namespace",
            _ => return Ok(()),
        };
        Err(CommandError::input(format!("the SealedSecret has no {missing}, which its scope needs"))
            .within(&self.place))
    }

    /// Returns the edit that sets a value of the object.
    pub(crate) fn edit(&self, path: &[&str], value: impl Into<String>) -> Edit {
        let path = self.path.iter().cloned().chain(path.iter().map(|&key| key.to_owned())).collect();
        Edit { document: self.document, path, value: value.into() }
    }
}

/// Reads the SealedSecrets of files and folders. Files of a folder that do not name the kind are not even parsed: they may
/// be templates of another tool.
pub(crate) fn manifests(paths: &[PathBuf]) -> Result<Vec<(PathBuf, SealedFile)>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        let is_folder = path.is_dir();
        for file in directory::files(path).map_err(CommandError::input)? {
            let name = file.display().to_string();
            let text = files::read(&file, manifest::MAX_BYTES)?;
            let kind = SealedSecret::KIND.as_bytes();
            if is_folder && !text.expose().windows(kind.len()).any(|bytes| bytes == kind) {
                continue;
            }
            found.push((file, SealedFile::read(Input { name, text })?));
        }
    }
    Ok(found)
}

/// Writes an edited file, unless somebody changed it since it was read.
pub(crate) fn write_back(path: &Path, old: &Input, new: &Plaintext) -> Result<(), CommandError> {
    write_all_back(&[(path.to_owned(), old, new)])
}

/// Writes edited files, all or none, unless somebody changed one since it was read, or a signal comes in time.
pub(crate) fn write_all_back(changes: &[(PathBuf, &Input, &Plaintext)]) -> Result<(), CommandError> {
    let interrupt = Interrupt::watch().map_err(CommandError::input)?;
    let files: Vec<_> = changes
        .iter()
        .map(|(path, old, new)| {
            let file = NewFile { path: path.clone(), content: new.expose(), access: Access::Public };
            (file, Before::Text(&old.text))
        })
        .collect();
    files::write_over(&files, Some(&interrupt))
}
