//! What a run knows beside its files: whose words, which configuration, which keys.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use sealops_crypto::sops::{
    Config, CreationRule, KeyGroups, KeyKind, KeyTextError, MAX_CONFIG_BYTES, MasterKey, Timestamp,
};
use sealops_formats::tree::{Format, Layout};
use sealops_providers::local::LocalKeys;

use super::audit::Audit;
use super::keyring::Keyring;
use super::{Front, code};
use crate::error::CommandError;
use crate::files;
use crate::ui;

/// The configuration's name.
const CONFIG: &str = ".sops.yaml";
/// What it is called by mistake.
const ALTERNATIVE: &str = ".sops.yml";
/// Folders that are searched upwards.
const MAX_LEVELS: usize = 100;

/// One run.
pub(crate) struct Session {
    pub(crate) front: Front,
    /// `--config`; else it is searched.
    pub(crate) config: Option<PathBuf>,
    /// `--indent`.
    pub(crate) indent: Option<i32>,
    /// Kinds of keys in the order in which they are tried.
    pub(crate) order: Vec<KeyKind>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) audit: Audit,
    /// The configuration near the working folder, read once.
    pub(crate) near: OnceCell<Option<Found>>,
}

/// A configuration and where it lies.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) config: Config,
}

/// Keys that flags and variables name, by kind.
#[derive(Debug, Default, Clone)]
pub(crate) struct KeyFlags {
    pub(crate) keys: BTreeMap<KeyKind, Vec<String>>,
    pub(crate) aws_profile: String,
    pub(crate) encryption_context: String,
}

/// `--input-type` and `--output-type`; a name that is none counts as not given.
#[derive(Debug, Default, Clone)]
pub(crate) struct Types {
    pub(crate) input: Option<Format>,
    pub(crate) output: Option<Format>,
}

impl Types {
    /// Returns both formats of a file: the output's is by the file's name too, not by the input's type.
    pub(crate) fn of(&self, path: &Path) -> (Format, Format) {
        let by_name = || Format::of_path(&path.to_string_lossy());
        (self.input.unwrap_or_else(by_name), self.output.unwrap_or_else(by_name))
    }
}

impl Session {
    /// Tells something that is probably not meant.
    pub(crate) fn warn(&self, text: &str) {
        match self.front {
            Front::Sops => ui::log_line("CMD", "warning", text),
            Front::Sealops => ui::warn(text),
        }
    }

    /// Returns the configuration for a file: the one that is named, or the nearest one. Under the name `sops` it is
    /// searched from the working folder; with `sealops` first from the file's.
    ///
    /// # Errors
    /// Fails where it is there and cannot be used.
    pub(crate) fn config_for(&self, file: Option<&Path>) -> Result<Option<&Found>, CommandError> {
        if let Some(found) = self.near.get() {
            return Ok(found.as_ref());
        }
        let path = match (&self.config, self.front, file) {
            (Some(path), _, _) => Some(path.clone()),
            (None, Front::Sealops, Some(file)) => {
                self.search(folder_of(file)).or_else(|| self.search(PathBuf::from(".")))
            }
            (None, _, _) => self.search(PathBuf::from(".")),
        };
        let found = path.map(load).transpose()?;
        Ok(self.near.get_or_init(|| found).as_ref())
    }

    fn search(&self, start: PathBuf) -> Option<PathBuf> {
        // Above the top there is the top again: looking a hundred times costs as much as opening a small file.
        let here = if start.as_os_str().is_empty() { Path::new(".") } else { &start };
        let levels =
            here.canonicalize().map_or(MAX_LEVELS, |folder| folder.components().count().min(MAX_LEVELS));
        let mut folder = start;
        let mut alternative: Option<PathBuf> = None;
        for _ in 0..levels {
            let path = folder.join(CONFIG);
            if path.exists() {
                let path = tidy(&path);
                if let Some(other) = alternative {
                    self.warn(&format!("{}; using {path:?} instead", ignored(&other)));
                }
                return Some(path);
            }
            let other = folder.join(ALTERNATIVE);
            if alternative.is_none() && other.exists() {
                alternative = Some(tidy(&other));
            }
            folder.push("..");
        }
        if let Some(other) = alternative {
            self.warn(&ignored(&other));
        }
        None
    }

    /// Returns the layout that the configuration, or `--indent`, gives a format.
    ///
    /// # Errors
    /// As [`Self::config_for`].
    pub(crate) fn layout(&self, format: Format, file: Option<&Path>) -> Result<Layout, CommandError> {
        let by_config = self.config_for(file)?.and_then(|found| match format {
            Format::Yaml => found.config.stores.yaml_indent,
            Format::Json => found.config.stores.json_indent,
            Format::Binary => found.config.stores.json_binary_indent,
            Format::Dotenv | Format::Ini => None,
        });
        Ok(Layout { indent: self.indent.or(by_config) })
    }

    /// Returns the creation rule for a file, or `None` without a configuration that has rules.
    ///
    /// # Errors
    /// Fails where no rule matches, or the one that does cannot be used.
    pub(crate) fn rule_for(
        &self,
        file: &Path,
        kms_context: &BTreeMap<String, String>,
    ) -> Result<Option<CreationRule>, CommandError> {
        let Some(found) = self.config_for(Some(file))? else { return Ok(None) };
        let (folder, name) = (folder_of(&absolute(&found.path)), absolute(file));
        let rule =
            found.config.creation_rule(&folder.to_string_lossy(), &name.to_string_lossy(), kms_context);
        rule.map_err(|error| CommandError::input(config_text(&error)))
    }

