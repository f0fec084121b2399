//! Private keys in the three DER forms that Go reads (PKCS#1, SEC 1, PKCS#8), and written as Go writes them.
//!
//! Only the structure is handled here; arithmetic is AWS-LC's. Keys on P-224 and in DSA are refused: AWS-LC has neither,
//! and no certificate authority takes them.

use aws_lc_rs::agreement;
use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair};
use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use sealops_formats::Plaintext;

use super::pem;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A curve for signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::P256 => "1.2.840.10045.3.1.7",
            Self::P384 => "1.3.132.0.34",
            Self::P521 => "1.3.132.0.35",
        })
    }

    fn named(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid() == oid)
    }

    /// Returns the length of a coordinate and of a private key, in bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn signature(self) -> &'static signature::EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1,
        }
    }

    fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
        }
    }
}

/// A private key.
pub(super) enum PrivateKey {
    /// RSA: the PKCS#1 structure.
    Rsa(Plaintext),
    /// ECDSA: the private number and the uncompressed point.
    Ec { curve: Curve, scalar: Plaintext, point: Vec<u8> },
    /// Ed25519: the seed.
    Ed25519(Plaintext),
}

/// RFC 8017, appendix A.1.2: a key of two primes.
#[derive(Sequence)]
pub(super) struct RsaNumbers<'a> {
    pub(super) version: u8,
    pub(super) n: UintRef<'a>,
    pub(super) e: UintRef<'a>,
    pub(super) d: UintRef<'a>,
    pub(super) p: UintRef<'a>,
    pub(super) q: UintRef<'a>,
    pub(super) dp: UintRef<'a>,
    pub(super) dq: UintRef<'a>,
    pub(super) qi: UintRef<'a>,
}

/// RFC 8017, appendix A.1.1.
#[derive(Sequence)]
struct RsaPublicNumbers<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}

/// RFC 5915.
#[derive(Sequence)]
struct Sec1<'a> {
    version: u8,
    key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    point: Option<BitStringRef<'a>>,
}

const UNREADABLE: &str = "the key is not readable";

