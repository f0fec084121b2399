//! `sealops set` and `sealops unset`.

use std::path::{Path, PathBuf};

use super::{Common, EXIT_CODES};
use crate::error::CommandError;
use crate::sops::open::Source;
use crate::sops::output::Output;
use crate::sops::session::absolute;
use crate::sops::value::{self, Change, Done};
use crate::sops::{code, decrypt};
use crate::ui;

/// Set one value of an encrypted file
///
/// The value is JSON and comes from stdin, or from a file with --value-file: an argument can be read by everyone on the
/// machine. The file is left alone when it holds the value already.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct SetArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where, such as `["key"][0]`
    #[arg(value_name = "PATH")]
    place: String,
    /// Read the value from this file
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
    /// Take the value as text, not as JSON
    #[arg(long)]
    text: bool,
    /// Do not check the MAC
    #[arg(long)]
    ignore_mac: bool,
    #[command(flatten)]
    common: Common,
}

/// Remove one value from an encrypted file
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct UnsetArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where, such as `["key"][0]`
    #[arg(value_name = "PATH")]
    place: String,
    /// A value that is not there is no error
    #[arg(long)]
    idempotent: bool,
    /// Do not check the MAC
    #[arg(long)]
    ignore_mac: bool,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn set(args: &SetArgs) -> Result<(), CommandError> {
    let source = args.value_file.clone().map_or(Source::Stdin, Source::File);
    let text = source.read()?;
    let value = if args.text {
        sealops_formats::tree::Node::Scalar(sealops_formats::tree::Scalar::Str(text))
    } else {
        value::read_value(&text).map_err(|error| error.hint("--text takes the value as it is"))?
    };
    let change = change(&args.common, &args.file, &args.place, args.ignore_mac, true)?;
    tell(&args.file, value::set(&args.common.session()?, &change, value)?);
    Ok(())
}

pub(in crate::commands) fn unset(args: &UnsetArgs) -> Result<(), CommandError> {
    let change = change(&args.common, &args.file, &args.place, args.ignore_mac, args.idempotent)?;
    tell(&args.file, value::unset(&args.common.session()?, &change)?);
    Ok(())
}

fn tell(path: &Path, done: Done) {
    if done == Done::Unchanged {
        ui::note(&format!("{}: nothing to change", path.display()));
    }
}

fn change(
    common: &Common,
    file: &Path,
    place: &str,
    ignore_mac: bool,
    idempotent: bool,
) -> Result<Change, CommandError> {
    let path = absolute(file);
    let place = decrypt::read_path(place).map_err(|error| CommandError::code(code::INDEX, error))?;
    Ok(Change { output: Output::in_place(&path), path, types: common.types(), place, ignore_mac, idempotent })
}