    /// Gives keys what they lack before they are used or compared: sops does so while it reads them.
    ///
    /// # Errors
    /// Returns why a key cannot be completed.
    pub(crate) fn complete<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a mut MasterKey>,
    ) -> Result<(), CommandError> {
        self.keyring.complete(keys.into_iter()).map_err(CommandError::input)
    }

    /// As [`Self::complete`], for the keys of groups.
    ///
    /// # Errors
    /// As [`Self::complete`].
    pub(crate) fn complete_groups(&self, groups: &mut KeyGroups) -> Result<(), CommandError> {
        self.complete(groups.groups.iter_mut().flatten().map(|entry| &mut entry.key))
    }

    /// Returns the present time for a file's metadata.
    pub(crate) fn now(&self) -> Result<Timestamp, CommandError> {
        Timestamp::from_unix(jiff::Timestamp::now().as_second()).map_err(CommandError::input)
    }
}

fn ignored(path: &Path) -> String {
    format!(
        "ignoring {:?} when searching for config file; the config file must be called {CONFIG:?}",
        path.display().to_string()
    )
}

/// Removes `./` and resolves `a/..`, as Go's `path.Join` does; `../` at the start stays.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidied.components().next_back(), Some(Component::Normal(_))) => {
                tidied.pop();
            }
            Component::ParentDir if tidied.has_root() => {}
            part => tidied.push(part),
        }
    }
    tidied
}

/// Returns the path from the root without `.` and `..`; links are not followed.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    tidy(&working_folder().join(path))
}

/// As Go's `os.Getwd`: `PWD` where it names the working folder, since the shell came there through links.
fn working_folder() -> PathBuf {
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    let named = env::var_os("PWD").map(PathBuf::from).filter(|path| path.is_absolute());
    named
        .filter(|path| identity(path).is_some_and(|named| identity(Path::new(".")) == Some(named)))
        .unwrap_or_else(|| env::current_dir().unwrap_or_default())
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn load(path: PathBuf) -> Result<Found, CommandError> {
    let text = files::read(&path, MAX_CONFIG_BYTES)
        .map_err(|error| CommandError::input(format!("could not read config file: {}", error.error)))?;
    let config = Config::parse(text.expose())
        .map_err(|error| CommandError::input(config_text(&error)).within(path.display()))?;
    Ok(Found { path, config })
}

/// What scripts look for, once.
fn config_text(error: &impl ToString) -> String {
    let text = error.to_string();
    if text.starts_with("error loading config") { text } else { format!("error loading config: {text}") }
}

impl KeyFlags {
    /// Returns whether any key is named.
    pub(crate) fn any(&self) -> bool {
        self.keys.values().flatten().any(|text| !text.is_empty())
    }

    /// Reads the keys, in this order of kinds.
    ///
    /// # Errors
    /// Fails for a text that names no key, and for a malformed encryption context.
    pub(crate) fn read(&self, order: &[KeyKind]) -> Result<Vec<MasterKey>, CommandError> {
        let context = self.context()?;
        let mut keys = Vec::new();
        for kind in order {
            for text in self.keys.get(kind).into_iter().flatten() {
                let found =
                    (kind.spec().parse)(text).map_err(|error: KeyTextError| CommandError::input(error))?;
                for key in &found {
                    LocalKeys::check(key).map_err(CommandError::input)?;
                }
                keys.extend(found.into_iter().map(|key| key.with_kms_settings(&context, &self.aws_profile)));
            }
        }
        Ok(keys)
    }

    pub(crate) fn context(&self) -> Result<BTreeMap<String, String>, CommandError> {
        let wrong = || CommandError::code(code::CONTEXT, "Invalid KMS encryption context format");
        if self.encryption_context.is_empty() {
            return Ok(BTreeMap::new());
        }
        let pairs = self.encryption_context.split(',');
        pairs
            .map(|pair| match pair.split_once(':') {
                Some((key, value)) if !value.contains(':') => Ok((key.to_owned(), value.to_owned())),
                _ => Err(wrong()),
            })
            .collect()
    }
}

/// Reads `--decryption-order`. Unknown names are passed over, as by sops.
///
/// # Errors
/// Fails for a kind that is named twice.
pub(crate) fn read_order(text: &str) -> Result<Vec<KeyKind>, CommandError> {
    if text.is_empty() {
        return Ok(KeyKind::DEFAULT_ORDER.to_vec());
    }
    let mut seen: Vec<&str> = Vec::new();
    for name in text.split(',') {
        if seen.contains(&name) {
            return Err(CommandError::code(code::ORDER, format!("Duplicate decryption key type: {name}")));
        }
        seen.push(name);
    }
    Ok(seen.into_iter().filter_map(KeyKind::named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_without_following_links() {
        for (path, tidied) in [
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("../x", "../x"),
            ("./../../x", "../../x"),
            ("/a/../../b", "/b"),
        ] {
            assert_eq!(tidy(Path::new(path)), Path::new(tidied), "{path}");
        }
    }

    #[test]
    fn orders_name_each_kind_once() {
        assert_eq!(read_order("").unwrap(), [KeyKind::Age, KeyKind::Pgp]);
        assert_eq!(read_order("pgp,nosuch,age").unwrap(), [KeyKind::Pgp, KeyKind::Age]);
        assert_eq!(read_order("age,pgp,age").unwrap_err().exit_code(), std::process::ExitCode::from(112));
    }
}
