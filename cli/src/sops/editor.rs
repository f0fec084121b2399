//! The user's editor.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// A command line that opens a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Editor {
    words: Vec<OsString>,
}

/// What is tried without a variable.
const KNOWN: [&str; 3] = ["vim", "nano", "vi"];

impl Editor {
    /// Returns the editor of `$SOPS_EDITOR`, of `$EDITOR`, or the first that is installed.
    ///
    /// # Errors
    /// Returns why there is none.
    pub(crate) fn from_environment() -> Result<Self, String> {
        for name in ["SOPS_EDITOR", "EDITOR"] {
            let Some(line) = env::var_os(name).filter(|line| !line.is_empty()) else { continue };
            let words = line.to_str().and_then(split).filter(|words| !words.is_empty());
            let words = words.ok_or_else(|| format!("invalid ${name}: {}", line.to_string_lossy()))?;
            return Ok(Self { words: words.into_iter().map(OsString::from).collect() });
        }
        let found = KNOWN.iter().find_map(|name| find_program(name));
        found.map(|path| Self { words: vec![path.into_os_string()] }).ok_or_else(|| {
            "no editor available: SOPS_EDITOR and EDITOR are not set, and none of vim, nano, vi is installed".to_owned()
        })
    }

    /// Opens a file and waits.
    ///
    /// # Errors
    /// Returns why the program cannot be started.
    pub(crate) fn run(&self, path: &Path) -> io::Result<ExitStatus> {
        Command::new(&self.words[0]).args(&self.words[1..]).arg(path).status()
    }
}

/// Never one of the current folder: an empty part of `PATH` does not count.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(
        |file| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0),
    )
}

/// Splits a line as a shell does, without expanding anything; `None` for a quote that is not closed.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut open) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
                continue;
            }
            '#' if !open => {
                while letters.next_if(|letter| *letter != '\n').is_some() {}
                continue;
            }
            '\'' => loop {
                match letters.next()? {
                    '\'' => break,
                    letter => word.push(letter),
                }
            },
            '"' => loop {
                match letters.next()? {
                    '"' => break,
                    '\\' => word.push(letters.next()?),
                    letter => word.push(letter),
                }
            },
            '\\' => word.push(letters.next()?),
            letter => word.push(letter),
        }
        open = true;
    }
    if open {
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn splits_as_a_shell() {
        for (line, words) in [
            ("vi", &["vi"][..]),
            ("  code  --wait ", &["code", "--wait"]),
            (r#"e "a b" 'c "d' e\ f"#, &["e", "a b", "c \"d", "e f"]),
            (r#"e "a\"b" '' # comment"#, &["e", "a\"b", ""]),
            ("e a#b", &["e", "a#b"]),
            ("", &[]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for bad in ["e 'a", "e \"a", "e \\"] {
            assert!(split(bad).is_none(), "{bad}");
        }
    }
}
