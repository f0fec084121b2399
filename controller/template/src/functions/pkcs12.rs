//! PKCS#12 files (RFC 7292) from and to PEM.
//!
//! Reading takes what go-pkcs12 0.6 takes: AES-CBC under PBKDF2, and the old 3DES and RC2 of files before OpenSSL 3.
//! Writing is its "modern" profile. The structures are a few lines of `der`; a library would sort the certificates its
//! own way, while their order is what `pkcs12cert` returns.

mod crypto;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence, Tag};
use pkcs8::spki::AlgorithmIdentifierRef;
use sealops_formats::{Plaintext, base64};

use super::chain::{self, Certificate, MAX_CERTIFICATES};
use super::keys::PrivateKey;
use super::{Function, Origin, pem};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};
use crypto::Password;

const fn read(name: &'static str, parameters: &'static [Type], call: super::Call) -> Function {
    Function::new(name, parameters, call).only(Origin::ExternalSecrets)
}

const TEXT: Type = Type::String;
const NO_PASSWORD: &[u8] = b"";

/// Reads (`pkcs12key`, `pkcs12cert`) and writes (`pemToPkcs12`, `fullPemToPkcs12`, `pemTruststoreToPKCS12`), each also
/// with a password.
pub(crate) const TABLE: &[Function] = &[
    read("pkcs12key", &[TEXT], |context, args| key(context, NO_PASSWORD, bytes(args, 0)?)),
    read("pkcs12keyPass", &[TEXT; 2], |context, args| key(context, bytes(args, 0)?, bytes(args, 1)?)),
    read("pkcs12cert", &[TEXT], |context, args| certificates(context, NO_PASSWORD, bytes(args, 0)?)),
    read("pkcs12certPass", &[TEXT; 2], |context, args| {
        certificates(context, bytes(args, 0)?, bytes(args, 1)?)
    }),
    read("pemToPkcs12", &[TEXT; 2], |context, args| store(context, args, NO_PASSWORD, false)),
    read("pemToPkcs12Pass", &[TEXT; 3], |context, args| store(context, args, bytes(args, 2)?, false)),
    read("fullPemToPkcs12", &[TEXT; 2], |context, args| store(context, args, NO_PASSWORD, true)),
    read("fullPemToPkcs12Pass", &[TEXT; 3], |context, args| store(context, args, bytes(args, 2)?, true)),
    read("pemTruststoreToPKCS12", &[TEXT], |context, args| trust_store(context, args, NO_PASSWORD)),
    read("pemTruststoreToPKCS12Pass", &[TEXT; 2], |context, args| {
        trust_store(context, args, bytes(args, 1)?)
    }),
];

fn bytes(args: &[Value], index: usize) -> Result<&[u8], FunctionError> {
    Ok(args[index].as_text()?.as_bytes())
}

