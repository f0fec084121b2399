//! JSON Web Keys (RFC 7517, 7518, 8037) to PEM.

use std::collections::BTreeMap;

use der::asn1::UintRef;
use sealops_formats::{Plaintext, base64};

use super::keys::{self, Curve, PrivateKey, RsaNumbers};
use super::{Function, Origin, pem};
use crate::context::Context;
use crate::error::FunctionError;
use crate::value::{Type, Value};

/// `jwkPublicKeyPem`, `jwkPrivateKeyPem`.
pub(crate) const TABLE: &[Function] = &[
    Function::new("jwkPublicKeyPem", &[Type::String], |context, args| convert(context, args, public))
        .only(Origin::ExternalSecrets),
    Function::new("jwkPrivateKeyPem", &[Type::String], |context, args| convert(context, args, private))
        .only(Origin::ExternalSecrets),
];

type Convert = fn(&Jwk) -> Result<Plaintext, String>;

fn convert(context: &mut Context<'_>, args: &[Value], to: Convert) -> Result<Value, FunctionError> {
    let text = args[0].as_text()?;
    context.charge_bytes(4 * text.len())?;
    let result = Jwk::read(text.as_bytes()).and_then(|jwk| to(&jwk));
    context.text(result.map_err(FunctionError::Failed)?)
}

/// The members of a key that are texts.
struct Jwk(BTreeMap<String, Plaintext>);

impl Jwk {
    fn read(text: &[u8]) -> Result<Self, String> {
        let unreadable = || "failed to unmarshal JSON into key: this is not a JSON Web Key".to_owned();
        let members: BTreeMap<String, &serde_json::value::RawValue> =
            serde_json::from_slice(text).map_err(|_| unreadable())?;
        let texts = members
            .into_iter()
            .filter_map(|(name, raw)| Some((name, serde_json::from_str::<Plaintext>(raw.get()).ok()?)));
        Ok(Self(texts.collect()))
    }

    fn text(&self, name: &str) -> &[u8] {
        self.0.get(name).map_or(&[], Plaintext::expose)
    }

    fn is_private(&self) -> bool {
        self.0.contains_key("d")
    }

    /// Decodes a member; both alphabets of base64, padded or not, as jwx takes them.
    fn bytes(&self, name: &str) -> Result<Plaintext, String> {
        let wrong = || format!("the member {name:?} of the JSON Web Key is missing or no base64");
        let text = self.0.get(name).ok_or_else(wrong)?.expose();
        let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        let mut standard = Plaintext::with_capacity(end + 3);
        for byte in &text[..end] {
            standard.push(&[match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            }]);
        }
        standard.push(&b"==="[..(4 - end % 4) % 4]);
        base64::decode(standard.expose()).map_err(|_| wrong())
    }

    fn curve(&self) -> Result<Curve, String> {
        match self.text("crv") {
            b"P-256" => Ok(Curve::P256),
            b"P-384" => Ok(Curve::P384),
            b"P-521" => Ok(Curve::P521),
            _ => Err("invalid curve algorithm (P-256, P-384 and P-521 are supported)".to_owned()),
        }
    }

    /// Returns the uncompressed point.
    fn point(&self) -> Result<Vec<u8>, String> {
        let size = self.curve()?.size();
        let mut point = vec![4];
        for name in ["x", "y"] {
            let bytes = self.bytes(name)?;
            let bytes = trimmed(bytes.expose());
            let zeros = size.checked_sub(bytes.len()).ok_or("a coordinate is longer than the curve's")?;
            point.resize(point.len() + zeros, 0);
            point.extend_from_slice(bytes);
        }
        Ok(point)
    }
}

fn trimmed(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|byte| **byte == 0).count()..]
}

fn uint(bytes: &Plaintext) -> Result<UintRef<'_>, String> {
    UintRef::new(bytes.expose()).map_err(|_| "a number of the JSON Web Key is too large".to_owned())
}

/// A private key is no public key, as upstream has it: its public half has to be asked for by its own JWK.
fn public(jwk: &Jwk) -> Result<Plaintext, String> {
    let private = |kind: &str| Err(format!("x509: unsupported public key type: {kind}"));
    let der = match jwk.text("kty") {
        b"RSA" if jwk.is_private() => return private("*rsa.PrivateKey"),
        b"EC" if jwk.is_private() => return private("*ecdsa.PrivateKey"),
        b"OKP" if jwk.is_private() => return private("ed25519.PrivateKey"),
        b"oct" => return private("[]uint8"),
        b"RSA" => keys::rsa_public(uint(&jwk.bytes("n")?)?, uint(&jwk.bytes("e")?)?)?,
        b"EC" => keys::ec_public(jwk.curve()?, &jwk.point()?)?,
        b"OKP" if jwk.text("crv") == b"Ed25519" => keys::ed25519_public(jwk.bytes("x")?.expose())?,
        b"OKP" => return private("x25519.PublicKey"),
        _ => return Err("invalid key type from JSON".to_owned()),
    };
    Ok(pem::encode("PUBLIC KEY", &der))
}

fn private(jwk: &Jwk) -> Result<Plaintext, String> {
    let public = |kind: &str| Err(format!("x509: unknown key type while marshaling PKCS#8: {kind}"));
    let key = match jwk.text("kty") {
        b"RSA" if !jwk.is_private() => return public("*rsa.PublicKey"),
        b"EC" if !jwk.is_private() => return public("*ecdsa.PublicKey"),
        b"OKP" if !jwk.is_private() => return public("ed25519.PublicKey"),
        b"oct" => return public("[]uint8"),
        b"RSA" => rsa(jwk)?,
        b"EC" => {
            let key = PrivateKey::from_scalar(jwk.curve()?, jwk.bytes("d")?.expose())?;
            match &key {
                PrivateKey::Ec { point, .. } if *point == jwk.point()? => key,
                _ => {
                    return Err(
                        "the public key of the JSON Web Key is not that of its private key".to_owned()
                    );
                }
            }
        }
        b"OKP" if jwk.text("crv") == b"Ed25519" => ed25519(jwk)?,
        b"OKP" => return public("x25519.PrivateKey"),
        _ => return Err("invalid key type from JSON".to_owned()),
    };
    Ok(pem::encode(pem::PRIVATE_KEY, key.to_pkcs8().expose()))
}

fn rsa(jwk: &Jwk) -> Result<PrivateKey, String> {
    let names = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
    let [n, e, d, p, q, dp, dq, qi] = names.map(|name| jwk.bytes(name));
    let (n, e, d, p, q, dp, dq, qi) = (n?, e?, d?, p?, q?, dp?, dq?, qi?);
    PrivateKey::from_numbers(&RsaNumbers {
        version: 0,
        n: uint(&n)?,
        e: uint(&e)?,
        d: uint(&d)?,
        p: uint(&p)?,
        q: uint(&q)?,
        dp: uint(&dp)?,
        dq: uint(&dq)?,
        qi: uint(&qi)?,
    })
}

fn ed25519(jwk: &Jwk) -> Result<PrivateKey, String> {
    let key = PrivateKey::from_seed(jwk.bytes("d")?.expose())?;
    if key.to_public()? != keys::ed25519_public(jwk.bytes("x")?.expose())? {
        return Err("invalid x value given d value".to_owned());
    }
    Ok(key)
}
