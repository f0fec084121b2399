//! `sealops groups`.

use std::path::{Path, PathBuf};

use super::{Common, Destination, EXIT_CODES, Keys};
use crate::error::CommandError;
use crate::sops::groups::{self, GroupChange};
use crate::sops::session::absolute;

/// Add and remove key groups of a file
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and it lives as long as the process")]
enum Verb {
    /// Add a key group
    Add {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        keys: Keys,
        #[command(flatten)]
        rest: Rest,
    },
    /// Remove a key group
    Delete {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Which one, from 0
        #[arg(value_name = "INDEX")]
        index: usize,
        #[command(flatten)]
        rest: Rest,
    },
}

#[derive(clap::Args)]
struct Rest {
    #[command(flatten)]
    destination: Destination,
    /// Key groups that are needed to open the file
    #[arg(long, value_name = "N")]
    shamir_secret_sharing_threshold: Option<u8>,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.verb {
        Verb::Add { file, keys, rest } => {
            let keys = keys.flags().read(&groups::FLAG_ORDER)?;
            groups::add(&rest.common.session()?, &change(file, rest), keys)
        }
        Verb::Delete { file, index, rest } => {
            groups::delete(&rest.common.session()?, &change(file, rest), *index)
        }
    }
}

fn change(file: &Path, rest: &Rest) -> GroupChange {
    let path = absolute(file);
    GroupChange {
        output: rest.destination.of(&path),
        path,
        types: rest.common.types(),
        threshold: rest.shamir_secret_sharing_threshold.map(usize::from),
    }
}
