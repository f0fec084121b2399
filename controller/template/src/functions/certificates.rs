//! Generated keys and certificates: sprig's `genPrivateKey`, `genCA` and what is signed by one.
//!
//! Every key costs one of the few that a template may make ([`crate::budget::MAX_KEYS`]).

use std::net::IpAddr;
use std::rc::Rc;

use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use sealops_formats::{Plaintext, base64};
use time::{Duration, OffsetDateTime};

use super::keys::PrivateKey;
use super::{Function, chain, pem};
use crate::context::{Context, KeyKind};
use crate::error::FunctionError;
use crate::value::{List, Struct, StructKind, Text, Type, Value};

const CERTIFICATE: Type = Type::Struct("sprig.certificate");
/// Bits of the RSA keys that certificates are made for.
const CERTIFICATE_BITS: u32 = 2048;
/// Bits of the RSA keys that `genPrivateKey` makes.
const KEY_BITS: u32 = 4096;
const DAY_NANOS: i64 = 86_400_000_000_000;
/// Steps that one signature costs.
const SIGN_STEPS: u64 = 20_000;

type Made = Result<Value, FunctionError>;

/// `genPrivateKey`, `buildCustomCert`, `genCA`, `genSelfSignedCert`, `genSignedCert` and their forms with a key.
pub(crate) const TABLE: &[Function] = &[
    Function::new("genPrivateKey", &[Type::String], generate_key),
    Function::new("buildCustomCert", &[Type::String, Type::String], build),
    Function::new("genCA", &[Type::String, Type::INT], |context, args| {
        let key = rsa_key(context)?;
        authority(context, args, key)
    }),
    Function::new("genCAWithKey", &[Type::String, Type::INT, Type::String], |context, args| {
        let key = given_key(&args[2])?;
        authority(context, args, key)
    }),
    Function::new(
        "genSelfSignedCert",
        &[Type::String, Type::LIST, Type::LIST, Type::INT],
        |context, args| {
            let key = rsa_key(context)?;
            self_signed(context, args, key)
        },
    ),
    Function::new(
        "genSelfSignedCertWithKey",
        &[Type::String, Type::LIST, Type::LIST, Type::INT, Type::String],
        |context, args| {
            let key = given_key(&args[4])?;
            self_signed(context, args, key)
        },
    ),
    Function::new(
        "genSignedCert",
        &[Type::String, Type::LIST, Type::LIST, Type::INT, CERTIFICATE],
        |context, args| {
            let key = rsa_key(context)?;
            signed(context, args, key)
        },
    ),
    Function::new(
        "genSignedCertWithKey",
        &[Type::String, Type::LIST, Type::LIST, Type::INT, CERTIFICATE, Type::String],
        |context, args| {
            let key = given_key(&args[5])?;
            signed(context, args, key)
        },
    ),
];

/// An unknown kind is a text in the result, as sprig has it.
fn generate_key(context: &mut Context<'_>, args: &[Value]) -> Made {
    let kind = args[0].as_text()?.as_bytes();
    let kind = match kind {
        b"" | b"rsa" => KeyKind::Rsa(KEY_BITS),
        b"ecdsa" => KeyKind::EcdsaP256,
        b"ed25519" => KeyKind::Ed25519,
        b"dsa" => {
            return Err(FunctionError::failed("DSA keys are not made by sealops; use rsa, ecdsa or ed25519"));
        }
        other => {
            let mut out = Plaintext::from("Unknown type ");
            out.push(other);
            return context.text(out);
        }
    };
    let key = new_key(context, kind)?;
    context.text(key.to_pem())
}

fn new_key(context: &mut Context<'_>, kind: KeyKind) -> Result<PrivateKey, FunctionError> {
    let random = context.random()?;
    context.charge_key()?;
    let pkcs8 = random.private_key(kind)?;
    context.charge_steps(SIGN_STEPS)?;
    PrivateKey::from_pkcs8(pkcs8.expose()).map_err(FunctionError::Failed)
}

fn rsa_key(context: &mut Context<'_>) -> Result<PrivateKey, FunctionError> {
    new_key(context, KeyKind::Rsa(CERTIFICATE_BITS))
}

fn given_key(text: &Value) -> Result<PrivateKey, FunctionError> {
    PrivateKey::from_pem(text.as_text()?.as_bytes())
        .map_err(|error| FunctionError::failed(format!("parsing private key: {error}")))
}

/// Makes the struct that certificates are in templates: `.Cert` and `.Key`.
fn certificate(context: &mut Context<'_>, cert: Plaintext, key: Plaintext) -> Made {
    let fields = vec![("Cert", context.text(cert)?), ("Key", context.text(key)?)];
    Ok(Value::Struct(Rc::new(Struct {
        type_name: "sprig.certificate",
        kind: StructKind::Struct,
        fields,
        display: None,
    })))
}

fn build(context: &mut Context<'_>, args: &[Value]) -> Made {
    let part = |value: &Value, what: &str| {
        base64::decode(value.as_text()?.as_bytes())
            .map_err(|_| FunctionError::failed(format!("unable to decode base64 {what}")))
    };
    let cert = part(&args[0], "certificate")?;
    let key = part(&args[1], "private key")?;
    let (Some(block), _) = pem::decode(cert.expose()) else {
        return Err(FunctionError::failed("unable to decode certificate"));
    };
    chain::x509(block.bytes.expose()).map_err(|error| {
        FunctionError::failed(format!("error parsing certificate: decodedCert.Bytes: {error}"))
    })?;
    PrivateKey::from_pem(key.expose())
        .map_err(|error| FunctionError::failed(format!("error parsing private key: {error}")))?;
    certificate(context, cert, key)
}

