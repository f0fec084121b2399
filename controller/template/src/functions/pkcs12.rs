//! PKCS#12 files from and to PEM. The files themselves are [`sealops_crypto::pkcs12`]'s.

use sealops_crypto::pkcs12::{self, Error, Trusted, Work};
use sealops_formats::base64;

use super::chain::{self, Certificate, MAX_CERTIFICATES};
use super::keys::PrivateKey;
use super::{Function, Origin, pem};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

/// Rounds of key derivation that cost one step: 2,000,000 to a template, which take about a second.
const ROUNDS_PER_STEP: u64 = 2;

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

/// A template's budget, and why it refused.
struct Budget<'a, 'b> {
    context: &'a mut Context<'b>,
    refused: Option<FunctionError>,
}

impl Budget<'_, '_> {
    fn kept(&mut self, result: Result<(), FunctionError>) -> Result<(), Error> {
        result.map_err(|error| {
            self.refused = Some(error);
            Error::Stopped
        })
    }
}

impl Work for Budget<'_, '_> {
    fn rounds(&mut self, rounds: u32) -> Result<(), Error> {
        let charged = self.context.charge_steps(1 + u64::from(rounds) / ROUNDS_PER_STEP);
        self.kept(charged)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        let filled = self.context.random().and_then(|random| random.fill(bytes));
        self.kept(filled)
    }
}

/// Works on a file on the template's account.
fn working<T>(
    context: &mut Context<'_>,
    work: impl FnOnce(&mut dyn Work) -> Result<T, Error>,
) -> Result<T, FunctionError> {
    let mut budget = Budget { context, refused: None };
    work(&mut budget)
        .map_err(|error| budget.refused.unwrap_or_else(|| FunctionError::failed(error.to_string())))
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
    let found = working(context, |work| pkcs12::read(work, password, file))?;
    let certificates: Result<_, _> =
        found.certificates.iter().map(|der| Certificate::from_der(der)).collect();
    let key = PrivateKey::from_pkcs8(found.key.expose())
        .map_err(|error| failed(&format!("error parsing PKCS#8 private key: {error}")))?;
    Ok(Contents { key, certificates: certificates.map_err(FunctionError::Failed)? })
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
    let (key, others) = (key.to_pkcs8(), others.iter().map(|other| other.der.as_slice()).collect::<Vec<_>>());
    let file = working(context, |work| pkcs12::write(work, password, &key, &leaf.der, &others))?;
    context.text(base64::encode(&file))
}

/// Writes certificates that Java shall trust.
fn trust_store(context: &mut Context<'_>, args: &[Value], password: &[u8]) -> Result<Value, FunctionError> {
    let text = bytes(args, 0)?;
    context.charge_bytes(4 * text.len())?;
    let mut names = Vec::new();
    let certificates = followers(text)?;
    for certificate in &certificates {
        let parsed = chain::x509(&certificate.der).map_err(FunctionError::Failed)?;
        names.push(chain::subject(&parsed));
    }
    let pairs = certificates.iter().zip(&names);
    let trusted: Vec<Trusted<'_>> =
        pairs.map(|(certificate, name)| Trusted { der: &certificate.der, name }).collect();
    let file = working(context, |work| pkcs12::write_trusted(work, password, &trusted))?;
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
