//! `sealops verify` and `sealops filestatus`.

use std::path::PathBuf;

use super::{Common, EXIT_CODES};
use crate::error::CommandError;
use crate::sops::verify::{self, Status, Verdict};
use crate::sops::{code, status, threads};
use crate::ui;

/// Check that files decrypt and that their MACs are right, without showing anything
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// Files, and folders: in these, every encrypted file is checked
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Warnings count as failures: plaintext comments, text behind values, unknown metadata
    #[arg(long)]
    strict: bool,
    /// Print every file's result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

/// Tell whether a file is encrypted, as JSON
#[derive(clap::Args)]
pub(in crate::commands) struct StatusArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let files = verify::files(&args.paths)?;
    let session_of = || args.common.session();
    session_of()?;
    let mut verdicts: Vec<Verdict> = threads::map_files(&files, |(path, named)| {
        // A session of its own: the nearest configuration differs from folder to folder.
        let session = session_of().ok()?;
        verify::verify(&session, path, *named, &args.common.types())
    })
    .into_iter()
    .flatten()
    .collect();
    if args.strict {
        verdicts.iter_mut().for_each(Verdict::make_strict);
    }
    if args.json {
        let text = serde_json::to_string_pretty(&verdicts).map_err(CommandError::input)?;
        ui::data(format!("{text}\n").as_bytes())?;
    } else {
        tell(&verdicts);
    }
    let bad = verdicts.iter().filter(|verdict| verdict.status != Status::Ok).count();
    let summary = format!("{} files verified, {bad} failed", verdicts.len());
    match verify::exit_code(&verdicts) {
        0 if verdicts.is_empty() => {
            Err(CommandError::code(code::GENERIC, "there is no encrypted file to verify"))
        }
        0 => {
            ui::note(&summary);
            Ok(())
        }
        code => Err(CommandError::code(code, summary)),
    }
}

fn tell(verdicts: &[Verdict]) {
    for verdict in verdicts {
        if let Some(problem) = &verdict.problem {
            ui::note(&format!("{}: {problem}", verdict.file));
        }
        for warning in &verdict.warnings {
            ui::warn(&format!("{}: {warning}", verdict.file));
        }
    }
}

pub(in crate::commands) fn filestatus(args: &StatusArgs) -> Result<(), CommandError> {
    let (format, _) = args.common.types().of(&args.file);
    let encrypted = status::is_encrypted(&args.file, format)?;
    ui::data(format!("{{\"encrypted\":{encrypted}}}\n").as_bytes())
}
