//! Every file that is read or written goes through here.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sealops_formats::Plaintext;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::CommandError;

/// Who may read a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The owner only (mode 0600), whatever was there before.
    Private,
    /// Everybody that the umask allows; a file that is replaced keeps its mode.
    Public,
}

/// A file to write.
pub(crate) struct NewFile<'a> {
    pub(crate) path: PathBuf,
    pub(crate) content: &'a [u8],
    pub(crate) access: Access,
}

/// Writes files: all are written beside their targets and synced first, then all are renamed over them. A failure leaves
/// nothing behind, and no target changed unless a rename itself fails.
pub(crate) fn write(files: &[NewFile<'_>]) -> Result<(), CommandError> {
    let mut staged = Vec::new();
    for file in files {
        let fail = |error: io::Error| failure("write", &file.path, &error);
        match fs::metadata(&file.path) {
            // Devices and pipes, such as /dev/stdout, cannot be replaced.
            Ok(found) if !found.is_file() => write_into(file).map_err(fail)?,
            found => staged.push((stage(file, found.ok()).map_err(fail)?, file)),
        }
    }
    for (temporary, file) in staged {
        let target = target_of(file);
        let folder = folder_of(&target).to_owned();
        temporary.persist(&target).map_err(|error| failure("write", &file.path, &error.error))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failure("write", &file.path, &error))?;
    }
    Ok(())
}

/// The temporary file is opened with `O_EXCL`, so that it never follows a link, and removes itself when dropped.
fn stage(file: &NewFile<'_>, replaced: Option<Metadata>) -> io::Result<NamedTempFile> {
    let mode = if file.access == Access::Private { 0o600 } else { 0o666 };
    let mut temporary = tempfile::Builder::new()
        .prefix(".sealops-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(&target_of(file)))?;
    if let Some(replaced) = replaced {
        // Root works on a user's files, too. Who may not give files away keeps what he writes.
        let ours = temporary.as_file().metadata()?;
        if (ours.uid(), ours.gid()) != (replaced.uid(), replaced.gid()) {
            let _ = fchown(temporary.as_file(), Some(replaced.uid()), Some(replaced.gid()));
        }
        if file.access == Access::Public {
            temporary.as_file().set_permissions(replaced.permissions())?;
        }
    }
    temporary.write_all(file.content)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn write_into(file: &NewFile<'_>) -> io::Result<()> {
    OpenOptions::new().write(true).open(&file.path)?.write_all(file.content)
}

/// A public file may be a link to the real one; a private one replaces the link.
fn target_of(file: &NewFile<'_>) -> PathBuf {
    match file.access {
        Access::Public => fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone()),
        Access::Private => file.path.clone(),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and those above it.
pub(crate) fn create_folder(path: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(path).map_err(|error| failure("create", path, &error))
}

/// Reads a file of at most `limit` bytes into wiped memory.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Plaintext, CommandError> {
    let fail = |error: io::Error| failure("open", path, &error);
    read_from(File::open(path).map_err(fail)?, limit)
        .map_err(fail)?
        .ok_or_else(|| too_large(&path.display().to_string(), limit))
}

/// Returns the files of a folder by name, without hidden ones and without those of folders in it.
pub(crate) fn list(folder: &Path, most: usize) -> Result<Vec<PathBuf>, CommandError> {
    let fail = |error: io::Error| failure("open", folder, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Mounted Secrets are links.
        if !is_hidden && entry.path().is_file() {
            found.push(entry.path());
        }
        if found.len() > most {
            return Err(CommandError::input(format!(
                "{}: there are more than {most} files",
                folder.display()
            )));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads to the end; `None` where there are more than `limit` bytes.
pub(crate) fn read_from(mut source: impl Read, limit: usize) -> io::Result<Option<Plaintext>> {
    let mut text = Plaintext::default();
    let mut chunk = Zeroizing::new(vec![0; 64 << 10]);
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(Some(text)),
            Ok(count) if text.len() + count > limit => return Ok(None),
            Ok(count) => text.push(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn too_large(name: &str, limit: usize) -> CommandError {
    CommandError::input(format!("{name}: the input is larger than {} MiB", limit >> 20))
}

fn failure(verb: &str, path: &Path, error: &io::Error) -> CommandError {
    CommandError::input(format!("{verb} {}: {}", path.display(), io_text(error)))
}

/// Returns the cause of an I/O error, in the words that Go's tools use.
pub(crate) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase(),
    }
}

/// Refuses to put plaintext where git would pick it up.
pub(crate) fn refuse_tracked(path: &Path) -> Result<(), CommandError> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !absolute.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(());
    }
    let existing = absolute.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let ignored = Command::new("git")
        .arg("-C")
        .arg(existing)
        .args(["check-ignore", "-q", "--"])
        .arg(&absolute)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if ignored {
        return Ok(());
    }
    Err(CommandError::input(format!("{} lies in a git work tree and is not ignored", path.display()))
        .hint(format!("echo '{}' >> .gitignore", path.display()))
        .hint("--force writes it all the same"))
}
