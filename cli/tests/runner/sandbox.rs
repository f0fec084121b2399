//! A folder, an empty environment, and the binary under its names.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use tempfile::TempDir;

pub(crate) struct Sandbox {
    folder: TempDir,
}

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Sandbox {
    /// Makes a folder with the two names of the binary and the keys of `testdata`.
    pub(crate) fn new() -> Self {
        Self::with_kubeseal(Path::new(env!("CARGO_BIN_EXE_sealops")))
    }

    /// As [`Sandbox::new`], with another program called kubeseal.
    pub(crate) fn with_kubeseal(kubeseal: &Path) -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(sandbox.path("bin")).unwrap();
        for name in ["sealops", "sops"] {
            symlink(env!("CARGO_BIN_EXE_sealops"), sandbox.path("bin").join(name)).unwrap();
        }
        symlink(kubeseal, sandbox.path("bin").join("kubeseal")).unwrap();
        let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/keys");
        symlink(fs::canonicalize(keys).unwrap(), sandbox.path("keys")).unwrap();
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `program ARGUMENTS` (split at blanks) in the folder.
    pub(crate) fn run(&self, line: &str, stdin: impl AsRef<[u8]>) -> Run {
        self.run_with(line, stdin, &[])
    }

    pub(crate) fn run_with(&self, line: &str, stdin: impl AsRef<[u8]>, variables: &[(&str, &str)]) -> Run {
        let mut words = line.split_whitespace();
        let mut child = Command::new(self.path("bin").join(words.next().unwrap()))
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", "/usr/bin:/bin")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let text = stdin.as_ref().to_vec();
        let writer = thread::spawn(move || drop(pipe.write_all(&text)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Returns every file with its content, without the fixtures.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let kind = path.symlink_metadata().unwrap().file_type();
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let name = path.strip_prefix(self.folder.path()).unwrap().display().to_string();
                    files.insert(name, fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

impl Run {
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    /// Checks for one clear error: exit code, nothing on stdout, and every part in the text.
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        assert_eq!(self.err.matches("error: ").count(), 1, "{}", self.err);
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {:?}", self.err);
        }
    }
}

/// Replaces every sealed value of an RSA-2048 key.
pub(crate) fn without_ciphertexts(text: &str) -> String {
    text.split_inclusive(['"', ' ', '\n'])
        .map(|word| {
            let value = word.trim_end_matches(['"', ' ', '\n']);
            if value.len() > 300 { word.replace(value, "SEALED") } else { word.to_owned() }
        })
        .collect()
}
