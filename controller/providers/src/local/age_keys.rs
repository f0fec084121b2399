//! age identities, from every place where SOPS looks for them.
//!
//! All places are read and all identities offered; what could not be read is told only if nothing opens the key. The
//! places are read once for a process, the two commands once for a recipient (they are told which one is wanted).

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use age::{DecryptError, Identity};
use age_core::format::{FileKey, Stanza};
use sealops_crypto::age::{
    self as keys, AgeError, EncryptedSshKey, MAX_IDENTITY_BYTES, ParsedIdentity, Recipient, SshIdentity,
};
use sealops_formats::Plaintext;

use super::{Environment, Prompt, age_plugin, program, words};

/// An identity of any kind.
pub type AnyIdentity = Box<dyn Identity + Send + Sync>;

/// What the places gave.
#[derive(Default)]
struct Loaded {
    identities: Vec<AnyIdentity>,
    /// Places that held nothing.
    unused: Vec<String>,
    errors: Vec<String>,
}

pub(super) struct AgeKeys {
    environment: Arc<Environment>,
    prompt: Arc<dyn Prompt>,
    without_commands: OnceLock<Arc<Loaded>>,
    by_recipient: Mutex<HashMap<String, Arc<Loaded>>>,
}

impl AgeKeys {
    pub(super) fn new(environment: Arc<Environment>, prompt: Arc<dyn Prompt>) -> Self {
        Self { environment, prompt, without_commands: OnceLock::new(), by_recipient: Mutex::default() }
    }

    pub(super) fn wrap(&self, recipient: &str, part: &Plaintext) -> Result<String, String> {
        match Recipient::parse(recipient).map_err(|error| error.to_string())? {
            Recipient::Native(native) => {
                keys::encrypt(native.as_ref(), part).map_err(|error| error.to_string())
            }
            Recipient::Plugin { name } => age_plugin::encrypt(&name, recipient, part, &self.prompt),
        }
    }

    pub(super) fn unwrap(&self, recipient: &str, wrapped: &str) -> Result<Plaintext, String> {
        let loaded = self.load(recipient);
        if loaded.identities.is_empty() {
            return Err(format!("failed to load age identities{}", loaded.suffix()));
        }
        let identities = loaded.identities.iter().map(|identity| identity.as_ref() as &dyn Identity);
        keys::decrypt(wrapped.as_bytes(), identities).map_err(|error| {
            let error = match error {
                // The words of Go's age.
                AgeError::NoMatch if loaded.identities.len() == 1 => {
                    "identity did not match any of the recipients: incorrect identity for recipient block"
                        .to_owned()
                }
                other => other.to_string(),
            };
            format!(
                "failed to create reader for decrypting sops data key with age: {error}{}",
                loaded.suffix()
            )
        })
    }

    fn load(&self, recipient: &str) -> Arc<Loaded> {
        let commands = ["SOPS_AGE_SSH_PRIVATE_KEY_CMD", "SOPS_AGE_KEY_CMD"];
        let loader = || {
            let loader = Loader {
                environment: &self.environment,
                prompt: &self.prompt,
                recipient,
                loaded: Loaded::default(),
            };
            Arc::new(loader.run())
        };
        if commands.iter().all(|name| self.environment.variable(name).is_none()) {
            return Arc::clone(self.without_commands.get_or_init(loader));
        }
        let mut by_recipient = self.by_recipient.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_recipient.entry(recipient.to_owned()).or_insert_with(loader))
    }
}

impl Loaded {
    /// Returns what SOPS appends to its messages: errors, and places without keys.
    fn suffix(&self) -> String {
        let mut text = String::new();
        if !self.errors.is_empty() {
            text.push_str(". Errors while loading age identities: ");
            text.push_str(&self.errors.join("; "));
        }
        match self.unused.as_slice() {
            [] => {}
            [one] => text.push_str(&format!(". Did not find keys in location '{one}'.")),
            [one, two] => text.push_str(&format!(". Did not find keys in locations '{one}' and '{two}'.")),
            [all @ .., last] => {
                let all = all.join("', '");
                text.push_str(&format!(". Did not find keys in locations '{all}', and '{last}'."));
            }
        }
        text
    }
}

