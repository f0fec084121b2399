//! Writing PKCS#12 files.

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Tag};
use sealops_formats::Plaintext;

use super::cipher::{self, Password};
use super::*;

/// A certificate that Java shall trust.
pub struct Trusted<'a> {
    /// The certificate in DER.
    pub der: &'a [u8],
    /// What it is called.
    pub name: &'a str,
}

/// Writes a key (PKCS#8 in DER) with its certificate, and those that follow it.
///
/// # Errors
/// If the password cannot be written in UCS-2, or it is too much work.
pub fn write(
    work: &mut dyn Work,
    password: &[u8],
    key: &Plaintext,
    leaf: &[u8],
    others: &[&[u8]],
) -> Result<Vec<u8>, Error> {
    let password = Password::new(password)?;
    let id = cipher::sha1(leaf);
    let id = attribute(LOCAL_KEY_ID, &octet_string(&id)?)?;
    let mut bags = vec![cert_bag(leaf, Some(&id))?];
    for other in others {
        bags.push(cert_bag(other, None)?);
    }
    let shrouded = cipher::encrypt(work, key.expose(), &password, |algorithm, bytes| {
        ShroudedKey { algorithm, bytes: OctetStringRef::new(bytes)? }.to_der()
    })?;
    let key_bag = bag(SHROUDED_KEY_BAG, &shrouded, Some(&id))?;
    let safe = [encrypted(work, &bags, &password)?, plain(&[key_bag])?];
    pfx(work, &safe, &password)
}

/// Writes certificates that Java shall trust.
///
/// # Errors
/// If the password or a name cannot be written in UCS-2, or it is too much work.
pub fn write_trusted(
    work: &mut dyn Work,
    password: &[u8],
    certificates: &[Trusted<'_>],
) -> Result<Vec<u8>, Error> {
    let password = Password::new(password)?;
    let trusted = attribute(JAVA_TRUSTED, &ANY_USE.to_der().map_err(malformed)?)?;
    let mut bags = Vec::new();
    for certificate in certificates {
        let name = Password::new(certificate.name.as_bytes())?;
        let name = AnyRef::new(Tag::BmpString, name.unterminated()).and_then(|name| name.to_der());
        let name = attribute(FRIENDLY_NAME, &name.map_err(malformed)?)?;
        bags.push(cert_bag(certificate.der, Some(&[name, trusted.clone()].concat()))?);
    }
    let safe = [encrypted(work, &bags, &password)?];
    pfx(work, &safe, &password)
}

fn octet_string(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    OctetStringRef::new(bytes).and_then(|octets| octets.to_der()).map_err(malformed)
}

fn set(content: &[u8]) -> Result<AnyRef<'_>, Error> {
    AnyRef::new(Tag::Set, content).map_err(malformed)
}

fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Result<Vec<u8>, Error> {
    Attribute { kind, values: set(value)? }.to_der().map_err(malformed)
}

fn bag(kind: ObjectIdentifier, value: &[u8], attributes: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let value = AnyRef::from_der(value).map_err(malformed)?;
    SafeBag { kind, value, attributes: attributes.map(set).transpose()? }.to_der().map_err(malformed)
}

fn cert_bag(der: &[u8], attributes: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let der = OctetStringRef::new(der).map_err(malformed)?;
    let value = CertBag { kind: X509, der }.to_der().map_err(malformed)?;
    bag(CERT_BAG, &value, attributes)
}

fn sequence(items: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    AnyRef::new(Tag::Sequence, &items.concat()).and_then(|list| list.to_der()).map_err(malformed)
}

fn content_info(kind: ObjectIdentifier, content: &[u8]) -> Result<Vec<u8>, Error> {
    let content = AnyRef::from_der(content).map_err(malformed)?;
    ContentInfo { kind, content }.to_der().map_err(malformed)
}

fn plain(bags: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    content_info(DATA, &octet_string(&sequence(bags)?)?)
}

fn encrypted(work: &mut dyn Work, bags: &[Vec<u8>], password: &Password) -> Result<Vec<u8>, Error> {
    let data = cipher::encrypt(work, &sequence(bags)?, password, |algorithm, bytes| {
        let bytes = Some(OctetStringRef::new(bytes)?);
        EncryptedData { version: 0, content: EncryptedContent { kind: DATA, algorithm, bytes } }.to_der()
    })?;
    content_info(ENCRYPTED_DATA, &data)
}

fn pfx(work: &mut dyn Work, safe: &[Vec<u8>], password: &Password) -> Result<Vec<u8>, Error> {
    let safe = sequence(safe)?;
    let content = octet_string(&safe)?;
    let content = AnyRef::from_der(&content).map_err(malformed)?;
    cipher::mac(work, &safe, password, |mac| {
        Pfx { version: 3, safe: ContentInfo { kind: DATA, content }, mac: Some(mac) }.to_der()
    })
}
