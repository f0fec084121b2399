//! From an edited text to an encrypted one, as often as it takes.

use std::path::PathBuf;

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{ClearFile, DataKey, EncryptedFile, EncryptionSettings, KeyGroups, OpenFile};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Format, has_metadata};

use super::Edition;
use crate::error::CommandError;
use crate::sops::audit::Action;
use crate::sops::encrypt::{self, Plan};
use crate::sops::open::{self, Source};
use crate::sops::session::Session;
use crate::sops::threads::Threads;
use crate::sops::{code, decrypt, words};

/// Everything that encrypting needs, independent of what the text becomes.
pub(super) struct Attempt {
    name: PathBuf,
    input: Format,
    output: Format,
    /// What the editor shows.
    shown: Plaintext,
    key: DataKey,
    groups: KeyGroups,
    origin: Origin,
}

enum Origin {
    /// The encrypted text that is edited.
    File { text: Plaintext, ignore_mac: bool, show_master_keys: bool },
    /// There is none yet.
    New(EncryptionSettings),
}

impl Attempt {
    pub(super) fn prepare(session: &Session, edition: &Edition) -> Result<Self, CommandError> {
        let (input, output) = edition.types.of(&edition.path);
        let layout = session.layout(output, Some(&edition.path))?;
        if !edition.path.exists() {
            return Self::new_file(session, edition, input, output);
        }
        let source = Source::File(edition.path.clone());
        let text = source.read()?;
        let file = open::parse(&text, input)?;
        let groups = file.metadata().key_groups.clone();
        let opened = open::open(session, &source, file, edition.ignore_mac)?;
        let key = opened.data_key().duplicate();
        let shown = if edition.show_master_keys {
            let tree = opened.into_tree_with_metadata(output).map_err(|error| {
                CommandError::code(code::EMIT, format!("Could not marshal tree: {error}"))
            })?;
            decrypt::plain_text(&tree, output.envelope(), &layout)?
        } else {
            decrypt::plain_text(opened.tree(), output, &layout)?
        };
        let origin =
            Origin::File { text, ignore_mac: edition.ignore_mac, show_master_keys: edition.show_master_keys };
        Ok(Self { name: edition.path.clone(), input, output, shown, key, groups, origin })
    }

    fn new_file(
        session: &Session,
        edition: &Edition,
        input: Format,
        output: Format,
    ) -> Result<Self, CommandError> {
        let Plan { groups, settings } = encrypt::plan(session, &edition.choice, &edition.path, input)?;
        let layout = session.layout(output, Some(&edition.path))?;
        let sample = tree::emit_example(input, &layout)
            .map_err(|error| CommandError::code(code::EMIT, format!("Could not marshal tree: {error}")))?;
        let shown = decrypt::plain_text(&encrypt::parse_plain(sample, input)?, output, &layout)?;
        let (key, groups) = encrypt::new_key(session, groups).map_err(|error| {
            CommandError::code(
                code::NO_KEY,
                error.error.replace(
                    "Could not generate data key:",
                    "Error encrypting the data key with one or more master keys:",
                ),
            )
        })?;
        let name = edition.path.clone();
        Ok(Self { name, input, output, shown, key, groups, origin: Origin::New(settings) })
    }

    pub(super) fn shown(&self) -> &Plaintext {
        &self.shown
    }

    pub(super) fn key(&self) -> DataKey {
        self.key.duplicate()
    }

    pub(super) fn groups(&self) -> KeyGroups {
        self.groups.clone()
    }

    /// Returns the encrypted text for an edited one.
    pub(super) fn seal(&self, session: &Session, edited: &Plaintext) -> Result<Plaintext, CommandError> {
        match &self.origin {
            Origin::New(settings) => {
                let clear = encrypt::clear_file(edited.duplicate(), self.input, self.output)?;
                let keys = (&self.key, self.groups.clone());
                session.audit.record_file(Action::Encrypt, &self.name)?;
                encrypt::encrypt(session, clear, keys, settings, self.output, &self.name)
            }
            Origin::File { text, ignore_mac, show_master_keys } => {
                let original = open::parse(text, self.input)?;
                let key = self.key.duplicate();
                let opened = if *ignore_mac {
                    original.open_unverified(key, &Threads)
                } else {
                    original.open(key, &Threads)
                };
                let opened = opened.map_err(|error| open::open_error(&error))?;
                if *show_master_keys {
                    self.seal_with_metadata(session, opened, edited)
                } else {
                    self.seal_values(session, opened, edited)
                }
            }
        }
    }

    fn seal_values(
        &self,
        session: &Session,
        mut opened: OpenFile,
        edited: &Plaintext,
    ) -> Result<Plaintext, CommandError> {
        let tree = encrypt::parse_plain(edited.duplicate(), self.input)?;
        match tree.documents.first() {
            None => return Err(CommandError::code(code::NO_DOCUMENT, words::NO_DOCUMENT)),
            Some(document) if has_metadata(self.output, document) => {
                return Err(CommandError::code(code::ALREADY_ENCRYPTED, words::already_encrypted()));
            }
            Some(_) => {}
        }
        opened.replace_tree(tree);
        self.finish(session, opened)
    }

    /// The text is an encrypted file with readable values: keys and selectors may have been edited, too.
    fn seal_with_metadata(
        &self,
        session: &Session,
        mut opened: OpenFile,
        edited: &Plaintext,
    ) -> Result<Plaintext, CommandError> {
        let invalid = |error: CommandError| error.within("SOPS metadata is invalid");
        let edited = open::parse(edited, self.input).map_err(invalid)?;
        let metadata = edited.metadata().clone();
        if metadata.key_groups.keys().count() == 0 {
            return Err(CommandError::input("No master keys were provided, so sops can't encrypt the file."));
        }
        let before = opened.metadata();
        let same_keys = before.key_groups.threshold == metadata.key_groups.threshold
            && !before
                .key_groups
                .diff(&metadata.key_groups)
                .iter()
                .any(sealops_crypto::sops::GroupDiff::changes);
        let groups = if same_keys {
            before.key_groups.clone()
        } else {
            let now = session.now()?;
            session
                .keyring
                .wrap(&self.key, metadata.key_groups, &now)
                .map_err(|error| encrypt::wrap_error(&error))?
        };
        let same_settings =
            before.selector == metadata.selector && before.mac_only_encrypted == metadata.mac_only_encrypted;
        let tree = edited.into_values();
        if same_settings {
            opened.replace_tree(tree);
            opened.replace_groups(groups);
            return self.finish(session, opened);
        }
        let settings = EncryptionSettings {
            selector: metadata.selector,
            mac_only_encrypted: metadata.mac_only_encrypted,
        };
        let clear = ClearFile::new(tree, self.input).map_err(CommandError::input)?;
        session.audit.record_file(Action::Encrypt, &self.name)?;
        encrypt::encrypt(session, clear, (&self.key, groups), &settings, self.output, &self.name)
    }

    fn finish(&self, session: &Session, mut opened: OpenFile) -> Result<Plaintext, CommandError> {
        opened.raise_version();
        session.audit.record_file(Action::Encrypt, &self.name)?;
        let file: EncryptedFile = opened
            .seal(&mut SystemRandom, &session.now()?, &Threads)
            .map_err(|error| encrypt::encrypt_error(&error))?;
        open::encrypted_text(session, file, self.output, Some(&self.name))
    }
}
