//! The old style without a command: `sops -d file`, `sops -e -i file`, `sops file`.

use std::path::Path;

use super::Failure;
use super::actions::{self, choice, edition, name_of, output, rotation, session, types};
use crate::compat::urfave::Parsed;
use crate::error::CommandError;
use crate::sops::decrypt::{self, Decryption};
use crate::sops::encrypt::{self, Encryption};
use crate::sops::open::Source;
use crate::sops::output::Output;
use crate::sops::session::{Session, absolute, read_order};
use crate::sops::value::{self, Change};
use crate::sops::{code, edit, rotate};

/// What to do; without a flag it is editing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Encrypt,
    Decrypt,
    Rotate,
    Set,
    Edit,
}

pub(super) fn run(flags: &Parsed) -> Result<(), Failure> {
    act(flags).map_err(Failure::Exit)
}

fn act(flags: &Parsed) -> Result<(), CommandError> {
    let modes: Vec<Mode> = [
        (flags.is_on("encrypt"), Mode::Encrypt),
        (flags.is_on("decrypt"), Mode::Decrypt),
        (flags.is_on("rotate"), Mode::Rotate),
        (flags.non_empty("set").is_some(), Mode::Set),
    ]
    .into_iter()
    .filter_map(|(on, mode)| on.then_some(mode))
    .collect();
    let mut session = session(flags, flags)?;
    let first = flags.rest.first();
    let first = first.ok_or_else(|| CommandError::code(code::NO_FILE, "Error: no file specified"))?;
    actions::warn_of_more(&session, &flags.rest);
    actions::conflicting_outputs(flags)?;
    let path = absolute(Path::new(first));
    // The last one wins, in this order.
    let mode = modes.last().copied().unwrap_or(Mode::Edit);
    if !path.exists() {
        actions::refuse_keys_of_no_file(flags, &path, "use `--kms` and `--pgp` instead")?;
        if modes.iter().any(|mode| *mode != Mode::Set) {
            return Err(actions::missing(&path));
        }
    }
    let name = name_of(flags, &path);
    if modes.len() > 1 {
        session.warn(
            "More than one command (--encrypt, --decrypt, --rotate, --set) has been specified. Only the changes made by \
             the last one will be visible. Note that this behavior is deprecated and will cause an error eventually.",
        );
    }
    let mut choice = choice(flags, flags);
    if mode != Mode::Decrypt || modes.len() > 1 {
        // A rule must match even where none is needed.
        choice.rule_context = choice.keys.context().unwrap_or_default();
        session.rule_for(&name, &choice.rule_context)?;
    }
    session.config_for(Some(&name))?;
    session.order = read_order(flags.text("decryption-order"))?;
    match mode {
        Mode::Encrypt => {
            let encryption = Encryption {
                source: Source::File(path.clone()),
                name,
                types: types(flags),
                choice,
                output: output(flags, &path),
            };
            encrypt::run(&session, &encryption)
        }
        Mode::Decrypt => {
            let decryption = Decryption {
                source: Source::File(path.clone()),
                name,
                types: types(flags),
                extract: decrypt::read_extract(flags.text("extract"))?,
                ignore_mac: flags.is_on("ignore-mac"),
                output: output(flags, &path),
            };
            decrypt::run(&session, &decryption)
        }
        Mode::Rotate => rotate::run(&session, &rotation(flags, path, name)),
        Mode::Set => set(&session, flags, &path),
        Mode::Edit => {
            let mut edition = edition(flags, flags, path);
            edition.choice = choice;
            edit::run(&session, &edition)
        }
    }
}

/// `--set '["key"] value'`: split behind the first bracket that a blank follows.
fn set(session: &Session, flags: &Parsed, path: &Path) -> Result<(), CommandError> {
    let wrong = || CommandError::code(code::INDEX, "Invalid --set format");
    let (place, text) = flags.text("set").split_once("] ").ok_or_else(wrong)?;
    let value = value::read_value(&text.into())?;
    let place = decrypt::read_path(&format!("{place}]")).map_err(|_| wrong())?;
    let change = Change {
        path: path.to_owned(),
        types: types(flags),
        place,
        ignore_mac: flags.is_on("ignore-mac"),
        idempotent: false,
        output: Output::in_place(path),
    };
    value::set(session, &change, value).map(drop)
}
