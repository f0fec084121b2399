//! A folder for plaintext that others must see as a file: an editor, a command.
//!
//! It has mode 0700, lies in memory (`$XDG_RUNTIME_DIR`, `/dev/shm`, `$TMPDIR`, `/tmp`, whichever of them is a tmpfs
//! first), and goes with its value on every way out but SIGKILL. What that leaves goes with the next one: each folder is
//! locked as long as its process lives.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// A private folder, removed with its value.
pub(crate) struct Workplace {
    folder: TempDir,
    in_memory: bool,
    /// Open and locked; `None` where the file system has no locks.
    _lock: Option<File>,
}

/// Begins the names of all such folders.
const PREFIX: &str = "sealops-plain-";

impl Workplace {
    /// Makes the folder.
    ///
    /// # Errors
    /// Fails where no place takes a folder.
    pub(crate) fn new() -> io::Result<Self> {
        places().for_each(|place| clean(&place));
        for place in places().filter(|place| is_in_memory(place)) {
            if let Ok(folder) = make_in(&place) {
                return Ok(Self::of(folder, true));
            }
        }
        Ok(Self::of(make_in(&env::temp_dir())?, false))
    }

    fn of(folder: TempDir, in_memory: bool) -> Self {
        let lock = lock(folder.path());
        Self { folder, in_memory, _lock: lock }
    }

    /// Returns whether the folder is in memory; else a crash leaves plaintext on a disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.in_memory
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of mode 0600 and returns its path.
    ///
    /// # Errors
    /// Returns why it cannot be written.
    pub(crate) fn write(&self, name: &OsStr, content: &[u8]) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(content)?;
        Ok(path)
    }

    /// Removes the folder with all that an editor has put there.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_dir_all(self.path());
    }
}

fn places() -> impl Iterator<Item = PathBuf> {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    runtime.into_iter().chain([PathBuf::from("/dev/shm"), env::temp_dir()])
}

fn is_in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| {
        #[allow(clippy::useless_conversion, reason = "the type of f_type differs between platforms")]
        i64::try_from(found.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind))
    })
}

/// Locks a folder; `None` where another process has it, or it has no locks.
fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    flock(&folder, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(folder)
}

/// Removes this user's folders whose processes are gone. One that is still empty may be about to be locked.
fn clean(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let path = entry.path();
        let ours = fs::symlink_metadata(&path).is_ok_and(|found| {
            found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
        });
        let holds_something = || fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some());
        if ours && holds_something() && lock(&path).is_some() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn make_in(place: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_with_its_value() {
        let place = Workplace::new().unwrap();
        let path = place.write(OsStr::new("x"), b"y").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o700);
        drop(place);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_nobody_holds_is_cleaned() {
        let top = tempfile::tempdir().unwrap();
        let make = |holds: bool| {
            let folder = make_in(top.path()).unwrap();
            if holds {
                fs::write(folder.path().join("x"), "y").unwrap();
            }
            folder
        };
        let (dead, live, empty, open) = (make(true), make(true), make(false), make(true));
        fs::set_permissions(open.path(), Permissions::from_mode(0o755)).unwrap();
        let other = top.path().join("sealops-notes");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("x"), "y").unwrap();
        let held = lock(live.path()).unwrap();
        clean(top.path());
        let there = [&dead, &live, &empty, &open].map(|folder| folder.path().exists());
        assert_eq!((there, other.exists()), ([false, true, true, true], true));
        drop(held);
        clean(top.path());
        assert!(!live.path().exists());
    }
}
