//! `sealops fetch-cert`: the certificate to seal with.

use std::path::PathBuf;

use sealops_crypto::sealing::Certificate;

use crate::certificates::{self, CertificateFlags};
use crate::connection::ConnectionFlags;
use crate::error::CommandError;
use crate::files::{self, Access, NewFile};
use crate::ui;

/// Fetch the controller's certificate, for sealing without a cluster
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Write here instead of to stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    certificate: CertificateFlags,
    #[command(flatten)]
    connection: ConnectionFlags,
}

const EXAMPLES: &str = "Examples:
  sealops fetch-cert -o cert.pem
  sealops fetch-cert --cert https://sealed-secrets.example.com/v1/cert.pem";

pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let text = certificates::fetch(&args.certificate, &args.connection)?;
    Certificate::from_pem(&text).map_err(CommandError::input)?;
    match &args.output {
        Some(path) => files::write(&[NewFile { path: path.clone(), content: &text, access: Access::Public }]),
        None => ui::data(&text),
    }
}