impl PrivateKey {
    /// Reads PKCS#1, PKCS#8 or SEC 1, in this order.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        Self::from_pkcs1(der)
            .or_else(|_| Self::from_pkcs8(der))
            .or_else(|_| Self::from_sec1(der))
            .map_err(|_| "unable to parse private key type".to_owned())
    }

    /// Reads the first block of a PEM text by its type, as sprig does.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, String> {
        let (Some(block), _) = pem::decode(text) else { return Err("no PEM data in input".to_owned()) };
        let der = block.bytes.expose();
        match block.kind {
            b"PRIVATE KEY" => {
                Self::from_pkcs8(der).map_err(|error| format!("decoding PEM as PKCS#8: {error}"))
            }
            b"RSA PRIVATE KEY" => {
                Self::from_pkcs1(der).map_err(|error| format!("parsing RSA private key from PEM: {error}"))
            }
            b"EC PRIVATE KEY" => {
                Self::from_sec1(der).map_err(|error| format!("parsing EC private key from PEM: {error}"))
            }
            b"DSA PRIVATE KEY" => Err("DSA keys are not supported by sealops".to_owned()),
            kind if kind.ends_with(b" PRIVATE KEY") => Err("invalid private key type".to_owned()),
            _ => Err("no private key data in PEM block".to_owned()),
        }
    }

    /// Reads PKCS#1.
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, String> {
        let numbers = RsaNumbers::from_der(der).map_err(|_| UNREADABLE.to_owned())?;
        Self::from_numbers(&numbers)
    }

    /// Takes the numbers of an RSA key. Those of a size that AWS-LC works with are checked against each other.
    pub(super) fn from_numbers(numbers: &RsaNumbers<'_>) -> Result<Self, String> {
        let der = numbers.to_der().map_err(|_| UNREADABLE.to_owned())?;
        let key = Self::Rsa(der.into());
        let bits = bits(numbers.n.as_bytes());
        let usable = (2048..=8192).contains(&bits) && bits.is_multiple_of(8);
        if numbers.version != 0 || bits < 512 || (usable && key.rsa_for_decryption().is_err()) {
            return Err("the numbers of the RSA key do not fit together".to_owned());
        }
        Ok(key)
    }

    /// Reads PKCS#8.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| UNREADABLE.to_owned())?;
        let key = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA => Self::from_pkcs1(key),
            EC => {
                let curve = info.algorithm.parameters_oid().map_err(|_| UNREADABLE.to_owned())?;
                Self::from_ec(key, Some(curve))
            }
            ED25519 => {
                let seed = <&OctetStringRef>::from_der(key).map_err(|_| UNREADABLE.to_owned())?;
                Self::from_seed(seed.as_bytes())
            }
            _ => Err("keys of this algorithm are not supported".to_owned()),
        }
    }

    /// Reads SEC 1.
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, String> {
        Self::from_ec(der, None)
    }

    fn from_ec(der: &[u8], named: Option<ObjectIdentifier>) -> Result<Self, String> {
        let sec1 = Sec1::from_der(der).map_err(|_| UNREADABLE.to_owned())?;
        let curve = named.or(sec1.curve).and_then(Curve::named);
        let curve = curve.ok_or("the curve is not supported (P-256, P-384 and P-521 are)")?;
        if sec1.version != 1 {
            return Err(UNREADABLE.to_owned());
        }
        Self::from_scalar(curve, sec1.key.as_bytes())
    }

    /// Takes the private number of an ECDSA key; leading zeros do not matter.
    pub(super) fn from_scalar(curve: Curve, number: &[u8]) -> Result<Self, String> {
        let wrong = || "the number is out of range for the curve".to_owned();
        let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        let zeros = curve.size().checked_sub(number.len()).ok_or_else(wrong)?;
        let mut scalar = Plaintext::with_capacity(curve.size());
        scalar.push(&vec![0; zeros]);
        scalar.push(number);
        let key = agreement::PrivateKey::from_private_key(curve.algorithm(), scalar.expose())
            .map_err(|_| wrong())?;
        let point = key.compute_public_key().map_err(|_| wrong())?.as_ref().to_vec();
        Ok(Self::Ec { curve, scalar, point })
    }

    /// Takes the seed of an Ed25519 key.
    pub(super) fn from_seed(seed: &[u8]) -> Result<Self, String> {
        if seed.len() != 32 {
            return Err("wrong private key size".to_owned());
        }
        Ok(Self::Ed25519(seed.into()))
    }

    /// Returns the key as AWS-LC decrypts with it: 2048 to 8192 bits.
    pub(super) fn rsa_for_decryption(&self) -> Result<aws_lc_rs::rsa::PrivateDecryptingKey, String> {
        let pkcs8 = self.to_pkcs8();
        aws_lc_rs::rsa::PrivateDecryptingKey::from_pkcs8(pkcs8.expose())
            .map_err(|_| "this RSA key cannot be used (2048 to 8192 bits are supported)".to_owned())
    }

    /// Writes PKCS#8 as Go does.
    pub(super) fn to_pkcs8(&self) -> Plaintext {
        let curve_oid;
        let (oid, parameters, key) = match self {
            Self::Rsa(pkcs1) => (RSA, Some(der::asn1::AnyRef::NULL), pkcs1.duplicate()),
            Self::Ec { curve, scalar, point } => {
                curve_oid = curve.oid();
                (EC, Some((&curve_oid).into()), sec1(None, scalar, point))
            }
            Self::Ed25519(seed) => {
                let mut key = Plaintext::with_capacity(34);
                key.push(&[0x04, 0x20]); // an OCTET STRING of 32 bytes
                key.push(seed.expose());
                (ED25519, None, key)
            }
        };
        let algorithm = AlgorithmIdentifierRef { oid, parameters };
        let key = OctetStringRef::new(key.expose()).ok();
        key.and_then(|key| PrivateKeyInfoRef::new(algorithm, key).to_der().ok()).unwrap_or_default().into()
    }

    /// Writes the form that sprig gives each kind of key.
    pub(super) fn to_pem(&self) -> Plaintext {
        match self {
            Self::Rsa(pkcs1) => pem::encode("RSA PRIVATE KEY", pkcs1.expose()),
            Self::Ec { curve, scalar, point } => {
                pem::encode("EC PRIVATE KEY", sec1(Some(*curve), scalar, point).expose())
            }
            Self::Ed25519(_) => pem::encode(pem::PRIVATE_KEY, self.to_pkcs8().expose()),
        }
    }

    /// Writes the public half (SubjectPublicKeyInfo).
    pub(super) fn to_public(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Rsa(pkcs1) => {
                let numbers = RsaNumbers::from_der(pkcs1.expose()).map_err(|_| UNREADABLE.to_owned())?;
                rsa_public(numbers.n, numbers.e)
            }
            Self::Ec { curve, point, .. } => ec_public(*curve, point),
            Self::Ed25519(seed) => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| no_key())?;
                ed25519_public(pair.public_key().as_ref())
            }
        }
    }
}

fn no_key() -> String {
    "the key could not be made".to_owned()
}

/// Returns the length of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    number.len() * 8 - number.first().map_or(0, |first| first.leading_zeros() as usize)
}

fn sec1(curve: Option<Curve>, scalar: &Plaintext, point: &[u8]) -> Plaintext {
    let key = OctetStringRef::new(scalar.expose()).ok();
    let sec1 = key.map(|key| Sec1 {
        version: 1,
        key,
        curve: curve.map(Curve::oid),
        point: BitStringRef::from_bytes(point).ok(),
    });
    sec1.and_then(|sec1| sec1.to_der().ok()).unwrap_or_default().into()
}

/// Writes the public key of an RSA key.
pub(super) fn rsa_public(n: UintRef<'_>, e: UintRef<'_>) -> Result<Vec<u8>, String> {
    let key = RsaPublicNumbers { n, e }.to_der().map_err(|_| UNREADABLE.to_owned())?;
    public(RSA, Some(der::asn1::AnyRef::NULL), &key)
}

/// Writes the public key of a point, after a check that it lies on the curve.
pub(super) fn ec_public(curve: Curve, point: &[u8]) -> Result<Vec<u8>, String> {
    signature::ParsedPublicKey::new(curve.signature(), point)
        .map_err(|_| "x509: invalid elliptic curve public key".to_owned())?;
    let oid = curve.oid();
    public(EC, Some((&oid).into()), point)
}

/// Writes the public key of an Ed25519 key.
pub(super) fn ed25519_public(key: &[u8]) -> Result<Vec<u8>, String> {
    public(ED25519, None, key)
}

fn public(
    oid: ObjectIdentifier,
    parameters: Option<der::asn1::AnyRef<'_>>,
    key: &[u8],
) -> Result<Vec<u8>, String> {
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid, parameters },
        subject_public_key: BitStringRef::from_bytes(key).map_err(|_| UNREADABLE.to_owned())?,
    };
    info.to_der().map_err(|_| UNREADABLE.to_owned())
}
