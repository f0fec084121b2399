//! `encrypt`: a plain file becomes an encrypted one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealops_crypto::random::SystemRandom;
use sealops_crypto::sops::{
    ClearFile, ClearFileError, DataKey, EncryptError, EncryptionSettings, KeyGroups, KeyKind, Selector,
    SelectorKind, TooManySelectors, Warning, WrapError,
};
use sealops_formats::Plaintext;
use sealops_formats::tree::{self, Format, Tree, has_metadata};

use super::audit::Action;
use super::open::{self, Source};
use super::output::{Content, Output};
use super::session::{KeyFlags, Session, Types};
use super::threads::Threads;
use super::{code, words};
use crate::error::CommandError;

/// Where flags put their keys (`keyGroups` of sops' main.go).
const FLAG_ORDER: [KeyKind; 7] = [
    KeyKind::Kms,
    KeyKind::GcpKms,
    KeyKind::HuaweiKms,
    KeyKind::AzureKeyVault,
    KeyKind::Pgp,
    KeyKind::HcVault,
    KeyKind::Age,
];

/// What `encrypt` is asked for.
#[derive(Debug)]
pub(crate) struct Encryption {
    pub(crate) source: Source,
    /// What names rule and formats: the file, or `--filename-override`.
    pub(crate) name: PathBuf,
    pub(crate) types: Types,
    pub(crate) choice: Choice,
    pub(crate) output: Output,
}

/// Who shall open the file, and what in it shall be encrypted.
#[derive(Debug, Default, Clone)]
pub(crate) struct Choice {
    pub(crate) keys: KeyFlags,
    /// Selectors by kind; an empty text is none.
    pub(crate) selectors: Vec<(SelectorKind, String)>,
    pub(crate) mac_only_encrypted: bool,
    /// Encryption context for keys of the rule (the old command line gives them its own).
    pub(crate) rule_context: BTreeMap<String, String>,
    /// 0 is none.
    pub(crate) threshold: i64,
}

/// A choice, completed by the configuration.
pub(crate) struct Plan {
    pub(crate) groups: KeyGroups,
    pub(crate) settings: EncryptionSettings,
}

/// Encrypts and writes.
///
/// # Errors
/// Every reason has SOPS's exit code.
pub(crate) fn run(session: &Session, encryption: &Encryption) -> Result<(), CommandError> {
    let (input, output) = encryption.types.of(&encryption.name);
    // A configuration that cannot be used fails first, as a rule that is missing does.
    session.layout(output, Some(&encryption.name))?;
    let plan = plan(session, &encryption.choice, &encryption.name, input)?;
    let text = encryption.source.read()?;
    let clear = clear_file(text, input, output)?;
    let (key, groups) = new_key(session, plan.groups)?;
    session.audit.record(Action::Encrypt, &encryption.source)?;
    let text = encrypt(session, clear, (&key, groups), &plan.settings, output, &encryption.name)?;
    encryption.output.write(text.expose(), Content::Encrypted)
}

/// Parses a plain text and refuses one that is encrypted.
pub(crate) fn clear_file(text: Plaintext, input: Format, output: Format) -> Result<ClearFile, CommandError> {
    let tree = parse_plain(text, input)?;
    if tree.documents.first().is_some_and(|document| has_metadata(output, document)) {
        return Err(CommandError::code(code::ALREADY_ENCRYPTED, words::already_encrypted()));
    }
    ClearFile::new(tree, input).map_err(|error| match error {
        ClearFileError::Empty => CommandError::code(code::NO_DOCUMENT, words::NO_DOCUMENT),
        _ => CommandError::code(code::ALREADY_ENCRYPTED, words::already_encrypted()),
    })
}

/// Parses a plain text.
pub(crate) fn parse_plain(text: Plaintext, input: Format) -> Result<Tree, CommandError> {
    tree::parse_owned(input, text)
        .map_err(|error| CommandError::code(code::READ, format!("Error unmarshalling file: {error}")))
}

