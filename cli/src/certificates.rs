//! Where the certificate comes from: a file, a URL, or the controller.

use std::path::PathBuf;

use jiff::Timestamp;
use sealops_crypto::sealing::Certificate;

use crate::connection::{self, ConnectionFlags};
use crate::error::CommandError;
use crate::{files, ui};

/// Largest certificate text that is read.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// Flags that name the certificate.
#[derive(clap::Args)]
pub(crate) struct CertificateFlags {
    /// Certificate file, or its URL (http, https, file); without it the controller is asked
    #[arg(long, value_name = "FILE|URL", env = "SEALED_SECRETS_CERT")]
    pub(crate) cert: Option<String>,
    /// Namespace of the controller
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kube-system",
        env = "SEALED_SECRETS_CONTROLLER_NAMESPACE"
    )]
    pub(crate) controller_namespace: String,
    /// Name of the controller's Service
    #[arg(
        long,
        value_name = "NAME",
        default_value = "sealed-secrets-controller",
        env = "SEALED_SECRETS_CONTROLLER_NAME"
    )]
    pub(crate) controller_name: String,
}

/// Fetches the text of the certificate, unjudged.
pub(crate) fn fetch(flags: &CertificateFlags, connection: &ConnectionFlags) -> Result<Vec<u8>, CommandError> {
    match flags.cert.as_deref().filter(|cert| !cert.is_empty()) {
        None => {
            connection::fetch_from_controller(connection, &flags.controller_namespace, &flags.controller_name)
        }
        Some(cert) => match scheme_of(cert) {
            None => from_file(cert.into()),
            Some("file") => from_file(cert["file://".len()..].into()),
            Some("http" | "https") => connection::fetch_url(cert, connection.timeout()?),
            Some(scheme) => {
                Err(CommandError::input(format!("Get {cert:?}: unsupported protocol scheme {scheme:?}")))
            }
        },
    }
}

/// Fetches the certificate and refuses one whose time is over.
pub(crate) fn load(
    flags: &CertificateFlags,
    connection: &ConnectionFlags,
) -> Result<Certificate, CommandError> {
    let certificate = Certificate::from_pem(&fetch(flags, connection)?).map_err(CommandError::input)?;
    certificate.check_not_expired(Timestamp::now().as_second()).map_err(|error| {
        CommandError::input(error)
            .hint("sealops fetch-cert > cert.pem gets the current one from the controller")
    })?;
    Ok(certificate)
}

/// Warns of a certificate whose time has not come: legal, and mostly a wrong clock.
pub(crate) fn warn_if_not_yet_valid(certificate: &Certificate) {
    let start = certificate.not_before();
    if start > Timestamp::now().as_second()
        && let Ok(start) = Timestamp::from_second(start)
    {
        ui::warn(&format!("the certificate is not valid before {start}; is the clock right?"));
    }
}

fn from_file(path: PathBuf) -> Result<Vec<u8>, CommandError> {
    Ok(files::read(&path, MAX_BYTES)?.expose().to_vec())
}

/// Returns the scheme of a URL. One letter is a Windows drive.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_word = scheme.len() > 1 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then_some(scheme)
}
