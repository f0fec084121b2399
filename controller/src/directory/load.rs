//! Reading a folder of manifests that somebody else wrote: no symbolic links, and limits on everything.

use std::path::{Path, PathBuf};

use sealops_formats::Plaintext;
use sealops_formats::manifest::{self, Node, Value};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most files of one folder.
pub const MAX_FILES: usize = 100_000;
/// Deepest folder.
pub const MAX_DEPTH: usize = 64;

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// The file system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which path.
        path: PathBuf,
        /// What it says.
        source: std::io::Error,
    },
    /// A file is no manifest.
    #[error("{}: {source}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: manifest::ParseError,
    },
    /// A limit is passed.
    #[error("{}: {limit}", path.display())]
    Limit {
        /// Which path.
        path: PathBuf,
        /// Which limit.
        limit: String,
    },
}

/// One object of the folder.
#[derive(Debug)]
pub struct Manifest {
    /// The file, relative to the folder where it lies in one.
    pub file: PathBuf,
    /// Line on which the object starts, 0 where it is not known.
    pub line: usize,
    /// The object.
    pub root: Node,
}

impl Manifest {
    /// Returns file and line for messages.
    pub fn source(&self) -> String {
        match self.line {
            0 => self.file.display().to_string(),
            line => format!("{}:{line}", self.file.display()),
        }
    }

    /// Returns the kind, or nothing.
    pub fn kind(&self) -> &str {
        self.root.str_at(&["kind"]).unwrap_or_default()
    }

    /// Returns whether this is an object of a kind in an API group (any version).
    pub fn is(&self, group: &str, kind: &str) -> bool {
        let version = self.root.str_at(&["apiVersion"]).unwrap_or_default();
        let own_group = version.split_once('/').map_or("", |(group, _)| group);
        own_group == group && self.kind() == kind
    }

    /// Returns kind, namespace and name for messages.
    pub fn title(&self) -> String {
        let part = |field| self.metadata(field).unwrap_or("?");
        format!("{} {}/{}", self.kind(), part("namespace"), part("name"))
    }

    /// Returns a name from the metadata, for objects that are looked up.
    pub fn metadata(&self, field: &str) -> Option<&str> {
        self.root.str_at(&["metadata", field]).filter(|text| !text.is_empty())
    }
}

/// Every Kubernetes object of a folder or file, in the order of the file names.
#[derive(Debug, Default)]
pub struct Directory {
    manifests: Vec<Manifest>,
}

impl Directory {
    /// Reads every `*.yaml`, `*.yml` and `*.json` below a folder, or one file. Hidden entries and symbolic links are
    /// passed over; documents that are no Kubernetes objects are left out; items of a `List` count as objects.
    ///
    /// # Errors
    /// Returns the first file that cannot be read or parsed, and the limit that is passed.
    pub fn load(path: &Path) -> Result<Self, DirectoryError> {
        let mut directory = Self::default();
        for file in files(path)? {
            let text = read(&file)?;
            let name =
                file.strip_prefix(path).ok().filter(|name| !name.as_os_str().is_empty()).unwrap_or(&file);
            directory
                .add(name, &text)
                .map_err(|source| DirectoryError::Parse { path: file.clone(), source })?;
        }
        Ok(directory)
    }

    /// Adds the objects of one text.
    ///
    /// # Errors
    /// Returns where the text stops being YAML or JSON.
    pub fn add(&mut self, file: &Path, text: &Plaintext) -> Result<(), manifest::ParseError> {
        for document in manifest::parse(text.expose())? {
            self.add_object(file, document.root);
        }
        Ok(())
    }

    /// Returns the objects.
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    fn add_object(&mut self, file: &Path, mut root: Node) {
        let (Some(_), Some(kind)) = (root.str_at(&["apiVersion"]), root.str_at(&["kind"])) else { return };
        if kind.ends_with("List")
            && let Some(items) = root.child_mut("items")
            && let Value::List(items) = std::mem::take(&mut items.value)
        {
            items.into_iter().for_each(|item| self.add_object(file, item));
            return;
        }
        for path in [&["metadata"][..], &["spec", "template", "metadata"][..]] {
            for map in ["labels", "annotations"] {
                root.stringify_map(&[path, &[map]].concat());
            }
        }
        self.manifests.push(Manifest { file: file.to_owned(), line: root.line, root });
    }
}

/// Returns every `*.yaml`, `*.yml` and `*.json` below a folder, in order, or the one file itself. Hidden entries and
/// symbolic links are passed over.
///
/// # Errors
/// Returns the first folder that cannot be read, and the limit that is passed.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let metadata = std::fs::metadata(path).map_err(|source| io(path, source))?;
    let mut files = Vec::new();
    if metadata.is_dir() {
        walk(path, 0, &mut files)?;
    } else {
        files.push(path.to_owned());
    }
    Ok(files)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), DirectoryError> {
    if depth > MAX_DEPTH {
        return Err(limit(folder, format!("folders are nested more than {MAX_DEPTH} deep")));
    }
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| io(folder, source))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| io(&path, source))?;
        if entry.file_name().to_string_lossy().starts_with('.') || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if kind.is_file() && is_manifest(&path) {
            files.push(path);
            if files.len() > MAX_FILES {
                return Err(limit(folder, format!("there are more than {MAX_FILES} files")));
            }
        }
    }
    Ok(())
}

fn is_manifest(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"))
}

fn read(path: &Path) -> Result<Plaintext, DirectoryError> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|source| io(path, source))?;
    let mut text = Plaintext::default();
    std::io::copy(&mut file.take(MAX_FILE_BYTES + 1), &mut text).map_err(|source| io(path, source))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(limit(path, format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(text)
}

fn io(path: &Path, source: std::io::Error) -> DirectoryError {
    DirectoryError::Io { path: path.to_owned(), source }
}

fn limit(path: &Path, limit: String) -> DirectoryError {
    DirectoryError::Limit { path: path.to_owned(), limit }
}
