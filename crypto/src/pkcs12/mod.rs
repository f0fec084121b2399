//! PKCS#12 files (RFC 7292): a private key with certificates under a password.
//!
//! Reading takes what go-pkcs12 0.6 takes: AES-CBC under PBKDF2, and the old 3DES and RC2 of files before OpenSSL 3.
//! Writing is its "modern" profile. The structures are a few lines of `der`; a library would sort the certificates its
//! own way, while their order counts.

mod cipher;
mod write;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence};
use pkcs8::spki::AlgorithmIdentifierRef;
use sealops_formats::Plaintext;

use cipher::Password;
pub use write::{Trusted, write, write_trusted};

/// Most certificates of a file.
const MAX_CERTIFICATES: usize = 256;

/// Why a file cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file, its password or what it is to hold does not fit; says why, and nothing of the content.
    #[error("pkcs12: {0}")]
    Failed(String),
    /// [`Work`] was refused.
    #[error("pkcs12: it is too much work")]
    Stopped,
}

/// Who pays for the work, and gives randomness.
pub trait Work {
    /// Asks for so many rounds of key derivation, of which a million take about a second.
    ///
    /// # Errors
    /// Returns [`Error::Stopped`] if they are too many.
    fn rounds(&mut self, rounds: u32) -> Result<(), Error>;

    /// Fills bytes at random. Reading needs none.
    ///
    /// # Errors
    /// Returns [`Error::Stopped`] if there is no randomness.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error>;
}

/// What a file holds.
pub struct Contents {
    /// The private key, as PKCS#8 in DER.
    pub key: Plaintext,
    /// The certificates in DER, in the order of the file; at least one.
    pub certificates: Vec<Vec<u8>>,
}

fn failed(problem: &str) -> Error {
    Error::Failed(problem.to_owned())
}

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
/// Java's mark of a certificate that it trusts, and the use that it is trusted for: any.
const JAVA_TRUSTED: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113894.746875.1.1");
const ANY_USE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

#[derive(Sequence)]
struct Pfx<'a> {
    version: u8,
    safe: ContentInfo<'a>,
    mac: Option<cipher::MacData<'a>>,
}

#[derive(Sequence)]
struct ContentInfo<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

#[derive(Sequence)]
struct EncryptedData<'a> {
    version: u8,
    content: EncryptedContent<'a>,
}

#[derive(Sequence)]
struct EncryptedContent<'a> {
    kind: ObjectIdentifier,
    algorithm: AlgorithmIdentifierRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    bytes: Option<&'a OctetStringRef>,
}

#[derive(Sequence)]
struct SafeBag<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
    attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct CertBag<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    der: &'a OctetStringRef,
}

#[derive(Sequence)]
struct ShroudedKey<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    bytes: &'a OctetStringRef,
}

#[derive(Sequence)]
struct Attribute<'a> {
    kind: ObjectIdentifier,
    values: AnyRef<'a>,
}

/// Opens a file with its password, which may be empty.
///
/// # Errors
/// Returns what is wrong with the file or the password, or that it is too much work.
pub fn read(work: &mut dyn Work, password: &[u8], file: &[u8]) -> Result<Contents, Error> {
    let mut password = Password::new(password)?;
    let pfx = Pfx::from_der(file).map_err(|_| failed("error reading P12 data: this is no PKCS#12 file"))?;
    if pfx.version != 3 {
        return Err(failed("can only decode v3 PFX PDU's"));
    }
    if pfx.safe.kind != DATA {
        return Err(failed("only password-protected PFX is implemented"));
    }
    let safe = octets(pfx.safe.content)?;
    match &pfx.mac {
        Some(mac) => mac.verify(work, safe, &mut password)?,
        None if password.is_empty() => {}
        None => return Err(failed("no MAC in data")),
    }
    let infos = Vec::<ContentInfo<'_>>::from_der(safe).map_err(malformed)?;
    if !(1..=2).contains(&infos.len()) {
        return Err(failed("expected between 1 and 2 items in the authenticated safe"));
    }
    let (mut key, mut certificates) = (None, Vec::new());
    for info in infos {
        let bags = decrypted(work, &info, &password)?;
        for bag in Vec::<SafeBag<'_>>::from_der(bags.expose()).map_err(malformed)? {
            match bag.kind {
                CERT_BAG => certificates.push(certificate(&bag)?),
                KEY_BAG | SHROUDED_KEY_BAG if key.is_some() => {
                    return Err(failed("expected exactly one key bag"));
                }
                KEY_BAG => {
                    let der = Plaintext::from(bag.value.to_der().map_err(malformed)?);
                    key = Some(der);
                }
                SHROUDED_KEY_BAG => {
                    let der = bag.value.to_der().map_err(malformed)?;
                    let shrouded = ShroudedKey::from_der(&der).map_err(malformed)?;
                    let der =
                        cipher::decrypt(work, &shrouded.algorithm, shrouded.bytes.as_bytes(), &password)?;
                    key = Some(der);
                }
                _ => {}
            }
        }
        if certificates.len() > MAX_CERTIFICATES {
            return Err(failed("there are too many certificates"));
        }
    }
    if certificates.is_empty() {
        return Err(failed("certificate missing"));
    }
    Ok(Contents { key: key.ok_or_else(|| failed("private key missing"))?, certificates })
}

fn malformed(_: der::Error) -> Error {
    failed("the file is malformed")
}

fn octets(content: AnyRef<'_>) -> Result<&[u8], Error> {
    Ok(content.decode_as::<&OctetStringRef>().map_err(malformed)?.as_bytes())
}

fn decrypted(work: &mut dyn Work, info: &ContentInfo<'_>, password: &Password) -> Result<Plaintext, Error> {
    match info.kind {
        DATA => Ok(octets(info.content)?.into()),
        ENCRYPTED_DATA => {
            let data: EncryptedData<'_> = info.content.decode_as().map_err(malformed)?;
            if data.version != 0 {
                return Err(failed("only version 0 of EncryptedData is supported"));
            }
            let bytes = data.content.bytes.map_or(&[][..], OctetStringRef::as_bytes);
            cipher::decrypt(work, &data.content.algorithm, bytes, password)
        }
        _ => Err(failed("only data and encryptedData content types are supported in authenticated safe")),
    }
}

fn certificate(bag: &SafeBag<'_>) -> Result<Vec<u8>, Error> {
    let bag: CertBag<'_> = bag.value.decode_as().map_err(malformed)?;
    if bag.kind != X509 {
        return Err(failed("only X509 certificates are supported in cert bags"));
    }
    Ok(bag.der.as_bytes().to_vec())
}