struct Loader<'a> {
    environment: &'a Environment,
    prompt: &'a Arc<dyn Prompt>,
    recipient: &'a str,
    loaded: Loaded,
}

impl Loader<'_> {
    fn run(mut self) -> Loaded {
        self.ssh_keys();
        let found = self.sources();
        for (location, text, several_per_line) in found {
            let before = self.loaded.identities.len();
            if let Err(error) = self.identity_text(&location, text, several_per_line) {
                self.loaded.errors.push(error);
            } else if self.loaded.identities.len() == before {
                self.loaded.unused.push(location);
            }
        }
        self.loaded
    }

    /// Reads SSH keys: a file, a command, and the two usual files.
    fn ssh_keys(&mut self) {
        const FILE: &str = "SOPS_AGE_SSH_PRIVATE_KEY_FILE";
        const COMMAND: &str = "SOPS_AGE_SSH_PRIVATE_KEY_CMD";
        match self.environment.variable(FILE).map(|path| Path::new(path).to_owned()) {
            Some(path) => self.ssh_file(&path),
            None => self.loaded.unused.push(FILE.to_owned()),
        }
        match self.environment.variable(COMMAND).map(|line| line.to_string_lossy().into_owned()) {
            Some(line) => match self.output_of(&line).and_then(|text| ssh_from_command(&text)) {
                Ok(identity) => self.loaded.identities.push(identity),
                Err(error) => self.loaded.errors.push(error),
            },
            None => self.loaded.unused.push(COMMAND.to_owned()),
        }
        match self.environment.home() {
            Some(home) => {
                for name in ["id_ed25519", "id_rsa"] {
                    let path = home.join(".ssh").join(name);
                    if path.exists() {
                        self.ssh_file(&path);
                    } else {
                        self.loaded.unused.push(path.display().to_string());
                    }
                }
            }
            None => self.loaded.errors.push("$HOME is not defined".to_owned()),
        }
    }

    fn ssh_file(&mut self, path: &Path) {
        let shown = path.display();
        let read = read_limited(path).map_err(|error| format!("failed to open file: {error}"));
        if let Err(error) = read.and_then(|text| self.ssh_key(&shown.to_string(), &text)) {
            self.loaded.errors.push(error);
        }
    }

    fn ssh_key(&mut self, location: &str, text: &Plaintext) -> Result<(), String> {
        let parsed = keys::parse_ssh_identity(text)
            .map_err(|error| format!("malformed SSH identity in {location:?}: {error}"))?;
        self.loaded.identities.push(match parsed {
            SshIdentity::Ready(identity) => identity,
            SshIdentity::Encrypted(key) => Box::new(LockedSshKey {
                key,
                question: format!("Enter passphrase for {location:?}:"),
                prompt: Arc::clone(self.prompt),
                opened: OnceLock::new(),
            }),
        });
        Ok(())
    }

    /// Returns the texts of all places: where, what, and whether a line may hold several identities.
    fn sources(&mut self) -> Vec<(String, Plaintext, bool)> {
        let mut found = Vec::new();
        let variable = |name: &str| self.environment.variable(name).map(std::ffi::OsStr::to_owned);
        match variable("SOPS_AGE_KEY") {
            Some(text) => {
                found.push(("SOPS_AGE_KEY".to_owned(), Plaintext::from(text.as_encoded_bytes()), true));
            }
            None => self.loaded.unused.push("SOPS_AGE_KEY".to_owned()),
        }
        match variable("SOPS_AGE_KEY_FILE") {
            Some(path) => match read_limited(Path::new(&path)) {
                Ok(text) => found.push(("SOPS_AGE_KEY_FILE".to_owned(), text, false)),
                Err(error) => {
                    self.loaded.errors.push(format!("failed to open SOPS_AGE_KEY_FILE file: {error}"));
                }
            },
            None => self.loaded.unused.push("SOPS_AGE_KEY_FILE".to_owned()),
        }
        match variable("SOPS_AGE_KEY_CMD") {
            Some(line) => match self.output_of(&line.to_string_lossy()) {
                Ok(text) => found.push(("SOPS_AGE_KEY_CMD".to_owned(), text, false)),
                Err(error) => self.loaded.errors.push(error),
            },
            None => self.loaded.unused.push("SOPS_AGE_KEY_CMD".to_owned()),
        }
        let nothing_yet = found.is_empty() && self.loaded.identities.is_empty();
        match self.environment.config_folder().map(|folder| folder.join("sops/age/keys.txt")) {
            Some(path) => match read_limited(&path) {
                Ok(text) => found.push((path.display().to_string(), text, false)),
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    self.loaded.errors.push(format!("failed to open file: {error}"));
                }
                Err(_) if nothing_yet => self.loaded.unused.push(path.display().to_string()),
                Err(_) => {}
            },
            None if nothing_yet => {
                let error = "user config directory could not be determined: neither $XDG_CONFIG_HOME nor $HOME are defined";
                self.loaded.errors.push(error.to_owned());
            }
            None => {}
        }
        found
    }

    fn identity_text(
        &mut self,
        location: &str,
        text: Plaintext,
        several_per_line: bool,
    ) -> Result<(), String> {
        if keys::is_encrypted_identity_file(&text) {
            self.loaded.identities.push(Box::new(LockedFile {
                text,
                location: location.to_owned(),
                environment: self.environment.clone(),
                prompt: Arc::clone(self.prompt),
                opened: OnceLock::new(),
            }));
            return Ok(());
        }
        let fail = |error: String| format!("failed to parse '{location}' age identities: {error}");
        let parsed =
            keys::parse_identities(&text, several_per_line).map_err(|error| fail(error.to_string()))?;
        self.loaded.identities.extend(usable(parsed, self.prompt).map_err(fail)?);
        Ok(())
    }

    /// Runs one of the two commands; it learns for which recipient an identity is wanted.
    fn output_of(&self, line: &str) -> Result<Plaintext, String> {
        let words = words::split(line).filter(|words| !words.is_empty());
        let words = words
            .ok_or_else(|| "failed to parse command: it is empty or a quote is not closed".to_owned())?;
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        let recipient = [("SOPS_AGE_RECIPIENT", self.recipient)];
        let name = &words[0];
        let output =
            program::run(name.as_ref(), &arguments, self.environment, &recipient, &Plaintext::default())
                .map_err(|error| format!("failed to execute command {name}: {error}"))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(format!("failed to execute command {name}: {}", output.status))
        }
    }
}

