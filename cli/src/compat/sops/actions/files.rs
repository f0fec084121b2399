//! The commands that read or write one file.

use std::path::Path;

use sealops_crypto::sops::SelectorKind;
use sealops_formats::Plaintext;

use super::{
    choice, conflicting_outputs, edition, name_of, no_file, output, refuse_keys_of_no_file, rotation,
    session, source, types, warn_of_more,
};
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
use crate::sops::decrypt::{self, Decryption};
use crate::sops::encrypt::{self, Encryption};
use crate::sops::open::Source;
use crate::sops::output::Output;
use crate::sops::session::{Session, absolute, read_order};
use crate::sops::value::{self, Change};
use crate::sops::{code, edit, rotate, status};
use crate::ui;

pub(super) fn encrypt(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let session = session(global, local)?;
    if local.rest.is_empty() {
        let conflict = |text| Err(CommandError::code(code::CONFLICT, text));
        if local.is_on("in-place") {
            return conflict("Error: cannot use --in-place when reading from stdin");
        }
        if local.non_empty("filename-override").is_none() {
            return conflict("Error: must specify --filename-override when reading from stdin");
        }
    }
    for kind in SelectorKind::ALL.into_iter().filter(|kind| kind.by_comment()) {
        let flag = kind.field().replace('_', "-");
        if global.non_empty(&flag).is_some() {
            session.warn(&format!("--{flag} counts with `sops -e` only, not with `sops encrypt`"));
        }
    }
    let (source, path) = source(&session, local)?;
    let encryption = Encryption {
        source,
        name: name_of(local, &path),
        types: types(local),
        choice: choice(global, local),
        output: output(local, &path),
    };
    encrypt::run(&session, &encryption)
}

pub(super) fn decrypt(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    if local.rest.is_empty() && local.is_on("in-place") {
        return Err(CommandError::code(
            code::CONFLICT,
            "Error: cannot use --in-place when reading from stdin",
        ));
    }
    let (source, path) = source(&session, local)?;
    let name = name_of(local, &path);
    session.config_for(Some(&name))?;
    session.order = read_order(local.text("decryption-order"))?;
    let decryption = Decryption {
        source,
        name,
        types: types(local),
        extract: decrypt::read_extract(local.text("extract"))?,
        ignore_mac: local.is_on("ignore-mac"),
        output: output(local, &path),
    };
    decrypt::run(&session, &decryption)
}

pub(super) fn rotate(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    let first = local.rest.first().ok_or_else(no_file)?;
    warn_of_more(&session, &local.rest);
    conflicting_outputs(local)?;
    let path = absolute(Path::new(first));
    if !path.exists() {
        refuse_keys_of_no_file(local, &path, "use the `edit` subcommand instead")?;
    }
    let name = name_of(local, &path);
    session.config_for(Some(&name))?;
    session.order = read_order(local.text("decryption-order"))?;
    rotate::run(&session, &rotation(local, path, name))
}

pub(super) fn edit(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    let first = local.rest.first().ok_or_else(no_file)?;
    warn_of_more(&session, &local.rest);
    let path = absolute(Path::new(first));
    session.config_for(Some(&path))?;
    session.order = read_order(local.text("decryption-order"))?;
    edit::run(&session, &edition(global, local, path))
}

pub(super) fn set(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let wrong = |text| Err(CommandError::code(code::NO_FILE, text));
    let (from_file, from_stdin) = (local.is_on("value-file"), local.is_on("value-stdin"));
    if from_file && from_stdin {
        return Err(CommandError::input("Error: cannot use both --value-file and --value-stdin"));
    }
    match (from_stdin, local.rest.len()) {
        (true, 2) | (false, 3) => {}
        (true, _) => {
            return wrong(
                "Error: file specified, or index and value are missing. Need precisely 2 positional arguments since \
                 --value-stdin is used.",
            );
        }
        (false, _) => {
            return wrong(
                "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments.",
            );
        }
    }
    let (mut session, mut change) = change(global, local, "set")?;
    let text = match local.rest.get(2) {
        None => Source::Stdin.read()?,
        Some(path) if from_file => {
            Source::File(path.into()).read().map_err(|error| CommandError::input(error.error))?
        }
        Some(text) => Plaintext::from(text.as_str()),
    };
    let value = value::read_value(&text)?;
    session.order = read_order(local.text("decryption-order"))?;
    change.idempotent = local.is_on("idempotent");
    value::set(&session, &change, value).map(drop)
}

pub(super) fn unset(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    if local.rest.len() != 2 {
        return Err(CommandError::code(code::NO_FILE, "Error: no file specified, or index is missing"));
    }
    let (mut session, change) = change(global, local, "unset")?;
    session.order = read_order(local.text("decryption-order"))?;
    value::unset(&session, &change).map(drop)
}

fn change(global: &Parsed, local: &Parsed, verb: &str) -> Result<(Session, Change), CommandError> {
    let session = session(global, local)?;
    let path = absolute(Path::new(&local.rest[0]));
    session.config_for(Some(&path))?;
    let place = decrypt::read_path(&local.rest[1])
        .map_err(|_| CommandError::code(code::INDEX, format!("Invalid {verb} index format")))?;
    let change = Change {
        output: Output::in_place(&path),
        path,
        types: types(local),
        place,
        ignore_mac: local.is_on("ignore-mac"),
        idempotent: local.is_on("idempotent"),
    };
    Ok((session, change))
}

pub(super) fn file_status(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let first = local.rest.first().ok_or_else(no_file)?;
    let session = session(global, local)?;
    session.config_for(Some(Path::new(first)))?;
    let (format, _) = types(local).of(Path::new(first));
    let encrypted = status::is_encrypted(Path::new(first), format)?;
    ui::data(format!("{{\"encrypted\":{encrypted}}}\n").as_bytes())
}
