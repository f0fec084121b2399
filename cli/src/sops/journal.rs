//! Which files of a command are done already, for `--resume`: names, sizes and times, in `$XDG_STATE_HOME/sealops`.
//!
//! A file counts as done while it is as the command left it. The journal belongs to one command: its verb, flags and
//! files. It goes when everything is done.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::session::absolute;

/// Largest journal that is read, in bytes: 100,000 files with long names.
const MAX_JOURNAL_BYTES: u64 = 64 << 20;

/// The journal of one command.
pub(crate) struct Journal {
    path: PathBuf,
    done: HashMap<PathBuf, Seen>,
    file: Mutex<File>,
}

/// How a file was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    seen: Seen,
}

impl Seen {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            inode: found.ino(),
            size: found.size(),
            seconds: found.mtime(),
            nanoseconds: found.mtime_nsec(),
        })
    }
}

impl Journal {
    /// Opens the journal of a command; without `resume` it begins anew. `None` where there is no place for one.
    pub(crate) fn open(command: &str, files: &[PathBuf], resume: bool) -> Option<Self> {
        let folder = folder()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        let mut hasher = DefaultHasher::new();
        let mut paths: Vec<PathBuf> = files.iter().map(|path| absolute(path)).collect();
        paths.sort();
        (command, paths).hash(&mut hasher);
        let path = folder.join(format!("{:016x}.journal", hasher.finish()));
        let done = if resume { read(&path) } else { HashMap::new() };
        let mut options = OpenOptions::new();
        options.create(true).mode(0o600);
        let file = if resume { options.append(true) } else { options.write(true).truncate(true) };
        Some(Self { file: Mutex::new(file.open(&path).ok()?), path, done })
    }

    /// Returns whether an earlier run did this file, and nobody has touched it since.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let path = absolute(path);
        self.done.get(&path).is_some_and(|seen| Seen::of(&path) == Some(*seen))
    }

    /// Notes that a file is done. A journal that cannot be written costs only time.
    pub(crate) fn note(&self, path: &Path) {
        let path = absolute(path);
        let Some(seen) = Seen::of(&path) else { return };
        if let Ok(line) = serde_json::to_string(&Line { path, seen }) {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Everything is done.
    pub(crate) fn remove(self) {
        let _ = fs::remove_file(self.path);
    }
}

fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Some(state?.join("sealops"))
}

/// Of two lines for a file the later one counts; one that a crash cut off does not.
fn read(path: &Path) -> HashMap<PathBuf, Seen> {
    let small = fs::metadata(path).is_ok_and(|found| found.len() <= MAX_JOURNAL_BYTES);
    let text = if small { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let lines =
        text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    lines.map(|line| (line.path, line.seen)).collect()
}
