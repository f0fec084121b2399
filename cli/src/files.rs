//! Every file that is read or written goes through here.

mod snapshot;

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::Errno;
use sealops_formats::Plaintext;
use tempfile::TempPath;

pub(crate) use self::snapshot::Snapshot;
use crate::error::CommandError;
use crate::interrupt::Interrupt;

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

/// What a target has to be, still, when it is replaced.
#[derive(Clone, Copy)]
pub(crate) enum Before<'a> {
    Anything,
    /// As it was seen.
    Seen(&'a Snapshot),
    /// A file with this content.
    Text(&'a Plaintext),
}

/// Writes files: all are written beside their targets and synced first, then all are renamed over them. A failure leaves
/// nothing behind, and no target changed unless a rename itself fails.
pub(crate) fn write(files: &[NewFile<'_>]) -> Result<(), CommandError> {
    write_all(files.iter().map(|file| (file, Before::Anything)), None)
}

/// As [`write()`], where each target is as it has to be, and unless a signal comes before the first is replaced.
pub(crate) fn write_over(
    files: &[(NewFile<'_>, Before<'_>)],
    interrupt: Option<&Interrupt>,
) -> Result<(), CommandError> {
    write_all(files.iter().map(|(file, before)| (file, *before)), interrupt)
}

fn write_all<'a>(
    files: impl Iterator<Item = (&'a NewFile<'a>, Before<'a>)>,
    interrupt: Option<&Interrupt>,
) -> Result<(), CommandError> {
    let mut staged = Vec::new();
    for (file, before) in files {
        interrupt.map_or(Ok(()), Interrupt::check)?;
        let fail = |error: io::Error| failure("write", &file.path, &error);
        match fs::metadata(&file.path) {
            // Devices and pipes, such as /dev/stdout, cannot be replaced.
            Ok(found) if !found.is_file() => write_into(file).map_err(fail)?,
            found => staged.push((stage(file, found.ok()).map_err(fail)?, file, before)),
        }
    }
    for (_, file, before) in &staged {
        check(file, *before)?;
    }
    interrupt.map_or(Ok(()), Interrupt::check)?;
    for (temporary, file, before) in staged {
        put(temporary, file, before)?;
    }
    Ok(())
}

/// Fails where the target is not what it has to be.
fn check(file: &NewFile<'_>, before: Before<'_>) -> Result<(), CommandError> {
    let unchanged = match before {
        Before::Anything => true,
        Before::Seen(seen) => seen.is_unchanged(),
        Before::Text(text) => fs::read(&file.path).is_ok_and(|now| text.ct_eq(&Plaintext::from(now))),
    };
    if unchanged { Ok(()) } else { Err(changed(&file.path)) }
}

fn changed(path: &Path) -> CommandError {
    CommandError::input("the file changed meanwhile; nothing was written")
        .within(path.display())
        .hint("somebody else wrote it: look at it, and do it again")
}

/// Renames the new file over its target, while no other process of ours does.
fn put(temporary: TempPath, file: &NewFile<'_>, before: Before<'_>) -> Result<(), CommandError> {
    let fail = |error: &io::Error| failure("write", &file.path, error);
    let target = target_of(file);
    let folder = folder_of(&target).to_owned();
    let _lock = match before {
        Before::Anything => None,
        Before::Seen(_) | Before::Text(_) => snapshot::lock(&target).map_err(|error| fail(&error))?,
    };
    check(file, before)?;
    let persisted = match before {
        Before::Seen(seen) if !seen.existed() => persist_new(temporary, &target),
        _ => temporary.persist(&target).map_err(|error| error.error),
    };
    persisted.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => changed(&file.path),
        _ => fail(&error),
    })?;
    sync_folder(&folder).map_err(|error| fail(&error))
}

/// Renames without replacing, where the file system can do that; else the check before has to do.
fn persist_new(temporary: TempPath, target: &Path) -> io::Result<()> {
    temporary.persist_noclobber(target).or_else(|error| match error.error.kind() {
        ErrorKind::AlreadyExists => Err(error.error),
        _ => error.path.persist(target).map_err(|error| error.error),
    })
}

/// Makes a rename last. Some file systems cannot, and some folders may not be opened: the file is whole there as well, old
/// or new.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied || has_no_sync(&error) => Ok(()),
        result => result,
    }
}

/// Network, user space and FAT file systems: there is no such call, or not for this.
fn has_no_sync(error: &io::Error) -> bool {
    let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::BADF];
    Errno::from_io_error(error).is_some_and(|error| unsupported.contains(&error))
}

/// The temporary file is opened with `O_EXCL`, so that it never follows a link, and removes itself when dropped. It is
/// closed, so that any number can wait.
fn stage(file: &NewFile<'_>, replaced: Option<Metadata>) -> io::Result<TempPath> {
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
    match temporary.as_file().sync_all() {
        Err(error) if !has_no_sync(&error) => return Err(error),
        _ => {}
    }
    Ok(temporary.into_temp_path())
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
    let file = File::open(path).map_err(fail)?;
    // Files of the kernel say 0.
    let size = file.metadata().map_err(fail)?.len();
    let room = usize::try_from(size).unwrap_or(limit).min(limit);
    // One byte more, in which the end is found.
    let text = if room == 0 { Plaintext::default() } else { Plaintext::with_capacity(room + 1) };
    read_onto(text, file, limit).map_err(fail)?.ok_or_else(|| too_large(&path.display().to_string(), limit))
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
pub(crate) fn read_from(source: impl Read, limit: usize) -> io::Result<Option<Plaintext>> {
    read_onto(Plaintext::default(), source, limit)
}

fn read_onto(mut text: Plaintext, mut source: impl Read, limit: usize) -> io::Result<Option<Plaintext>> {
    loop {
        match text.read_some(&mut source) {
            Ok(0) => return Ok(Some(text)),
            Ok(_) if text.len() > limit => return Ok(None),
            Ok(_) => {}
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
