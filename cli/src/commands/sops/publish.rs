//! `sealops publish`.

use std::path::PathBuf;

use super::{Common, EXIT_CODES};
use crate::error::CommandError;
use crate::sops::publish::{self, Publication};

/// Send encrypted files where the destination rules of the configuration say
///
/// To S3 and Google Cloud Storage a file goes as it is, or encrypted for the keys of its recreation_rule; to Vault its
/// decrypted values go.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// File, or folder with --recursive
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Leave the extension out of the destination's name
    #[arg(long)]
    omit_extensions: bool,
    /// Send everything in a folder
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let publication = Publication {
        path: args.file.clone(),
        yes: args.yes,
        omit_extensions: args.omit_extensions,
        recursive: args.recursive,
        verbose: true,
    };
    publish::run(&args.common.session()?, &publication)
}