fn ssh_from_command(text: &Plaintext) -> Result<AnyIdentity, String> {
    match keys::parse_ssh_identity(text) {
        Ok(SshIdentity::Ready(identity)) => Ok(identity),
        Ok(SshIdentity::Encrypted(_)) => {
            Err("the SSH key returned by running SOPS_AGE_SSH_PRIVATE_KEY_CMD is \
            password protected, which is unsupported."
                .to_owned())
        }
        Err(error) => {
            Err(format!("malformed SSH identity returned by running SOPS_AGE_SSH_PRIVATE_KEY_CMD: {error}"))
        }
    }
}

/// Makes a recipient of any kind that SOPS knows usable: X25519, post-quantum, SSH, plugins.
///
/// # Errors
/// Returns what is wrong with it, in SOPS's words.
pub fn age_recipient(
    text: &str,
    prompt: &Arc<dyn Prompt>,
) -> Result<Box<dyn age::Recipient + Send + Sync>, String> {
    match Recipient::parse(text).map_err(|error| error.to_string())? {
        Recipient::Native(native) => Ok(native),
        Recipient::Plugin { name } => age_plugin::recipient(&name, text.trim(), prompt),
    }
}

/// Reads the identities of a file of any kind: lines with keys or plugins' keys, the same under a passphrase, or one SSH key.
///
/// # Errors
/// Returns what is wrong with it, never a part of it.
pub fn age_identities(
    location: &str,
    text: Plaintext,
    environment: &Environment,
    prompt: &Arc<dyn Prompt>,
) -> Result<Vec<AnyIdentity>, String> {
    let mut loader = Loader { environment, prompt, recipient: "", loaded: Loaded::default() };
    let is_ssh = text.expose().trim_ascii_start().starts_with(b"-----BEGIN")
        && !keys::is_encrypted_identity_file(&text);
    if is_ssh {
        loader.ssh_key(location, &text)?;
    } else {
        loader.identity_text(location, text, false)?;
    }
    Ok(loader.loaded.identities)
}

