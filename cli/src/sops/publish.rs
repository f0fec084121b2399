//! `publish`: files go where a destination rule of the configuration says.
//!
//! ```text
//!   S3, GCS: the file as it is, or, where the rule has keys, opened and encrypted anew for them
//!   Vault:   the decrypted values, one secret per file
//! ```
//!
//! An upload to Google Cloud Storage that fails is an error here; sops 3.13.3 ends with 0 then.

#[cfg(feature = "clouds")]
mod upload;
#[cfg(not(feature = "clouds"))]
#[path = "publish/no_upload.rs"]
mod upload;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use sealops_crypto::sops::{
    ClearFile, CreationRule, Destination, DestinationRule, EncryptionSettings, Selector, SelectorKind,
};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Entry, Format, Layout, Map, Tree};

use self::upload::Uploader;
use super::audit::Action;
use super::consent::confirmed;
use super::open::{self, Source};
use super::session::{Session, absolute, tidy};
use super::{Front, encrypt, updatekeys, verify};
use crate::error::CommandError;
use crate::files;
use crate::ui;

/// What `publish` is asked for.
#[derive(Debug)]
pub(crate) struct Publication {
    /// File or folder, as typed: destination rules see it so.
    pub(crate) path: PathBuf,
    /// Do not ask.
    pub(crate) yes: bool,
    pub(crate) omit_extensions: bool,
    pub(crate) recursive: bool,
    /// Tell more.
    pub(crate) verbose: bool,
}

/// What is sent.
enum Parcel {
    /// An encrypted file.
    File(Plaintext),
    /// The decrypted values as a JSON object.
    Values(Plaintext),
}

/// A place for one file.
#[cfg_attr(not(feature = "clouds"), expect(dead_code, reason = "this build sends nothing"))]
enum Place {
    S3 { bucket: String, name: String },
    Gcs { bucket: String, name: String },
    Vault { address: String, path: String, version: usize },
}

/// Publishes.
///
/// # Errors
/// Fails with the first file that cannot be published; those before it are.
pub(crate) fn run(session: &Session, publication: &Publication) -> Result<(), CommandError> {
    let path = &publication.path;
    let metadata = std::fs::metadata(path).map_err(|error| {
        CommandError::input(format!("stat {}: {}", path.display(), files::io_text(&error)))
    })?;
    if metadata.is_dir() && !publication.recursive {
        return Err(CommandError::input("can't operate on a directory without --recursive flag."));
    }
    let uploader = Uploader::new();
    for (file, _) in verify::files(std::slice::from_ref(path))? {
        // Below a folder, names are as Go joins them: without `./` at the start.
        let file = if metadata.is_dir() { tidy(&file) } else { file };
        one(session, publication, &uploader, &file)?;
    }
    Ok(())
}

fn one(
    session: &Session,
    publication: &Publication,
    uploader: &Uploader,
    file: &Path,
) -> Result<(), CommandError> {
    let rule = rule(session, file)?;
    let name = name_there(publication, &rule, file);
    let Some(destination) = &rule.destination else {
        return Err(CommandError::input("no destination configured for this file"));
    };
    let place = Place::new(destination, &name);
    let format = Format::of_path(&file.to_string_lossy());
    let parcel = match place {
        Place::S3 { .. } | Place::Gcs { .. } => for_bucket(session, &rule.recreation_rule, file, format)?,
        Place::Vault { .. } => for_vault(session, file, format)?,
    };
    let shown = absolute(file).display().to_string();
    if !publication.yes && !confirmed(&format!("uploading {shown} to {} ? (y/n): ", place.shown()))? {
        let text = format!("Publication of {shown} canceled");
        return if publication.recursive {
            ui::data(format!("{text}\n").as_bytes())
        } else {
            Err(CommandError::input(text))
        };
    }
    uploader.send(session, publication, &place, &parcel)
}

fn rule(session: &Session, file: &Path) -> Result<DestinationRule, CommandError> {
    let found = session.config_for(Some(file))?.ok_or_else(updatekeys::no_config)?;
    found.config.destination_rule(&file.to_string_lossy(), &BTreeMap::new()).map_err(CommandError::input)
}

