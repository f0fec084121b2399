//! What the process was given: the one place from which the modules here learn it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The environment, as an argument.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// Takes the variables; `std::env::vars_os()` for those of the process.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(variables: impl IntoIterator<Item = (K, V)>) -> Self {
        Self { variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// Returns a variable.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Returns a variable that is not empty.
    pub fn set_variable(&self, name: &str) -> Option<&OsStr> {
        self.variable(name).filter(|value| !value.is_empty())
    }

    /// Returns all variables, for a child.
    pub fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Returns the home folder as Go finds it.
    pub fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        self.set_variable(name).map(PathBuf::from)
    }

    /// Returns the folder of the user's settings as SOPS finds it.
    pub fn config_folder(&self) -> Option<PathBuf> {
        let xdg = || self.set_variable("XDG_CONFIG_HOME").map(PathBuf::from);
        if cfg!(windows) {
            return self.set_variable("AppData").map(PathBuf::from);
        }
        if cfg!(target_os = "macos") {
            return xdg().or_else(|| Some(self.home()?.join("Library/Application Support")));
        }
        // Go takes no relative folder.
        match xdg() {
            Some(folder) => folder.is_absolute().then_some(folder),
            None => Some(self.home()?.join(".config")),
        }
    }
}

/// Prints names only: values hold keys.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