/// Connects plugins with their programs.
fn usable(parsed: Vec<ParsedIdentity>, prompt: &Arc<dyn Prompt>) -> Result<Vec<AnyIdentity>, String> {
    parsed
        .into_iter()
        .map(|identity| match identity {
            ParsedIdentity::Native(native) => Ok(native),
            ParsedIdentity::Plugin { name, identity } => age_plugin::identity(&name, &identity, prompt),
        })
        .collect()
}

/// Reads a file with keys, up to a limit.
pub(super) fn read_limited(path: &Path) -> std::io::Result<Plaintext> {
    let file = std::fs::File::open(path)
        .map_err(|error| std::io::Error::new(error.kind(), format!("open {}: {error}", path.display())))?;
    let mut text = Plaintext::default();
    let limit = u64::try_from(MAX_IDENTITY_BYTES).unwrap_or(u64::MAX);
    std::io::copy(&mut file.take(limit + 1), &mut text)?;
    if text.len() > MAX_IDENTITY_BYTES {
        return Err(std::io::Error::other(format!("{}: file too long", path.display())));
    }
    Ok(text)
}

/// An SSH key under a passphrase, which is asked for when a message is for it.
struct LockedSshKey {
    key: EncryptedSshKey,
    question: String,
    prompt: Arc<dyn Prompt>,
    opened: OnceLock<Option<AnyIdentity>>,
}

impl Identity for LockedSshKey {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if !self.key.matches(stanza) {
            return None;
        }
        let open = || self.key.decrypt(&self.prompt.passphrase(&self.question)?).ok();
        match self.opened.get_or_init(open) {
            Some(identity) => identity.unwrap_stanza(stanza),
            None => Some(Err(DecryptError::KeyDecryptionFailed)),
        }
    }
}

/// An identity file under a passphrase, which is asked for once, when the file's identities are tried.
struct LockedFile {
    text: Plaintext,
    location: String,
    environment: Environment,
    prompt: Arc<dyn Prompt>,
    opened: OnceLock<Option<Vec<AnyIdentity>>>,
}

impl LockedFile {
    /// Asks gpg-agent, which may know the passphrase, or else the person. The agent forgets a wrong one.
    fn decrypt(&self, question: &str) -> Option<Plaintext> {
        #[cfg(unix)]
        if let Some(mut agent) = super::agent::Agent::connect(&self.environment) {
            let cache_id = keys::passphrase_cache_id(&self.text);
            let passphrase = agent.passphrase(&cache_id, question)?;
            let text = keys::decrypt_identity_file(&self.text, &passphrase).ok();
            if text.is_none() {
                agent.forget(&cache_id);
            }
            return text;
        }
        keys::decrypt_identity_file(&self.text, &self.prompt.passphrase(question)?).ok()
    }

    fn open(&self) -> Option<Vec<AnyIdentity>> {
        let question = format!("Enter passphrase for identity '{}':", self.location);
        let text = self.decrypt(&question)?;
        usable(keys::parse_identities(&text, false).ok()?, &self.prompt).ok()
    }
}

impl Identity for LockedFile {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let Some(identities) = self.opened.get_or_init(|| self.open()) else {
            return Some(Err(DecryptError::KeyDecryptionFailed));
        };
        let unwrapped = identities.iter().find_map(|identity| identity.unwrap_stanzas(stanzas));
        if unwrapped.is_none() {
            self.prompt
                .message(&format!("encrypted identity '{}' didn't match file's recipients", self.location));
        }
        unwrapped
    }
}