/// Returns the file's name at the destination: its own, or its path below the folder that was named.
fn name_there(publication: &Publication, rule: &DestinationRule, file: &Path) -> String {
    let root = tidy(&publication.path);
    let below =
        file.strip_prefix(&root).ok().filter(|rest| publication.recursive && rest.iter().next().is_some());
    let mut name = match below {
        Some(below) => below.to_string_lossy().into_owned(),
        None if publication.recursive && root.as_os_str().is_empty() => file.to_string_lossy().into_owned(),
        None => file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    if publication.omit_extensions || rule.omit_extensions {
        // As Go counts: the last point and what follows, even where the name begins with it.
        let from = name.rfind('/').map_or(0, |slash| slash + 1);
        if let Some(point) = name[from..].rfind('.') {
            name.truncate(from + point);
        }
    }
    name
}

/// Returns the file, encrypted anew where the rule has keys.
fn for_bucket(
    session: &Session,
    rule: &CreationRule,
    path: &Path,
    format: Format,
) -> Result<Parcel, CommandError> {
    let source = Source::File(path.to_owned());
    let text = source.read()?;
    let file = open::parse(&text, format)?;
    if rule.groups.groups.first().is_none_or(Vec::is_empty) {
        return Ok(Parcel::File(text));
    }
    let opened = open::open(session, &source, file, false)?;
    let mut groups = rule.groups.clone();
    session.complete_groups(&mut groups)?;
    let changes = opened.metadata().key_groups.diff(&groups);
    if changes.iter().any(|group| !group.added.is_empty() || !group.removed.is_empty()) {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let text = updatekeys::describe_groups(&changes, colour);
        ui::data(format!("The following changes will be made to the file's key groups:\n{text}").as_bytes())?;
    }
    let settings = settings(session, rule);
    let clear = ClearFile::new(opened.into_tree(), format).map_err(CommandError::input)?;
    let (key, groups) = encrypt::new_key(session, groups)?;
    session.audit.record(Action::Encrypt, &source)?;
    encrypt::encrypt(session, clear, (&key, groups), &settings, format, path).map(Parcel::File)
}

/// As SOPS: of the rule's selectors only the suffixes count here, without one more is encrypted and not less.
fn settings(session: &Session, rule: &CreationRule) -> EncryptionSettings {
    let suffix = |kind| matches!(kind, SelectorKind::UnencryptedSuffix | SelectorKind::EncryptedSuffix);
    let selector = rule.settings.selector.clone();
    let selector = selector.filter(|selector: &Selector| {
        if !suffix(selector.kind()) {
            session.warn(&format!(
                "{} of a recreation_rule does not count: only suffixes do",
                selector.kind().field()
            ));
        }
        suffix(selector.kind())
    });
    EncryptionSettings { selector, mac_only_encrypted: false }
}

/// Returns the values of all documents as one JSON object; a later document wins.
fn for_vault(session: &Session, path: &Path, format: Format) -> Result<Parcel, CommandError> {
    let source = Source::File(path.to_owned());
    let file = open::load(&source, format)?;
    let tree = open::open(session, &source, file, false)?.into_tree();
    let mut all = Map::default();
    for entry in tree.documents.into_iter().flat_map(|document| document.entries) {
        let Entry::Pair { key, value } = entry else { continue };
        all.entries.retain(
            |other| !matches!(other, Entry::Pair { key: other, .. } if other.as_bytes() == key.as_bytes()),
        );
        all.push(key, value);
    }
    let tree = Tree { documents: vec![all] };
    tree::emit(Format::Json, &tree, &Layout::default())
        .map(Parcel::Values)
        .map_err(|error| CommandError::input(format!("the file cannot become a secret of Vault: {error}")))
}

impl Place {
    fn new(destination: &Destination, name: &str) -> Self {
        match destination {
            Destination::S3 { bucket, prefix } => {
                Self::S3 { bucket: bucket.clone(), name: format!("{prefix}{name}") }
            }
            Destination::Gcs { bucket, prefix } => {
                Self::Gcs { bucket: bucket.clone(), name: format!("{prefix}{name}") }
            }
            Destination::Vault { address, path, mount, version } => {
                let address = if address.is_empty() { default_vault() } else { address.clone() };
                let slash = |text: &str| if text.ends_with('/') { "" } else { "/" };
                let data = if *version == 1 { "" } else { "data/" };
                let path = format!("{mount}{}{data}{path}{}{name}", slash(mount), slash(path));
                Self::Vault { address, path, version: *version }
            }
        }
    }

    /// Names the place as SOPS does.
    fn shown(&self) -> String {
        match self {
            Self::S3 { bucket, name } => format!("s3://{bucket}/{name}"),
            Self::Gcs { bucket, name } => format!("gcs://{bucket}/{name}"),
            Self::Vault { address, path, .. } => format!("{address}/v1/{path}"),
        }
    }
}

fn default_vault() -> String {
    let address = std::env::var("VAULT_ADDR").ok().filter(|address| !address.is_empty());
    address.unwrap_or_else(|| "https://127.0.0.1:8200".to_owned())
}

/// Tells what happened where that is wanted.
fn tell(session: &Session, publication: &Publication, text: &str) {
    match session.front {
        Front::Sops if publication.verbose => ui::log_line("PUBLISH", "info", text),
        Front::Sops => {}
        Front::Sealops => ui::note(text),
    }
}

#[cfg(test)]
mod tests {
    use sealops_crypto::sops::Config;

    use super::*;

    fn name(root: &str, file: &str, recursive: bool, omit_extensions: bool) -> String {
        let publication =
            Publication { path: root.into(), yes: true, omit_extensions, recursive, verbose: false };
        let config = Config::parse(b"destination_rules: [{s3_bucket: b}]").unwrap();
        let rule = config.destination_rule("x", &BTreeMap::new()).unwrap();
        name_there(&publication, &rule, Path::new(file))
    }

    #[test]
    fn names_are_those_of_sops() {
        assert_eq!(name("a/b.yaml", "a/b.yaml", false, false), "b.yaml");
        assert_eq!(name("a", "a/b/c.enc.yaml", true, false), "b/c.enc.yaml");
        assert_eq!(name("./a/", "a/b/c.enc.yaml", true, true), "b/c.enc");
        assert_eq!(name(".", "b/c.yaml", true, true), "b/c");
        assert_eq!(name("a.b/c", "a.b/c", false, true), "c");
    }

    #[test]
    fn places_of_vault_have_their_slashes() {
        let place = |mount: &str, path: &str, version| {
            let destination = Destination::Vault {
                address: "http://v".to_owned(),
                path: path.to_owned(),
                mount: mount.to_owned(),
                version,
            };
            Place::new(&destination, "n").shown()
        };
        assert_eq!(place("secret/", "p", 2), "http://v/v1/secret/data/p/n");
        assert_eq!(place("kv", "p/", 1), "http://v/v1/kv/p/n");
    }
}
