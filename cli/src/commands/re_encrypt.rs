//! `sealops re-encrypt`: values sealed anew, in whole folders, and nothing else of a file changed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealops_crypto::sealing::{Certificate, Fingerprint};
use sealops_formats::Plaintext;
use serde_json::json;

use crate::certificates::{self, CertificateFlags};
use crate::connection::{ConnectionFlags, Controller};
use crate::error::CommandError;
use crate::resealing::{Sealer, reseal};
use crate::sealed_file::{SealedFile, manifests, write_all_back};
use crate::{input, keys, ui};

/// Seal the values of SealedSecrets anew with another key; nothing else of their files changes
///
/// With --key it needs no cluster: the values are opened with the private keys and sealed with --cert, or with the newest
/// certificate among the key Secrets. Without --key the controller does it with its newest key. One value that does not
/// open fails the whole run, and nothing is written.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Files and folders with manifests, edited in place; without them stdin goes to stdout
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Private key that opens: PEM, Secrets and Lists of them, or a folder; may be repeated
    #[arg(long, value_name = "FILE|DIR")]
    key: Vec<PathBuf>,
    /// Seal anew what the right key sealed already, too
    #[arg(long, requires = "key")]
    all: bool,
    /// Write nothing; say what would change
    #[arg(long)]
    dry_run: bool,
    /// Print what changed as JSON
    #[arg(long, requires = "paths")]
    json: bool,
    #[command(flatten)]
    certificate: CertificateFlags,
    #[command(flatten)]
    connection: ConnectionFlags,
}

const EXAMPLES: &str = "Examples:
  sealops re-encrypt manifests/
  sealops re-encrypt manifests/ --key keys.yaml --cert new.pem
  sealops re-encrypt --key old.key --cert new.pem < sealed.yaml > new.yaml";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let files = match args.paths.as_slice() {
        [] => vec![(PathBuf::new(), SealedFile::read(input::read(None, "SealedSecrets")?)?)],
        paths => manifests(paths)?,
    };
    if files.iter().all(|(_, file)| file.objects.is_empty()) {
        return Err(match files.first() {
            Some((_, file)) if args.paths.is_empty() => file
                .check_not_empty()
                .err()
                .unwrap_or_else(|| CommandError::input("there is no SealedSecret")),
            _ => CommandError::input("there is no SealedSecret in these files"),
        });
    }
    let changes = match args.key.as_slice() {
        [] => by_controller(args, &files)?,
        paths => offline(args, paths, &files)?,
    };
    if args.paths.is_empty() {
        return match changes.first() {
            Some(change) if !args.dry_run => ui::data(change.text.expose()),
            _ => Ok(()),
        };
    }
    report(args, &changes)?;
    if args.dry_run {
        return Ok(());
    }
    let writes: Vec<_> = changes
        .iter()
        .filter(|change| change.values > 0)
        .map(|change| (change.path.to_owned(), &change.file.input, &change.text))
        .collect();
    write_all_back(&writes)
}

struct Change<'a> {
    path: &'a Path,
    file: &'a SealedFile,
    text: Plaintext,
    values: usize,
    unchanged: usize,
}

fn by_controller<'a>(
    args: &Args,
    files: &'a [(PathBuf, SealedFile)],
) -> Result<Vec<Change<'a>>, CommandError> {
    let flags = &args.certificate;
    let controller = Controller::find(&args.connection, &flags.controller_namespace, &flags.controller_name)?;
    let hinted = files.iter().flat_map(|(_, file)| &file.objects).any(|object| object.hint().is_some());
    // The hint is to name the key that the controller seals with.
    let key = match hinted {
        true => Some(
            Certificate::from_pem(&controller.certificate()?)
                .map_err(|error| CommandError::connection(error).within("the controller's certificate"))?,
        ),
        false => None,
    };
    change(files, &Sealer::Controller(&controller), key.as_ref().map(Certificate::fingerprint))
}

fn offline<'a>(
    args: &Args,
    paths: &[PathBuf],
    files: &'a [(PathBuf, SealedFile)],
) -> Result<Vec<Change<'a>>, CommandError> {
    let mut keys = keys::read_all(paths)?;
    let certificate = match (&args.certificate.cert, keys.newest_certificate()) {
        (None, None) => {
            return Err(CommandError::usage("there is no certificate to seal with")
                .hint("--cert FILE gives one; key Secrets with tls.crt bring theirs"));
        }
        (None, Some(certificate)) => {
            certificate.check_not_expired(Timestamp::now().as_second()).map_err(|error| {
                CommandError::input(error)
                    .within("the newest of the key Secrets")
                    .hint("--cert FILE seals with another")
            })?;
            certificate
        }
        (Some(_), _) => certificates::load(&args.certificate, &args.connection)?,
    };
    let ring = keys.into_ring();
    let sealer = Sealer::Offline { ring: &ring, certificate: &certificate, all: args.all };
    change(files, &sealer, Some(certificate.fingerprint()))
}

/// Makes every change, or returns every problem in one error.
fn change<'a>(
    files: &'a [(PathBuf, SealedFile)],
    sealer: &Sealer<'_>,
    key: Option<&Fingerprint>,
) -> Result<Vec<Change<'a>>, CommandError> {
    let objects: Vec<_> = files.iter().flat_map(|(_, file)| &file.objects).collect();
    let mut results = reseal(&objects, sealer).into_iter();
    let mut changes = Vec::new();
    let mut problems: Vec<CommandError> = Vec::new();
    for (path, file) in files {
        let mut edits = Vec::new();
        let (mut values, mut unchanged) = (0, 0);
        for (object, result) in file.objects.iter().zip(&mut results) {
            match result {
                Ok(resealed) => {
                    values += resealed.changed();
                    unchanged += resealed.unchanged;
                    if resealed.changed() > 0 {
                        edits.extend(resealed.edits(object, key));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        let text = file.edited(&edits).map_err(|problem| problems.push(problem)).unwrap_or_default();
        changes.push(Change { path, file, text, values, unchanged });
    }
    if problems.is_empty() { Ok(changes) } else { Err(CommandError::all("cannot be re-encrypted", problems)) }
}

fn report(args: &Args, changes: &[Change<'_>]) -> Result<(), CommandError> {
    if args.json {
        let files: Vec<_> = changes
            .iter()
            .map(|change| {
                json!({
                    "file": change.path.display().to_string(), "resealed": change.values,
                    "unchanged": change.unchanged,
                })
            })
            .collect();
        let text = json!({ "dryRun": args.dry_run, "files": files });
        return ui::data(format!("{text:#}\n").as_bytes());
    }
    for change in changes.iter().filter(|change| change.values > 0) {
        ui::note(&format!("{}: {}", change.path.display(), values(change.values)));
    }
    let (new, old) = changes.iter().fold((0, 0), |(a, b), change| (a + change.values, b + change.unchanged));
    let verb = if args.dry_run { "would be sealed anew" } else { "sealed anew" };
    ui::note(&format!("{} {verb}, {} had the key already", values(new), values(old)));
    Ok(())
}

fn values(count: usize) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}
