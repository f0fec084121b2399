//! `sealops edit`.

use std::path::PathBuf;

use super::{ChoiceFlags, Common, EXIT_CODES};
use crate::error::CommandError;
use crate::sops::edit::{self, Edition};
use crate::sops::session::absolute;

/// Edit an encrypted file, or begin a new one
///
/// The plaintext is in memory (XDG_RUNTIME_DIR or /dev/shm) while the editor ($SOPS_EDITOR, $EDITOR, vim, nano, vi) is
/// open. An edit that cannot be written is saved, encrypted for the same keys.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Show the master keys and selectors too; they can be edited
    #[arg(short, long)]
    show_master_keys: bool,
    /// Do not check the MAC
    #[arg(long)]
    ignore_mac: bool,
    #[command(flatten)]
    choice: ChoiceFlags,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let edition = Edition {
        path: absolute(&args.file),
        types: args.common.types(),
        ignore_mac: args.ignore_mac,
        show_master_keys: args.show_master_keys,
        choice: args.choice.choice(),
    };
    edit::run(&args.common.session()?, &edition)
}
