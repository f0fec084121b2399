//! `sealops exec-env` and `sealops exec-file`: without a shell in between.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Common, EXIT_CODES};
use crate::error::CommandError;
use crate::sops::decrypt::{self, Decryption};
use crate::sops::exec::{self, Program, Start};
use crate::sops::open::{self, Source};
use crate::sops::output::Output;
use crate::sops::variables::variables;

/// Run a command with decrypted values in its environment
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct EnvArgs {
    /// Files; a later one wins
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Pass the decrypted values only, not the present environment
    #[arg(long)]
    pristine: bool,
    /// Run the command as this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Become the command instead of starting it
    #[arg(long)]
    same_process: bool,
    /// The command with its arguments
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<OsString>,
    #[command(flatten)]
    common: Common,
}

/// Run a command with decrypted content as a file, whose path replaces {}
#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(in crate::commands) struct FileArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Use a regular file (in memory, mode 0600) instead of a pipe
    #[arg(long)]
    no_fifo: bool,
    /// Name of the temporary file
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    /// Run the command as this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The command with its arguments
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<OsString>,
    #[command(flatten)]
    common: Common,
}

pub(in crate::commands) fn env(args: &EnvArgs) -> Result<(), CommandError> {
    let session = args.common.session()?;
    let mut all = Vec::new();
    for path in &args.files {
        let (format, _) = args.common.types().of(path);
        let source = Source::File(path.clone());
        let file = open::load(&source, format)?;
        all.extend(variables(open::open(&session, &source, file, false)?.into_tree())?);
    }
    exec::with_environment(
        &start(&args.command, args.user.as_deref()),
        args.pristine,
        args.same_process,
        &all,
    )
}

pub(in crate::commands) fn file(args: &FileArgs) -> Result<(), CommandError> {
    let decryption = Decryption {
        source: Source::File(args.file.clone()),
        name: Path::new(&args.file).to_owned(),
        types: args.common.types(),
        extract: None,
        ignore_mac: false,
        output: Output::Stdout,
    };
    let text = Arc::new(decrypt::plaintext(&args.common.session()?, &decryption)?);
    let start = start(&args.command, args.user.as_deref());
    exec::with_file(&start, !args.no_fifo, args.filename.as_deref(), &text)
}

fn start(command: &[OsString], user: Option<&str>) -> Start {
    Start { program: Program::Words(command.to_vec()), user: user.map(str::to_owned), background: false }
}