/// Completes a choice by the creation rule: flags win, and keys from flags replace the rule's.
pub(crate) fn plan(
    session: &Session,
    choice: &Choice,
    name: &Path,
    input: Format,
) -> Result<Plan, CommandError> {
    let rule = session.rule_for(name, &choice.rule_context)?;
    let mut selectors: Vec<(SelectorKind, String)> =
        choice.selectors.iter().filter(|(_, text)| !text.is_empty()).cloned().collect();
    if let Some(selector) = rule.as_ref().and_then(|rule| rule.settings.selector.as_ref())
        && !selectors.iter().any(|(kind, _)| *kind == selector.kind())
    {
        selectors.push((selector.kind(), selector.text().to_owned()));
    }
    if input == Format::Binary {
        for (kind, _) in selectors.drain(..) {
            session.warn(&format!(
                "Using an {} does not make sense with the input store (the binary store produces one key that should \
                 always be encrypted) and will be ignored.",
                kind.field().replace('_', " ")
            ));
        }
    }
    let selector = match selectors.as_slice() {
        [] => None,
        [(kind, text)] => Some(Selector::new(*kind, text.clone()).map_err(|error| {
            CommandError::code(code::CONFLICT, format!("{} is no valid expression: {error}", kind.field()))
        })?),
        _ => {
            return Err(CommandError::code(
                code::CONFLICT,
                format!("Error: {}", lower_first(TooManySelectors)),
            ));
        }
    };
    let mac_only_encrypted = input != Format::Binary
        && (choice.mac_only_encrypted || rule.as_ref().is_some_and(|rule| rule.settings.mac_only_encrypted));
    let threshold = usize::try_from(choice.threshold).unwrap_or_default();
    let keys = choice.keys.read(&FLAG_ORDER)?;
    let mut groups = match rule {
        _ if choice.keys.any() => KeyGroups::new([keys], rule.map_or(0, |rule| rule.groups.threshold)),
        Some(rule) => rule.groups,
        None => {
            return Err(CommandError::input(
                "config file not found, or has no creation rules, and no keys provided through command line options",
            )
            .hint("--age RECIPIENT names a key, or a creation rule in .sops.yaml does"));
        }
    };
    if threshold != 0 {
        groups.threshold = threshold;
    }
    session.complete_groups(&mut groups)?;
    Ok(Plan { groups, settings: EncryptionSettings { selector, mac_only_encrypted } })
}

fn lower_first(text: impl ToString) -> String {
    let text = text.to_string();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Makes a data key and wraps it for all groups.
pub(crate) fn new_key(session: &Session, groups: KeyGroups) -> Result<(DataKey, KeyGroups), CommandError> {
    let key = DataKey::generate(&mut SystemRandom).map_err(CommandError::input)?;
    let groups = session.keyring.wrap(&key, groups, &session.now()?).map_err(|error| wrap_error(&error))?;
    Ok((key, groups))
}

/// The words of SOPS, with its brackets.
pub(crate) fn wrap_error(error: &WrapError) -> CommandError {
    CommandError::input(format!("Could not generate data key: [{error}]"))
}

/// Encrypts, and returns the text.
pub(crate) fn encrypt(
    session: &Session,
    clear: ClearFile,
    (key, groups): (&DataKey, KeyGroups),
    settings: &EncryptionSettings,
    output: Format,
    name: &Path,
) -> Result<Plaintext, CommandError> {
    let now = session.now()?;
    let (file, warnings) = clear
        .encrypt(key, groups, settings, &mut SystemRandom, &now, &Threads)
        .map_err(|error| encrypt_error(&error))?;
    for warning in warnings.iter().filter(|warning| !matches!(warning, Warning::IgnoredForBinary)) {
        if let Some(text) = words::warning(warning) {
            session.warn(&text);
        }
    }
    open::encrypted_text(session, file, output, Some(name))
}

pub(crate) fn encrypt_error(error: &EncryptError) -> CommandError {
    CommandError::code(code::ENCRYPT, format!("Error encrypting tree: {error}"))
}