fn failed(problem: &str) -> FunctionError {
    FunctionError::failed(format!("pkcs12: {problem}"))
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
    mac: Option<crypto::MacData<'a>>,
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

fn key(context: &mut Context<'_>, password: &[u8], file: &[u8]) -> Result<Value, FunctionError> {
    let contents = open(context, password, file).map_err(|error| prefixed("pkcs12 with password", error))?;
    context.text(pem::encode(pem::PRIVATE_KEY, contents.key.to_pkcs8().expose()))
}

/// The certificates as one chain from the leaf on, or in the order of the file where they are none.
fn certificates(context: &mut Context<'_>, password: &[u8], file: &[u8]) -> Result<Value, FunctionError> {
    let contents =
        open(context, password, file).map_err(|error| prefixed("pkcs12 certificate with password", error))?;
    let unordered = chain::to_pem(&contents.certificates);
    let ordered = chain::ordered(unordered.expose()).map(|chain| chain::to_pem(&chain));
    context.text(ordered.unwrap_or(unordered))
}

fn prefixed(what: &str, error: FunctionError) -> FunctionError {
    match error {
        FunctionError::Failed(text) => FunctionError::Failed(format!("unable to decode {what}: {text}")),
        other => other,
    }
}

/// What a file holds.
struct Contents {
    key: PrivateKey,
    certificates: Vec<Certificate>,
}

fn open(context: &mut Context<'_>, password: &[u8], file: &[u8]) -> Result<Contents, FunctionError> {
    context.charge_bytes(4 * file.len())?;
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
        Some(mac) => mac.verify(context, safe, &mut password)?,
        None if password.is_empty() => {}
        None => return Err(failed("no MAC in data")),
    }
    let infos = Vec::<ContentInfo<'_>>::from_der(safe).map_err(malformed)?;
    if !(1..=2).contains(&infos.len()) {
        return Err(failed("expected between 1 and 2 items in the authenticated safe"));
    }
    let (mut key, mut certificates) = (None, Vec::new());
    for info in infos {
        let bags = decrypted(context, &info, &password)?;
        for bag in Vec::<SafeBag<'_>>::from_der(bags.expose()).map_err(malformed)? {
            match bag.kind {
                CERT_BAG => certificates.push(certificate(&bag)?),
                KEY_BAG | SHROUDED_KEY_BAG if key.is_some() => {
                    return Err(failed("expected exactly one key bag"));
                }
                KEY_BAG => {
                    let der = Plaintext::from(bag.value.to_der().map_err(malformed)?);
                    key = Some(private_key(der.expose())?);
                }
                SHROUDED_KEY_BAG => {
                    let der = bag.value.to_der().map_err(malformed)?;
                    let shrouded = ShroudedKey::from_der(&der).map_err(malformed)?;
                    let der =
                        crypto::decrypt(context, &shrouded.algorithm, shrouded.bytes.as_bytes(), &password)?;
                    key = Some(private_key(der.expose())?);
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

fn malformed(_: der::Error) -> FunctionError {
    failed("the file is malformed")
}

fn octets(content: AnyRef<'_>) -> Result<&[u8], FunctionError> {
    Ok(content.decode_as::<&OctetStringRef>().map_err(malformed)?.as_bytes())
}

fn decrypted(
    context: &mut Context<'_>,
    info: &ContentInfo<'_>,
    password: &Password,
) -> Result<Plaintext, FunctionError> {
    match info.kind {
        DATA => Ok(octets(info.content)?.into()),
        ENCRYPTED_DATA => {
            let data: EncryptedData<'_> = info.content.decode_as().map_err(malformed)?;
            if data.version != 0 {
                return Err(failed("only version 0 of EncryptedData is supported"));
            }
            let bytes = data.content.bytes.map_or(&[][..], OctetStringRef::as_bytes);
            crypto::decrypt(context, &data.content.algorithm, bytes, password)
        }
        _ => Err(failed("only data and encryptedData content types are supported in authenticated safe")),
    }
}

fn certificate(bag: &SafeBag<'_>) -> Result<Certificate, FunctionError> {
    let bag: CertBag<'_> = bag.value.decode_as().map_err(malformed)?;
    if bag.kind != X509 {
        return Err(failed("only X509 certificates are supported in cert bags"));
    }
    Certificate::from_der(bag.der.as_bytes()).map_err(FunctionError::Failed)
}

fn private_key(der: &[u8]) -> Result<PrivateKey, FunctionError> {
    PrivateKey::from_pkcs8(der).map_err(|error| failed(&format!("error parsing PKCS#8 private key: {error}")))
}

/// Writes a key with its certificate and, if `full`, those that follow it.
fn store(
    context: &mut Context<'_>,
    args: &[Value],
    password: &[u8],
    full: bool,
) -> Result<Value, FunctionError> {
    let (text, key) = (bytes(args, 0)?, bytes(args, 1)?);
    context.charge_bytes(4 * (text.len() + key.len()))?;
    let no_block = |what: &str| FunctionError::failed(format!("there is no PEM block in the {what}"));
    let (Some(block), rest) = pem::decode(text) else { return Err(no_block("certificate")) };
    let leaf = Certificate::from_der(block.bytes.expose()).map_err(FunctionError::Failed)?;
    let others = if full { followers(rest)? } else { Vec::new() };
    let (Some(block), _) = pem::decode(key) else { return Err(no_block("private key")) };
    let key = PrivateKey::from_der(block.bytes.expose()).map_err(FunctionError::Failed)?;
    let password = Password::new(password)?;
    let id = crypto::sha1(&leaf.der);
    let id = attribute(LOCAL_KEY_ID, &octet_string(&id)?)?;
    let mut bags = vec![cert_bag(&leaf.der, Some(&id))?];
    for other in &others {
        bags.push(cert_bag(&other.der, None)?);
    }
    let shrouded = crypto::encrypt(context, key.to_pkcs8().expose(), &password, |algorithm, bytes| {
        ShroudedKey { algorithm, bytes: OctetStringRef::new(bytes)? }.to_der()
    })?;
    let key_bag = bag(SHROUDED_KEY_BAG, &shrouded, Some(&id))?;
    let safe = [encrypted(context, &bags, &password)?, plain(&[key_bag])?];
    let file = pfx(context, &safe, &password)?;
    context.text(base64::encode(&file))
}

/// Writes certificates that Java shall trust.
fn trust_store(context: &mut Context<'_>, args: &[Value], password: &[u8]) -> Result<Value, FunctionError> {
    let text = bytes(args, 0)?;
    context.charge_bytes(4 * text.len())?;
    let password = Password::new(password)?;
    let trusted = attribute(JAVA_TRUSTED, &ANY_USE.to_der().map_err(malformed)?)?;
    let mut bags = Vec::new();
    for certificate in followers(text)? {
        let parsed = chain::x509(&certificate.der).map_err(FunctionError::Failed)?;
        let name = Password::new(chain::subject(&parsed).as_bytes())?;
        let name = AnyRef::new(Tag::BmpString, name.unterminated()).and_then(|name| name.to_der());
        let name = attribute(FRIENDLY_NAME, &name.map_err(malformed)?)?;
        bags.push(cert_bag(&certificate.der, Some(&[name, trusted.clone()].concat()))?);
    }
    let safe = [encrypted(context, &bags, &password)?];
    let file = pfx(context, &safe, &password)?;
    context.text(base64::encode(&file))
}

/// Reads certificates that fill all of a text.
fn followers(text: &[u8]) -> Result<Vec<Certificate>, FunctionError> {
    let (mut certificates, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (Some(block), after) = pem::decode(rest) else {
            return Err(FunctionError::failed("there is text besides the certificates"));
        };
        rest = after;
        certificates.push(Certificate::from_der(block.bytes.expose()).map_err(FunctionError::Failed)?);
        if certificates.len() > MAX_CERTIFICATES {
            return Err(failed("there are too many certificates"));
        }
    }
    Ok(certificates)
}

fn octet_string(bytes: &[u8]) -> Result<Vec<u8>, FunctionError> {
    OctetStringRef::new(bytes).and_then(|octets| octets.to_der()).map_err(malformed)
}

fn set(content: &[u8]) -> Result<AnyRef<'_>, FunctionError> {
    AnyRef::new(Tag::Set, content).map_err(malformed)
}

fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Result<Vec<u8>, FunctionError> {
    Attribute { kind, values: set(value)? }.to_der().map_err(malformed)
}

fn bag(kind: ObjectIdentifier, value: &[u8], attributes: Option<&[u8]>) -> Result<Vec<u8>, FunctionError> {
    let value = AnyRef::from_der(value).map_err(malformed)?;
    SafeBag { kind, value, attributes: attributes.map(set).transpose()? }.to_der().map_err(malformed)
}

fn cert_bag(der: &[u8], attributes: Option<&[u8]>) -> Result<Vec<u8>, FunctionError> {
    let der = OctetStringRef::new(der).map_err(malformed)?;
    let value = CertBag { kind: X509, der }.to_der().map_err(malformed)?;
    bag(CERT_BAG, &value, attributes)
}

fn sequence(items: &[Vec<u8>]) -> Result<Vec<u8>, FunctionError> {
    AnyRef::new(Tag::Sequence, &items.concat()).and_then(|list| list.to_der()).map_err(malformed)
}

fn content_info(kind: ObjectIdentifier, content: &[u8]) -> Result<Vec<u8>, FunctionError> {
    let content = AnyRef::from_der(content).map_err(malformed)?;
    ContentInfo { kind, content }.to_der().map_err(malformed)
}

fn plain(bags: &[Vec<u8>]) -> Result<Vec<u8>, FunctionError> {
    content_info(DATA, &octet_string(&sequence(bags)?)?)
}

fn encrypted(
    context: &mut Context<'_>,
    bags: &[Vec<u8>],
    password: &Password,
) -> Result<Vec<u8>, FunctionError> {
    let data = crypto::encrypt(context, &sequence(bags)?, password, |algorithm, bytes| {
        let bytes = Some(OctetStringRef::new(bytes)?);
        EncryptedData { version: 0, content: EncryptedContent { kind: DATA, algorithm, bytes } }.to_der()
    })?;
    content_info(ENCRYPTED_DATA, &data)
}

fn pfx(context: &mut Context<'_>, safe: &[Vec<u8>], password: &Password) -> Result<Vec<u8>, FunctionError> {
    let safe = sequence(safe)?;
    let content = octet_string(&safe)?;
    let content = AnyRef::from_der(&content).map_err(malformed)?;
    crypto::mac(context, &safe, password, |mac| {
        Pfx { version: 3, safe: ContentInfo { kind: DATA, content }, mac: Some(mac) }.to_der()
    })
}