fn authority(context: &mut Context<'_>, args: &[Value], key: PrivateKey) -> Made {
    let mut parameters = parameters(context, args, None, args[1].as_int()?)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages.push(KeyUsagePurpose::KeyCertSign);
    sign(context, parameters, &key, None)
}

fn self_signed(context: &mut Context<'_>, args: &[Value], key: PrivateKey) -> Made {
    let parameters = parameters(context, args, Some((&args[1], &args[2])), args[3].as_int()?)?;
    sign(context, parameters, &key, None)
}

fn signed(context: &mut Context<'_>, args: &[Value], key: PrivateKey) -> Made {
    let authority = args[4].as_struct()?;
    let field = |name| authority.field(name).unwrap_or(&Value::Nil).as_text().cloned();
    let (cert, signer): (Text, Text) = (field("Cert")?, field("Key")?);
    let (Some(block), _) = pem::decode(cert.as_bytes()) else {
        return Err(FunctionError::failed("unable to decode certificate"));
    };
    chain::x509(block.bytes.expose()).map_err(|error| {
        FunctionError::failed(format!("error parsing certificate: decodedSignerCert.Bytes: {error}"))
    })?;
    let signer = PrivateKey::from_pem(signer.as_bytes())
        .map_err(|error| FunctionError::failed(format!("error parsing private key: {error}")))?;
    let parameters = parameters(context, args, Some((&args[1], &args[2])), args[3].as_int()?)?;
    sign(context, parameters, &key, Some((block.bytes.expose(), &signer)))
}

/// Returns what all certificates have in common. `names` are IP addresses and DNS names.
fn parameters(
    context: &mut Context<'_>,
    args: &[Value],
    names: Option<(&Value, &Value)>,
    days: i64,
) -> Result<CertificateParams, FunctionError> {
    let mut parameters = CertificateParams::default();
    let name = args[0].as_text()?.as_str().ok_or_else(|| creating("the name is not UTF-8"))?;
    parameters.distinguished_name = DistinguishedName::new();
    let value = match PrintableString::try_from(name) {
        Ok(printable) => DnValue::PrintableString(printable), // as Go: the narrowest type
        Err(_) => DnValue::Utf8String(name.to_owned()),
    };
    parameters.distinguished_name.push(DnType::CommonName, value);
    if let Some((addresses, dns)) = names {
        parameters.subject_alt_names = alternative_names(addresses.as_list()?, dns.as_list()?)?;
    }
    let mut serial = [0; 16];
    context.random()?.fill(&mut serial)?;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = context.clock()?.now();
    let start =
        OffsetDateTime::from_unix_timestamp(now.seconds).map_err(|_| creating("the time is wrong"))?;
    // Go's duration is 64 bits of nanoseconds and wraps.
    let validity = Duration::nanoseconds(DAY_NANOS.wrapping_mul(days));
    let end = start.checked_add(validity).filter(|end| (1..=9999).contains(&end.year()));
    parameters.not_before = start;
    parameters.not_after = end.ok_or_else(|| creating("the validity is out of range"))?;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    parameters.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    parameters.is_ca = IsCa::ExplicitNoCa;
    Ok(parameters)
}

fn alternative_names(addresses: &List, dns: &List) -> Result<Vec<SanType>, FunctionError> {
    let mut names = Vec::new();
    for name in dns.items() {
        let name = name.as_text().map_err(|_| {
            FunctionError::failed("error processing alternate dns name: an item is not a string")
        })?;
        let name = name.as_str().and_then(|name| name.to_owned().try_into().ok());
        names.push(SanType::DnsName(name.ok_or_else(|| creating("a DNS name is not ASCII"))?));
    }
    for address in addresses.items() {
        let address = address
            .as_text()
            .map_err(|_| FunctionError::failed("error parsing ip: an item is not a string"))?;
        let address: Option<IpAddr> = address.as_str().and_then(|text| text.parse().ok());
        let address =
            address.ok_or_else(|| FunctionError::failed("error parsing ip: an item is no address"))?;
        names.push(SanType::IpAddress(address.to_canonical()));
    }
    Ok(names)
}

fn creating(problem: &str) -> FunctionError {
    FunctionError::failed(format!("error creating certificate: x509: {problem}"))
}

/// Signs with an issuer (its certificate and key), or with the key itself.
fn sign(
    context: &mut Context<'_>,
    mut parameters: CertificateParams,
    key: &PrivateKey,
    issuer: Option<(&[u8], &PrivateKey)>,
) -> Made {
    context.charge_steps(SIGN_STEPS)?;
    let failed = |_| creating("the key cannot sign");
    let pair = key_pair(key)?;
    let certificate = match issuer {
        None => parameters.self_signed(&pair).map_err(failed)?,
        Some((der, signer)) => {
            let signer = key_pair(signer)?;
            if chain::x509(der).map_err(FunctionError::Failed)?.public_key().raw
                != signer.subject_public_key_info()
            {
                return Err(creating("provided PrivateKey doesn't match parent's PublicKey"));
            }
            parameters.use_authority_key_identifier_extension = chain::has_key_identifier(der);
            let issuer = Issuer::from_ca_cert_der(&der.into(), signer)
                .map_err(|_| creating("the parent cannot be read"))?;
            parameters.signed_by(&pair, &issuer).map_err(failed)?
        }
    };
    let cert = pem::encode(pem::CERTIFICATE, certificate.der());
    self::certificate(context, cert, key.to_pem())
}

fn key_pair(key: &PrivateKey) -> Result<KeyPair, FunctionError> {
    let pkcs8 = key.to_pkcs8();
    KeyPair::try_from(pkcs8.expose()).map_err(|_| creating("the key cannot sign"))
}
