//! Whether a file is still the one that a command began with: nothing that somebody else wrote meanwhile is lost.
//!
//! A change is seen by inode, size and modification time. A file that changed so lately that its time proves nothing is
//! compared by its content as well (as git does with its index). Our own processes exclude each other by a lock on the
//! file that is replaced, so that of two only one finds it unchanged.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

/// Modification times are kept to two seconds on the coarsest file systems.
const COARSE: Duration = Duration::from_secs(3);
/// Longest wait for another process that is replacing the file.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A file at one moment; also one that was not there.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    path: PathBuf,
    identity: Option<Identity>,
    content: Option<(RandomState, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

impl Snapshot {
    /// Looks at the file behind a name and its links. Comes before reading it.
    pub(crate) fn of(path: &Path) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let identity = Identity::of(&path);
        let modified = fs::metadata(&path).and_then(|found| found.modified());
        let lately = modified.is_ok_and(|modified| {
            SystemTime::now().duration_since(modified).map_or(true, |age| age < COARSE)
        });
        let content = lately.then(RandomState::new).and_then(|state| {
            let hash = state.hash_one(fs::read(&path).map(zeroize::Zeroizing::new).ok()?.as_slice());
            Some((state, hash))
        });
        Self { path, identity, content }
    }

    /// Returns the file, behind its links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether there was a file.
    pub(crate) fn existed(&self) -> bool {
        self.identity.is_some()
    }

    /// Returns whether the file is as it was.
    pub(crate) fn is_unchanged(&self) -> bool {
        let same_content = || {
            self.content.as_ref().is_none_or(|(state, hash)| {
                let now = fs::read(&self.path).map(zeroize::Zeroizing::new);
                now.is_ok_and(|now| state.hash_one(now.as_slice()) == *hash)
            })
        };
        Identity::of(&self.path) == self.identity && same_content()
    }
}

/// Keeps our other processes from replacing a file until it is dropped. `None` where the file or its file system has no
/// locks: then the comparison alone has to do.
pub(crate) fn lock(path: &Path) -> io::Result<Option<File>> {
    let Ok(file) = File::open(path) else { return Ok(None) };
    let mut waited = Duration::ZERO;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(error) if io::Error::from(error).kind() != ErrorKind::WouldBlock => return Ok(None),
            Err(_) if waited >= LOCK_PATIENCE => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "another process holds it"));
            }
            Err(_) => {
                thread::sleep(LOCK_PAUSE);
                waited += LOCK_PAUSE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_every_way_to_change_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let absent = Snapshot::of(&path);
        assert!(absent.is_unchanged() && !absent.existed());
        fs::write(&path, "one").unwrap();
        assert!(!absent.is_unchanged());
        let seen = Snapshot::of(&path);
        assert!(seen.is_unchanged());
        // The same size, the same inode, and the same time.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(!seen.is_unchanged());
        let old = SystemTime::now() - COARSE * 10;
        File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        let seen = Snapshot::of(&path);
        assert!(seen.content.is_none() && seen.is_unchanged());
        fs::copy(&path, folder.path().join("b")).unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert!(!seen.is_unchanged(), "another inode");
    }

    #[test]
    fn a_lock_excludes_and_ends_with_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = lock(file.path()).unwrap().unwrap();
        let path = file.path().to_owned();
        let second = thread::spawn(move || lock(&path).unwrap().is_some());
        thread::sleep(LOCK_PAUSE * 4);
        assert!(!second.is_finished());
        drop(held);
        assert!(second.join().unwrap());
    }
}
