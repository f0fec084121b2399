//! The commands, each from its flags to one call of `crate::sops`. Orders of checks are those of sops' main.go.

mod exec;
mod files;
mod keys;
mod services;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealops_crypto::sops::{KeyKind, SelectorKind};
use sealops_formats::tree::Format;

use super::completion;
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
use crate::sops::audit::Audit;
use crate::sops::edit::Edition;
use crate::sops::encrypt::Choice;
use crate::sops::keyring::Keyring;
use crate::sops::network_keys::NetworkKeys;
use crate::sops::open::Source;
use crate::sops::output::Output;
use crate::sops::rotate::Rotation;
use crate::sops::session::{KeyFlags, Session, Types, absolute};
use crate::sops::{Front, code, local_keys, policy};
use crate::ui;

/// Runs a command by its name.
pub(super) fn run(name: &str, global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    match name {
        "bash" => ui::data(completion::BASH.as_bytes()),
        "zsh" => ui::data(completion::ZSH.as_bytes()),
        "encrypt" => files::encrypt(global, local),
        "decrypt" => files::decrypt(global, local),
        "rotate" => files::rotate(global, local),
        "edit" => files::edit(global, local),
        "set" => files::set(global, local),
        "unset" => files::unset(global, local),
        "updatekeys" => keys::update_keys(global, local),
        "add" => keys::add_group(global, local),
        "delete" => keys::delete_group(global, local),
        "filestatus" => files::file_status(global, local),
        "exec-env" => exec::exec_env(global, local),
        "exec-file" => exec::exec_file(global, local),
        "keyservice" => services::key_service(global, local),
        "publish" => services::publish(global, local),
        _ => Err(CommandError::input(format!(
            "sops {name} is not part of this version yet: it comes with the cloud providers"
        ))),
    }
}

/// Makes the session of a command; the key services and the order are the command's own flags.
pub(super) fn session(global: &Parsed, local: &Parsed) -> Result<Session, CommandError> {
    let indent =
        global.is_given("indent").then(|| i32::try_from(global.number("indent")).unwrap_or(i32::MIN));
    let session = Session {
        front: Front::Sops,
        config: global.non_empty("config").map(PathBuf::from),
        indent,
        order: Vec::new(),
        keyring: Arc::new(keyring(local)?),
        audit: Audit::open(Front::Sops)?,
        near: OnceCell::new(),
    };
    Ok(session)
}

fn keyring(local: &Parsed) -> Result<Keyring, CommandError> {
    let own = local.is_on("enable-local-keyservice");
    let network = NetworkKeys::new(own, local.list("keyservice").to_vec());
    Ok(Keyring::new(own.then(local_keys::local), network.with_policy(policy::of_environment()?)))
}

pub(super) fn types(local: &Parsed) -> Types {
    let format = |name| Format::named(local.text(name));
    Types { input: format("input-type"), output: format("output-type") }
}

fn no_file() -> CommandError {
    CommandError::code(code::NO_FILE, "Error: no file specified")
}

/// Warns of arguments that are passed over.
pub(super) fn warn_of_more(session: &Session, arguments: &[String]) {
    if arguments.len() < 2 {
        return;
    }
    session.warn("More than one positional argument provided. Only the first one will be used!");
    if let Some(flag) = arguments[1..].iter().rfind(|argument| argument.starts_with('-')) {
        session.warn(&format!(
            "Note that one of the ignored positional argument is {flag:?}, which looks like a flag. Flags must always be \
             provided before the first positional argument!"
        ));
    }
}

pub(super) fn conflicting_outputs(local: &Parsed) -> Result<(), CommandError> {
    if local.is_on("in-place") && local.non_empty("output").is_some() {
        let text = "Error: cannot operate on both --output and --in-place";
        return Err(CommandError::code(code::CONFLICT, text));
    }
    Ok(())
}

pub(super) fn missing(path: &Path) -> CommandError {
    let path = path.display().to_string();
    CommandError::code(code::NO_FILE, format!("Error: cannot operate on non-existent file {path:?}"))
}

/// Returns the name that rules and formats go by.
pub(super) fn name_of(local: &Parsed, path: &Path) -> PathBuf {
    local.non_empty("filename-override").map_or_else(|| path.to_owned(), |name| absolute(Path::new(name)))
}

pub(super) fn output(local: &Parsed, path: &Path) -> Output {
    match local.non_empty("output") {
        _ if local.is_on("in-place") => Output::in_place(path),
        Some(path) => Output::File(path.into()),
        None => Output::Stdout,
    }
}

/// Returns what `encrypt` and `decrypt` read: a file that is there, or stdin.
fn source(session: &Session, local: &Parsed) -> Result<(Source, PathBuf), CommandError> {
    warn_of_more(session, &local.rest);
    conflicting_outputs(local)?;
    match local.rest.first() {
        None => Ok((Source::Stdin, PathBuf::new())),
        Some(name) => {
            let path = absolute(Path::new(name));
            if path.symlink_metadata().is_err() || !path.exists() {
                return Err(missing(&path));
            }
            Ok((Source::File(path.clone()), path))
        }
    }
}

pub(super) fn key_flags(local: &Parsed, prefix: &str) -> KeyFlags {
    let of_kind = |kind: KeyKind| {
        let name = format!("{prefix}{}", kind.spec().flag);
        (kind, vec![local.text(&name).to_owned()])
    };
    KeyFlags {
        keys: KeyKind::ALL.into_iter().map(of_kind).filter(|(_, texts)| !texts[0].is_empty()).collect(),
        aws_profile: local.text("aws-profile").to_owned(),
        encryption_context: local.text("encryption-context").to_owned(),
    }
}

pub(super) fn choice(global: &Parsed, local: &Parsed) -> Choice {
    let selectors = SelectorKind::ALL
        .into_iter()
        .map(|kind| (kind, local.text(&kind.field().replace('_', "-")).to_owned()));
    Choice {
        keys: key_flags(local, ""),
        selectors: selectors.collect(),
        mac_only_encrypted: global.is_on("mac-only-encrypted"),
        rule_context: BTreeMap::new(),
        threshold: local.number("shamir-secret-sharing-threshold"),
    }
}

pub(super) fn rotation(local: &Parsed, path: PathBuf, name: PathBuf) -> Rotation {
    Rotation {
        output: output(local, &path),
        path,
        name,
        types: types(local),
        add: key_flags(local, "add-"),
        remove: key_flags(local, "rm-"),
        ignore_mac: local.is_on("ignore-mac"),
    }
}

pub(super) fn refuse_keys_of_no_file(local: &Parsed, path: &Path, instead: &str) -> Result<(), CommandError> {
    if key_flags(local, "add-").any() || key_flags(local, "rm-").any() {
        let path = path.display().to_string();
        let text = format!("Error: cannot add or remove keys on non-existent file {path:?}, {instead}.");
        return Err(CommandError::code(code::KEYS_OF_NO_FILE, text));
    }
    Ok(())
}

pub(super) fn edition(global: &Parsed, local: &Parsed, path: PathBuf) -> Edition {
    Edition {
        path,
        types: types(local),
        ignore_mac: local.is_on("ignore-mac"),
        show_master_keys: local.is_on("show-master-keys"),
        choice: choice(global, local),
    }
}
