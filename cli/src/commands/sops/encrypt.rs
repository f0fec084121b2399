//! `sealops encrypt`.

use std::path::PathBuf;

use super::{ChoiceFlags, Common, Destination, EXIT_CODES, files};
use crate::error::{CommandError, Kind};
use crate::sops::code;
use crate::sops::encrypt::{self, Encryption};
use crate::sops::open::Source;
use crate::sops::output::Output;
use crate::sops::session::absolute;

/// Encrypt files as SOPS does
///
/// Keys come from flags, from SOPS_* variables, or from the creation rules of .sops.yaml.
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// Files; without one, stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    destination: Destination,
    /// Take this name for rules and formats; needed for stdin
    #[arg(long, value_name = "NAME")]
    filename_override: Option<PathBuf>,
    #[command(flatten)]
    choice: ChoiceFlags,
    #[command(flatten)]
    resume: files::Resume,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let name = args.filename_override.as_deref().map(absolute);
    if args.files.is_empty() {
        let name = name.ok_or_else(|| CommandError::usage("--filename-override NAME is needed for stdin"))?;
        let output = args.destination.output.clone().map_or(Output::Stdout, Output::File);
        return one(args, Source::Stdin, name, output);
    }
    if args.files.len() > 1 && !args.destination.in_place {
        return Err(CommandError::usage("several files need --in-place"));
    }
    args.common.audit()?;
    let task = files::Task {
        done: "encrypted",
        flags: format!("{:?} {:?} {:?}", name, args.choice, args.common),
        resume: args.resume.resume,
    };
    files::each(&args.files, &task, |path| {
        let path = absolute(path);
        let output = args.destination.of(&path);
        match one(args, Source::File(path.clone()), name.clone().unwrap_or(path), output) {
            // Done between its end and the journal's.
            Err(error) if args.resume.resume && error.kind == Kind::Code(code::ALREADY_ENCRYPTED) => Ok(()),
            result => result,
        }
    })
}

fn one(args: &Args, source: Source, name: PathBuf, output: Output) -> Result<(), CommandError> {
    let encryption =
        Encryption { source, name, types: args.common.types(), choice: args.choice.choice(), output };
    encrypt::run(&args.common.session()?, &encryption)
}
