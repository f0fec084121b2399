//! `sealops rotate`.

use std::path::PathBuf;

use sealops_crypto::sops::KeyKind;

use super::{Common, Destination, EXIT_CODES, files};
use crate::error::CommandError;
use crate::sops::rotate::{self, Rotation};
use crate::sops::session::{KeyFlags, absolute};

/// Encrypt all values of files anew under a new data key
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// Files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    destination: Destination,
    /// Add a key to the first group, as TYPE=KEYS (age=age1…); may be repeated
    #[arg(long, value_name = "TYPE=KEYS", value_parser = key)]
    add: Vec<(KeyKind, String)>,
    /// Remove a key, as TYPE=KEYS; may be repeated
    #[arg(long, value_name = "TYPE=KEYS", value_parser = key)]
    remove: Vec<(KeyKind, String)>,
    /// Do not check the MAC
    #[arg(long)]
    ignore_mac: bool,
    #[command(flatten)]
    resume: files::Resume,
    #[command(flatten)]
    common: Common,
}

fn key(text: &str) -> Result<(KeyKind, String), String> {
    let names = || KeyKind::ALL.map(|kind| kind.spec().flag).join(", ");
    let (name, keys) =
        text.split_once('=').ok_or_else(|| format!("give TYPE=KEYS; the types are {}", names()))?;
    let kind = KeyKind::ALL.into_iter().find(|kind| kind.spec().flag == name);
    Ok((kind.ok_or_else(|| format!("the types are {}", names()))?, keys.to_owned()))
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    if args.files.len() > 1 && !args.destination.in_place {
        return Err(CommandError::usage("several files need --in-place"));
    }
    args.common.audit()?;
    let task = files::Task {
        done: "rotated",
        flags: format!("{:?} {:?} {} {:?}", args.add, args.remove, args.ignore_mac, args.common),
        resume: args.resume.resume,
    };
    files::each(&args.files, &task, |path| {
        let path = absolute(path);
        let rotation = Rotation {
            output: args.destination.of(&path),
            name: path.clone(),
            path,
            types: args.common.types(),
            add: flags(&args.add),
            remove: flags(&args.remove),
            ignore_mac: args.ignore_mac,
        };
        rotate::run(&args.common.session()?, &rotation)
    })
}

fn flags(keys: &[(KeyKind, String)]) -> KeyFlags {
    let mut flags = KeyFlags::default();
    for (kind, text) in keys {
        flags.keys.entry(*kind).or_default().push(text.clone());
    }
    flags
}
