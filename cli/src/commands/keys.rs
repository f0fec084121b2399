//! `sealops keys`: sealing keys.

mod backup;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealops_crypto::sealing::{Certificate, KeySpec};

use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::ui;

/// Make, back up and restore sealing keys, and prove that a backup is worth something
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a key pair: tls.key (mode 0600, opens) and tls.crt (public, seals)
    #[command(after_help = EXAMPLES)]
    Generate {
        /// Folder for the two files; existing ones are not overwritten
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// RSA bits: 2048, 3072, 4096 or 8192
        #[arg(long, default_value_t = 4096)]
        bits: u32,
        /// Days of the certificate's validity; opening never asks for it
        #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..))]
        days: u32,
        /// Write into a git work tree although the folder is not ignored
        #[arg(long)]
        force: bool,
    },
    /// Write the sealing keys of the cluster (or of files) as an age file for the given recipients
    Export(backup::ExportArgs),
    /// Restore a backup: make the key Secrets that are missing, and overwrite none
    Import(backup::ImportArgs),
    /// Disaster drill: prove that a backup opens every SealedSecret of folders or of the cluster, and show none
    Verify(backup::VerifyArgs),
}

const EXAMPLES: &str = "Examples:
  sealops keys generate -o ~/sealing-key
  kubectl create secret tls my-key -n kube-system --cert ~/sealing-key/tls.crt --key ~/sealing-key/tls.key
  kubectl label secret my-key -n kube-system sealedsecrets.bitnami.com/sealed-secrets-key=active";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.verb {
        Verb::Generate { output, bits, days, force } => generate(output, *bits, *days, *force),
        Verb::Export(args) => backup::export(args),
        Verb::Import(args) => backup::import(args),
        Verb::Verify(args) => backup::verify(args),
    }
}

fn generate(output: &Path, bits: u32, days: u32, force: bool) -> Result<(), CommandError> {
    let (key, certificate) = (output.join("tls.key"), output.join("tls.crt"));
    for path in [&key, &certificate] {
        if path.symlink_metadata().is_ok() {
            return Err(CommandError::input("the file exists already")
                .within(path.display())
                .hint("give another folder with -o DIR: whoever loses a key loses what it sealed"));
        }
    }
    if !force {
        files::refuse_tracked(&key)?;
    }
    let spec = KeySpec {
        bits,
        common_name: String::new(),
        not_before: Timestamp::now().as_second(),
        lifetime: i64::from(days) * 24 * 60 * 60,
    };
    let pair = spec.generate().map_err(CommandError::input)?;
    files::create_folder(output)?;
    files::write(&[
        NewFile { path: key, content: pair.private_key.expose(), access: Access::Private },
        NewFile { path: certificate, content: pair.certificate.as_bytes(), access: Access::Public },
    ])?;
    let certificate = Certificate::from_pem(pair.certificate.as_bytes()).map_err(CommandError::input)?;
    ui::note(&format!("wrote tls.key and tls.crt to {}: {}", output.display(), certificate.fingerprint()));
    Ok(())
}
