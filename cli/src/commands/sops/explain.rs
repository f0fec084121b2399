//! `sealops explain`.

use std::path::PathBuf;

use super::{Common, EXIT_CODES};
use crate::error::CommandError;
use crate::sops::explain::{self, Explanation};
use crate::sops::{code, verify};
use crate::ui;

/// Show whom decrypting files would contact, without contacting anybody
///
/// For each file: its key groups, how many are needed, which address each key stands for, and whether the list of
/// allowed keys (--allow-key, --key-policy) has it. Exit code 1 if any key is refused.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// Files, and folders with encrypted files in them
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let policy = args.common.policy()?;
    let types = args.common.types();
    let explanations: Vec<Explanation> = verify::encrypted_files(&args.paths)?
        .iter()
        .map(|path| explain::explain(path, &types, &policy))
        .collect();
    if args.json {
        let text = serde_json::to_string_pretty(&explanations).map_err(CommandError::input)?;
        ui::data(format!("{text}\n").as_bytes())?;
    } else {
        let text: String = explanations.iter().map(Explanation::text).collect();
        ui::data(text.as_bytes())?;
    }
    let bad = explanations.iter().filter(|explanation| !explanation.is_good()).count();
    match (explanations.len(), bad) {
        (0, _) => Err(CommandError::code(code::GENERIC, "there is no encrypted file to explain")),
        (_, 0) => Ok(()),
        (all, bad) => Err(CommandError::code(
            code::GENERIC,
            format!("{bad} of {all} files cannot be read, or name keys that are not allowed"),
        )),
    }
}
