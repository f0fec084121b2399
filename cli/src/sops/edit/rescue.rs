//! An edit that did not become the file is saved as an encrypted file of its own.

use std::env;
use std::path::{Path, PathBuf};
use std::process;

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{ClearFile, DataKey, EncryptionSettings, Inline, KeyGroups, Timestamp};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Format, Layout};

use crate::error::CommandError;
use crate::files::{self, Access, NewFile};

/// What encrypting a text needs without asking anyone.
pub(super) struct Rescue {
    path: PathBuf,
    key: DataKey,
    groups: KeyGroups,
}

impl Rescue {
    pub(super) fn new(path: &Path, key: DataKey, groups: KeyGroups) -> Self {
        Self { path: path.to_owned(), key, groups }
    }

    /// Writes the text, encrypted as a binary file, to the first place that takes it.
    pub(super) fn save(&self, text: &Plaintext) -> Result<PathBuf, CommandError> {
        let encrypted = self.encrypt(text)?;
        let mut last = CommandError::input("there is no place");
        for folder in self.places() {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy();
            // No suffix that stands for another format.
            let path = folder.join(format!("{name}.edit-{}.rescued", process::id()));
            let file = NewFile { path: path.clone(), content: encrypted.expose(), access: Access::Private };
            match files::write(&[file]) {
                Ok(()) => return Ok(path),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn encrypt(&self, text: &Plaintext) -> Result<Plaintext, CommandError> {
        let tree = tree::parse(Format::Binary, text.expose()).map_err(CommandError::input)?;
        let now = Timestamp::from_unix(jiff::Timestamp::now().as_second()).map_err(CommandError::input)?;
        let (file, _) = ClearFile::new(tree, Format::Binary)
            .map_err(CommandError::input)?
            .encrypt(
                &self.key,
                self.groups.clone(),
                &EncryptionSettings::default(),
                &mut SystemRandom,
                &now,
                &Inline,
            )
            .map_err(CommandError::input)?;
        let tree = file.into_tree().map_err(CommandError::input)?;
        tree::emit(Format::Json, &tree, &Layout::default()).map_err(CommandError::input)
    }

    fn places(&self) -> impl Iterator<Item = PathBuf> {
        let beside = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let beside = beside.unwrap_or(Path::new(".")).to_owned();
        let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        [Some(beside), home, Some(env::temp_dir())].into_iter().flatten()
    }
}
