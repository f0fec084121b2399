//! `sealops decrypt`.

use std::path::{Path, PathBuf};

use super::{Common, Destination, EXIT_CODES, files};
use crate::error::CommandError;
use crate::files::refuse_tracked;
use crate::sops::decrypt::{self, Decryption};
use crate::sops::open::Source;
use crate::sops::output::Output;
use crate::sops::session::absolute;

/// Decrypt files that SOPS encrypted
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct Args {
    /// Files; without one, stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    destination: Destination,
    /// Print only this key or branch, such as `["key"][0]`
    #[arg(long, value_name = "PATH")]
    extract: Option<String>,
    /// Do not check the MAC: what is shown may have been put together by anyone who can write the file
    #[arg(long)]
    ignore_mac: bool,
    /// Take this name for the formats
    #[arg(long, value_name = "NAME")]
    filename_override: Option<PathBuf>,
    /// Write into a git work tree although the file is not ignored
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    resume: files::Resume,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn run(args: &Args) -> Result<(), CommandError> {
    let name = args.filename_override.as_deref().map(absolute);
    if args.files.is_empty() {
        let output = args.destination.output.clone().map_or(Output::Stdout, Output::File);
        return one(args, Source::Stdin, name.unwrap_or_default(), output);
    }
    if args.files.len() > 1 && !args.destination.in_place {
        return Err(CommandError::usage("several files need --in-place"));
    }
    args.common.audit()?;
    let task = files::Task {
        done: "decrypted",
        flags: format!("{:?} {:?} {} {:?}", args.extract, name, args.ignore_mac, args.common),
        resume: args.resume.resume,
    };
    files::each(&args.files, &task, |path| {
        let path = absolute(path);
        let output = args.destination.of(&path);
        one(args, Source::File(path.clone()), name.clone().unwrap_or(path), output)
    })
}

fn one(args: &Args, source: Source, name: PathBuf, output: Output) -> Result<(), CommandError> {
    match &output {
        Output::File(path) => check_place(args, path)?,
        Output::InPlace(seen) => check_place(args, seen.path())?,
        Output::Stdout => {}
    }
    let decryption = Decryption {
        source,
        name,
        types: args.common.types(),
        extract: decrypt::read_extract(args.extract.as_deref().unwrap_or_default())?,
        ignore_mac: args.ignore_mac,
        output,
    };
    decrypt::run(&args.common.session()?, &decryption)
}

fn check_place(args: &Args, path: &Path) -> Result<(), CommandError> {
    if args.force { Ok(()) } else { refuse_tracked(path) }
}
