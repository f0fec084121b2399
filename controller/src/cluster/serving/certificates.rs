//! The certificate of a server: judged, and followed in a folder that is mounted from a Secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sealops_formats::Plaintext;

use crate::cluster::lock;

/// File and entry of the authority's certificate.
pub(super) const CA_CERTIFICATE: &str = "ca.crt";
/// Entry of the authority's key.
pub(super) const CA_KEY: &str = "ca.key";
/// File and entry of the certificate.
pub(super) const CERTIFICATE: &str = "tls.crt";
/// File and entry of its key.
pub(super) const KEY: &str = "tls.key";
/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A certificate with its key and the authority, as text.
pub(super) struct Material {
    pub(super) authority: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Plaintext,
}

impl Material {
    /// Reads the three files of a folder.
    ///
    /// # Errors
    /// Returns which file cannot be read.
    fn read(folder: &Path) -> Result<Self, String> {
        let file = |name: &str| {
            let path = folder.join(name);
            let problem = |what: &dyn fmt::Display| format!("{}: {what}", path.display());
            let size = std::fs::metadata(&path).map_err(|error| problem(&error))?.len();
            if size > MAX_FILE_BYTES {
                return Err(problem(&format!("the file is larger than {MAX_FILE_BYTES} bytes")));
            }
            std::fs::read(&path).map_err(|error| problem(&error))
        };
        Ok(Self {
            authority: file(CA_CERTIFICATE)?,
            certificate: file(CERTIFICATE)?,
            key: Plaintext::from(file(KEY)?),
        })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.authority == other.authority
            && self.certificate == other.certificate
            && self.key.ct_eq(&other.key)
    }

    /// Returns what a server serves, if it is right for a name at a time, in seconds since 1970.
    ///
    /// # Errors
    /// Returns what is wrong.
    pub(super) fn judged(&self, dns_name: &str, at: i64) -> Result<CertifiedKey, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = certificates(&self.certificate).map_err(|problem| format!("{CERTIFICATE}: {problem}"))?;
        let authorities =
            certificates(&self.authority).map_err(|problem| format!("{CA_CERTIFICATE}: {problem}"))?;
        verify(&chain, authorities, dns_name, at, &provider)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose())
            .map_err(|_| format!("{KEY}: there is no private key in PEM"))?;
        CertifiedKey::from_der(chain, key, &provider)
            .map_err(|_| format!("{KEY}: the key cannot be used, or is not that of {CERTIFICATE}"))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| "there is no certificate in PEM".to_owned())
}

fn verify(
    chain: &[CertificateDer<'_>],
    authorities: Vec<CertificateDer<'_>>,
    dns_name: &str,
    at: i64,
    provider: &Arc<CryptoProvider>,
) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| format!("{CA_CERTIFICATE}: {error}"))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| format!("{CA_CERTIFICATE}: {error}"))?;
    let name = ServerName::try_from(dns_name).map_err(|_| format!("{dns_name:?} is no DNS name"))?;
    let (end, rest) = chain.split_first().ok_or_else(|| format!("{CERTIFICATE}: there is none"))?;
    let seconds = u64::try_from(at).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    verifier
        .verify_server_cert(end, rest, &name, &[], at)
        .map(drop)
        .map_err(|error| format!("{CERTIFICATE} is not right for {dns_name}: {error}"))
}

/// The certificate in a folder, as it is now.
pub(super) struct Followed {
    folder: PathBuf,
    dns_name: String,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    material: Option<Material>,
    served: Option<Arc<CertifiedKey>>,
}

/// Prints the folder only.
impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Followed {
    pub(super) fn new(folder: PathBuf, dns_name: String) -> Self {
        Self { folder, dns_name, held: Mutex::default() }
    }

    /// Reads the folder. What is there now is served if it is right at `now`; else what was served before still is.
    /// Returns whether something else is served than before.
    ///
    /// # Errors
    /// Returns what is wrong with the files.
    pub(super) fn load(&self, now: i64) -> Result<bool, String> {
        let material = Material::read(&self.folder)?;
        let mut held = lock(&self.held);
        if held.material.as_ref().is_some_and(|known| known.is_same(&material)) {
            return Ok(false);
        }
        held.served = Some(Arc::new(material.judged(&self.dns_name, now)?));
        held.material = Some(material);
        Ok(true)
    }

    /// Judges what is served at a time, in seconds since 1970.
    ///
    /// # Errors
    /// Returns what is wrong.
    pub(super) fn check(&self, at: i64) -> Result<(), String> {
        match &lock(&self.held).material {
            Some(material) => material.judged(&self.dns_name, at).map(drop),
            None => Err("there is no certificate yet".to_owned()),
        }
    }
}

impl ResolvesServerCert for Followed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        lock(&self.held).served.clone()
    }
}

#[cfg(test)]
mod tests {
    use sealops_crypto::serving::{Authority, Validity};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn write(folder: &Path, authority: &Authority, name: &str, validity: Validity) {
        let issued = authority.issue(name, validity).unwrap();
        std::fs::write(folder.join(CA_CERTIFICATE), authority.certificate()).unwrap();
        std::fs::write(folder.join(CERTIFICATE), &issued.certificate).unwrap();
        std::fs::write(folder.join(KEY), issued.private_key.expose()).unwrap();
    }

    #[test]
    fn a_certificate_is_followed_and_a_bad_one_does_not_replace_a_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let long = Validity { not_before: NOW - 10, not_after: NOW + 1000 };
        let authority = Authority::generate(long).unwrap();
        let followed = Followed::new(folder.path().to_owned(), "w.s.svc".to_owned());
        assert!(followed.load(NOW).unwrap_err().contains("ca.crt"));
        assert!(followed.check(NOW).is_err());

        write(folder.path(), &authority, "w.s.svc", long);
        assert_eq!(followed.load(NOW), Ok(true));
        assert_eq!(followed.load(NOW), Ok(false));
        let first = lock(&followed.held).served.clone().unwrap();
        assert_eq!(followed.check(NOW), Ok(()));
        assert!(followed.check(NOW + 2000).is_err(), "its time is over then");

        write(folder.path(), &authority, "other.s.svc", long);
        assert!(followed.load(NOW).unwrap_err().contains("w.s.svc"));
        assert!(Arc::ptr_eq(&first, lock(&followed.held).served.as_ref().unwrap()));

        write(folder.path(), &Authority::generate(long).unwrap(), "w.s.svc", long);
        assert_eq!(followed.load(NOW), Ok(true));
        std::fs::write(folder.path().join(CA_CERTIFICATE), authority.certificate()).unwrap();
        assert!(followed.load(NOW).is_err(), "issued by another authority");
        std::fs::write(folder.path().join(KEY), "").unwrap();
        assert!(followed.load(NOW).is_err());
    }
}
