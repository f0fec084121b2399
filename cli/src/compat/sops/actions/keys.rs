//! The commands that change who can open files.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use sealops_crypto::sops::KeyKind;

use super::{no_file, session, types};
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
use crate::sops::consent::confirmed;
use crate::sops::groups::{self, GroupChange};
use crate::sops::output::Output;
use crate::sops::session::{KeyFlags, Session, Types, absolute, read_order};
use crate::sops::updatekeys;
use crate::ui;

pub(super) fn update_keys(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let mut session = session(global, local)?;
    session.order = read_order("")?;
    if session.config_for(None)?.is_none() {
        return Err(updatekeys::no_config());
    }
    if local.rest.is_empty() {
        return Err(no_file());
    }
    let mut failed = 0;
    for path in &local.rest {
        let result = update_one(&session, local, &absolute(Path::new(path)));
        match result {
            Err(error) if local.rest.len() == 1 => return Err(error),
            Err(error) => {
                ui::log_line("CMD", "error", &error.error);
                failed += 1;
            }
            Ok(()) => {}
        }
    }
    if failed > 0 { Err(CommandError::input(format!("failed updating {failed} key(s)"))) } else { Ok(()) }
}

fn update_one(session: &Session, local: &Parsed, path: &Path) -> Result<(), CommandError> {
    let say = |text: String| {
        let time = jiff::Timestamp::now().to_string();
        let (day, time) = time.split_once('T').unwrap_or_default();
        let time = time.split(['.', 'Z']).next().unwrap_or_default();
        ui::plain(&format!("{} {time} {text}", day.replace('-', "/")));
    };
    let name = path.display();
    let candidate = updatekeys::prepare(session, path, types(local).input, |_| {
        say(format!("Syncing keys for file {name}"));
    })?;
    if !candidate.update.changes() {
        say(format!("File {name} already up to date"));
        return Ok(());
    }
    ui::data(b"The following changes will be made to the file's groups:\n")?;
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    ui::data(updatekeys::describe(&candidate.update, colour).as_bytes())?;
    if !local.is_on("yes") && !confirmed("Is this okay? (y/n):")? {
        say(format!("File {name} left unchanged"));
        return Ok(());
    }
    if candidate.update.removes_keys() {
        session.warn("whoever held a removed key still knows the data key: `sops rotate -i` makes a new one");
    }
    candidate.apply(session)?;
    say(format!("File {name} synced with new keys"));
    Ok(())
}

fn group_change(global: &Parsed, local: &Parsed) -> Result<(Session, GroupChange), CommandError> {
    let mut session = session(global, local)?;
    session.order = read_order("")?;
    let path = PathBuf::from(local.text("file"));
    session.config_for(Some(&path))?;
    let threshold = usize::try_from(local.number("shamir-secret-sharing-threshold")).ok();
    let output = if local.is_on("in-place") { Output::in_place(&path) } else { Output::Stdout };
    let change = GroupChange { path, types: Types::default(), threshold, output };
    Ok((session, change))
}

pub(super) fn add_group(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    if !local.rest.is_empty() {
        return Err(CommandError::input("error: no positional arguments allowed"));
    }
    let (session, change) = group_change(global, local)?;
    let flags = KeyFlags {
        keys: KeyKind::ALL.into_iter().map(|kind| (kind, local.list(kind.spec().flag).to_vec())).collect(),
        aws_profile: local.text("aws-profile").to_owned(),
        encryption_context: local.text("encryption-context").to_owned(),
    };
    groups::add(&session, &change, flags.read(&groups::FLAG_ORDER)?)
}

pub(super) fn delete_group(global: &Parsed, local: &Parsed) -> Result<(), CommandError> {
    let [index] = local.rest.as_slice() else {
        return Err(CommandError::input("error: exactly one positional argument (index) required"));
    };
    let index = index
        .parse()
        .map_err(|_| CommandError::input("failed to parse [index] argument: it is no number from 0 on"))?;
    let (session, change) = group_change(global, local)?;
    groups::delete(&session, &change, index)
}
