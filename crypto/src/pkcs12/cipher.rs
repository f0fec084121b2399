//! Passwords, ciphers and MACs of PKCS#12.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode, Sequence};
use pkcs8::spki::AlgorithmIdentifierRef;
use sealops_formats::Plaintext;
use zeroize::Zeroizing;

use super::{Error, Work, failed, malformed};

/// Rounds of key derivation that are written, as upstream.
const ITERATIONS: u32 = 2048;
/// Most rounds of key derivation that a file may ask for.
const MAX_ITERATIONS: u32 = 1_000_000;
const SALT: usize = 16;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// A password in the form of PKCS#12: UTF-16, big endian, with two zero bytes at its end.
pub(super) struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Encodes a password. Bytes that are no UTF-8 become U+FFFD each, as Go's runes.
    pub(super) fn new(text: &[u8]) -> Result<Self, Error> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
        let mut put = |c: char| match u16::try_from(u32::from(c)) {
            Ok(unit) => {
                bytes.extend_from_slice(&unit.to_be_bytes());
                Ok(())
            }
            Err(_) => Err(failed("string contains characters that cannot be encoded in UCS-2")),
        };
        for chunk in text.utf8_chunks() {
            chunk.valid().chars().try_for_each(&mut put)?;
            chunk.invalid().iter().try_for_each(|_| put(char::REPLACEMENT_CHARACTER))?;
        }
        bytes.extend_from_slice(&[0, 0]);
        Ok(Self(bytes))
    }

    /// Returns whether this is the empty password.
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() <= 2
    }

    /// Returns the characters alone.
    pub(super) fn unterminated(&self) -> &[u8] {
        self.0.strip_suffix(&[0, 0]).unwrap_or(&self.0)
    }

    /// Returns the password as UTF-8, for PBES2 and PBMAC1.
    fn utf8(&self) -> Plaintext {
        let units = self.unterminated().chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
        let mut text = Plaintext::with_capacity(3 * self.0.len() / 2);
        for c in char::decode_utf16(units) {
            text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
        }
        text
    }
}

#[derive(Sequence)]
pub(super) struct MacData<'a> {
    digest: DigestInfo<'a>,
    salt: &'a OctetStringRef,
    #[asn1(default = "one")]
    iterations: u32,
}

fn one() -> u32 {
    1
}

#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    digest: &'a OctetStringRef,
}

/// Parameters of PBES2, and of PBMAC1 where the second is a MAC.
#[derive(Sequence)]
struct Pbes2<'a> {
    kdf: AlgorithmIdentifierRef<'a>,
    scheme: AlgorithmIdentifierRef<'a>,
}

#[derive(Sequence)]
struct Pbkdf2<'a> {
    salt: &'a OctetStringRef,
    iterations: u32,
    key_length: Option<u32>,
    prf: Option<AlgorithmIdentifierRef<'a>>,
}

#[derive(Sequence)]
struct Pbes1<'a> {
    salt: &'a OctetStringRef,
    iterations: u32,
}

fn parameters<
    'a,
    T: Decode<'a, Error = der::Error> + der::FixedTag + der::DecodeValue<'a, Error = der::Error>,
>(
    algorithm: &AlgorithmIdentifierRef<'a>,
) -> Result<T, Error> {
    let parameters = algorithm.parameters.ok_or_else(|| failed("the file is malformed"))?;
    parameters.decode_as().map_err(malformed)
}

fn charge(work: &mut dyn Work, iterations: u32) -> Result<NonZeroU32, Error> {
    if iterations > MAX_ITERATIONS {
        return Err(failed("the file asks for more than 1000000 iterations"));
    }
    work.rounds(iterations)?;
    NonZeroU32::new(iterations).ok_or_else(|| failed("the file is malformed"))
}

pub(super) fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    out.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
    out
}

/// A hash, in the forms that it is used in.
struct Hash {
    names: [&'static str; 2],
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

/// By the object identifiers of the hash and of its HMAC.
fn hash(oid: ObjectIdentifier) -> Result<Hash, Error> {
    let known = [
        Hash {
            names: ["1.3.14.3.2.26", "1.2.840.113549.2.7"],
            digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
            hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            pbkdf2: pbkdf2::PBKDF2_HMAC_SHA1,
        },
        Hash {
            names: ["2.16.840.1.101.3.4.2.1", "1.2.840.113549.2.9"],
            digest: &digest::SHA256,
            hmac: hmac::HMAC_SHA256,
            pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
        },
        Hash {
            names: ["2.16.840.1.101.3.4.2.3", "1.2.840.113549.2.11"],
            digest: &digest::SHA512,
            hmac: hmac::HMAC_SHA512,
            pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512,
        },
    ];
    let name = oid.to_string();
    known
        .into_iter()
        .find(|hash| hash.names.contains(&name.as_str()))
        .ok_or_else(|| failed("the hash of the file is not supported"))
}

/// RFC 7292, appendix B.2. `purpose` is 1 for a key, 2 for an initialisation vector, 3 for a MAC key.
fn derive(
    hash: &'static digest::Algorithm,
    salt: &[u8],
    password: &[u8],
    iterations: NonZeroU32,
    purpose: u8,
    out: &mut [u8],
) {
    let block = hash.block_len();
    let filled = |bytes: &[u8]| {
        let length = bytes.len().div_ceil(block) * block;
        bytes.iter().copied().cycle().take(length).collect::<Vec<_>>()
    };
    let mut input = Zeroizing::new([filled(salt), filled(password)].concat());
    for part in out.chunks_mut(hash.output_len()) {
        let mut digest = digest::Context::new(hash);
        digest.update(&vec![purpose; block]);
        digest.update(&input);
        let mut result = digest.finish();
        for _ in 1..iterations.get() {
            result = digest::digest(hash, result.as_ref());
        }
        part.copy_from_slice(&result.as_ref()[..part.len()]);
        for chunk in input.chunks_mut(block) {
            let mut carry = 1_u16;
            let addend = result.as_ref().iter().cycle().take(block).collect::<Vec<_>>();
            for (byte, add) in chunk.iter_mut().zip(addend).rev() {
                carry += u16::from(*byte) + u16::from(*add);
                *byte = carry as u8; // the low half on purpose
                carry >>= 8;
            }
        }
    }
}

fn derive_pbkdf2(
    work: &mut dyn Work,
    algorithm: &AlgorithmIdentifierRef<'_>,
    password: &Password,
    out: &mut [u8],
) -> Result<(), Error> {
    if algorithm.oid != PBKDF2 {
        return Err(failed("this kdf algorithm is not supported"));
    }
    let kdf: Pbkdf2<'_> = parameters(algorithm)?;
    let iterations = charge(work, kdf.iterations)?;
    let prf = kdf.prf.map_or(Ok(pbkdf2::PBKDF2_HMAC_SHA1), |prf| hash(prf.oid).map(|hash| hash.pbkdf2))?;
    pbkdf2::derive(prf, iterations, kdf.salt.as_bytes(), password.utf8().expose(), out);
    Ok(())
}

impl MacData<'_> {
    /// Verifies the MAC. For the empty password both forms of it are tried; the one that fits stays.
    pub(super) fn verify(
        &self,
        work: &mut dyn Work,
        message: &[u8],
        password: &mut Password,
    ) -> Result<(), Error> {
        if self.fits(work, message, password)? {
            return Ok(());
        }
        if password.is_empty() {
            password.0.clear(); // some writers hash no bytes at all
            if self.fits(work, message, password)? {
                return Ok(());
            }
        }
        Err(failed("decryption password incorrect"))
    }

    fn fits(&self, work: &mut dyn Work, message: &[u8], password: &Password) -> Result<bool, Error> {
        let algorithm = &self.digest.algorithm;
        let key = if algorithm.oid == PBMAC1 {
            let mac: Pbes2<'_> = parameters(algorithm)?;
            let length = parameters::<Pbkdf2<'_>>(&mac.kdf)?.key_length.filter(|length| *length <= 64);
            let length = length.ok_or_else(|| failed("PBMAC1 requires an explicit key length"))?;
            let mut key = Zeroizing::new(vec![0; length as usize]);
            derive_pbkdf2(work, &mac.kdf, password, &mut key)?;
            hmac::Key::new(hash(mac.scheme.oid)?.hmac, &key)
        } else {
            mac_key(work, algorithm.oid, self.salt.as_bytes(), password, self.iterations)?
        };
        Ok(hmac::verify(&key, message, self.digest.digest.as_bytes()).is_ok())
    }
}

fn mac_key(
    work: &mut dyn Work,
    oid: ObjectIdentifier,
    salt: &[u8],
    password: &Password,
    iterations: u32,
) -> Result<hmac::Key, Error> {
    let hash = hash(oid)?;
    let iterations = charge(work, iterations)?;
    let mut key = Zeroizing::new(vec![0; hash.digest.output_len()]);
    derive(hash.digest, salt, &password.0, iterations, 3, &mut key);
    Ok(hmac::Key::new(hash.hmac, &key))
}

/// Authenticates a message; `build` gets the result.
pub(super) fn mac(
    work: &mut dyn Work,
    message: &[u8],
    password: &Password,
    build: impl FnOnce(MacData<'_>) -> der::Result<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let mut salt = [0; SALT];
    work.fill(&mut salt)?;
    let key = mac_key(work, SHA256, &salt, password, ITERATIONS)?;
    let tag = hmac::sign(&key, message);
    let data = MacData {
        digest: DigestInfo {
            algorithm: AlgorithmIdentifierRef { oid: SHA256, parameters: Some(AnyRef::NULL) },
            digest: OctetStringRef::new(tag.as_ref()).map_err(malformed)?,
        },
        salt: OctetStringRef::new(&salt).map_err(malformed)?,
        iterations: ITERATIONS,
    };
    build(data).map_err(malformed)
}

/// A cipher that files are encrypted with.
#[derive(Clone, Copy, PartialEq)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
    Rc2,
}

/// Decrypts. Every text that does not fit gives the same error; the MAC was verified before.
pub(super) fn decrypt(
    work: &mut dyn Work,
    algorithm: &AlgorithmIdentifierRef<'_>,
    bytes: &[u8],
    password: &Password,
) -> Result<Plaintext, Error> {
    let mut key = Zeroizing::new([0; 32]);
    let mut iv = [0; 16];
    let (cipher, key_len, iv_len) = match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.12.1.3" => (Cipher::TripleDes, 24, 8),
        "1.2.840.113549.1.12.1.5" => (Cipher::Rc2, 16, 8),
        "1.2.840.113549.1.12.1.6" => (Cipher::Rc2, 5, 8),
        _ if algorithm.oid == PBES2 => {
            let pbes2: Pbes2<'_> = parameters(algorithm)?;
            let (cipher, len) = match pbes2.scheme.oid.to_string().as_str() {
                "2.16.840.1.101.3.4.1.2" => (Cipher::Aes128, 16),
                "2.16.840.1.101.3.4.1.22" => (Cipher::Aes192, 24),
                "2.16.840.1.101.3.4.1.42" => (Cipher::Aes256, 32),
                _ => return Err(failed("this pbes2 algorithm is not supported")),
            };
            let given: &OctetStringRef = parameters(&pbes2.scheme)?;
            iv = given.as_bytes().try_into().map_err(|_| failed("the file is malformed"))?;
            derive_pbkdf2(work, &pbes2.kdf, password, &mut key[..len])?;
            (cipher, len, 16)
        }
        _ => return Err(failed("this pbe algorithm is not supported")),
    };
    if iv_len == 8 {
        let pbes1: Pbes1<'_> = parameters(algorithm)?;
        let iterations = charge(work, pbes1.iterations)?;
        let salt = pbes1.salt.as_bytes();
        let hash = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        derive(hash, salt, &password.0, iterations, 1, &mut key[..key_len]);
        derive(hash, salt, &password.0, iterations, 2, &mut iv[..iv_len]);
    }
    let mut text = Zeroizing::new(bytes.to_vec());
    cbc_decrypt(cipher, &key[..key_len], &iv[..iv_len], &mut text)
        .and_then(|()| unpadded(&text, iv_len))
        .map(Plaintext::from)
        .ok_or_else(|| failed("decryption error"))
}

fn cbc_decrypt(cipher: Cipher, key: &[u8], iv: &[u8], text: &mut [u8]) -> Option<()> {
    fn run<C: BlockModeDecrypt + KeyIvInit>(key: &[u8], iv: &[u8], text: &mut [u8]) -> Option<()> {
        blocks::<C>(C::new_from_slices(key, iv).ok()?, text)
    }
    fn blocks<C: BlockModeDecrypt>(mut cipher: C, text: &mut [u8]) -> Option<()> {
        let (chunks, rest) = cbc::cipher::Array::slice_as_chunks_mut(text);
        cipher.decrypt_blocks(chunks);
        rest.is_empty().then_some(())
    }
    match cipher {
        Cipher::Aes128 => run::<cbc::Decryptor<aes::Aes128>>(key, iv, text),
        Cipher::Aes192 => run::<cbc::Decryptor<aes::Aes192>>(key, iv, text),
        Cipher::Aes256 => run::<cbc::Decryptor<aes::Aes256>>(key, iv, text),
        Cipher::TripleDes => run::<cbc::Decryptor<des::TdesEde3>>(key, iv, text),
        Cipher::Rc2 => {
            use cbc::cipher::InnerIvInit;
            let cipher = rc2::Rc2::new_with_eff_key_len(key, key.len() * 8);
            blocks(cbc::Decryptor::inner_iv_slice_init(cipher, iv).ok()?, text)
        }
    }
}

/// Removes PKCS#7 padding.
fn unpadded(text: &[u8], block: usize) -> Option<&[u8]> {
    let count = usize::from(*text.last()?);
    let (text, padding) = text.split_at(text.len().checked_sub(count)?);
    let fits = (1..=block).contains(&count) && padding.iter().all(|byte| usize::from(*byte) == count);
    fits.then_some(text)
}

/// Encrypts with AES-256-CBC under PBKDF2 with SHA-256; `build` gets the algorithm and the ciphertext.
pub(super) fn encrypt(
    work: &mut dyn Work,
    text: &[u8],
    password: &Password,
    build: impl FnOnce(AlgorithmIdentifierRef<'_>, &[u8]) -> der::Result<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let (mut salt, mut iv) = ([0; SALT], [0; 16]);
    work.fill(&mut salt)?;
    work.fill(&mut iv)?;
    let kdf = Pbkdf2 {
        salt: OctetStringRef::new(&salt).map_err(malformed)?,
        iterations: ITERATIONS,
        key_length: None,
        prf: Some(AlgorithmIdentifierRef { oid: HMAC_SHA256, parameters: Some(AnyRef::NULL) }),
    };
    let kdf = kdf.to_der().map_err(malformed)?;
    let iv_der = OctetStringRef::new(&iv).and_then(|iv| iv.to_der()).map_err(malformed)?;
    let pbes2 = Pbes2 {
        kdf: AlgorithmIdentifierRef {
            oid: PBKDF2,
            parameters: Some(AnyRef::from_der(&kdf).map_err(malformed)?),
        },
        scheme: AlgorithmIdentifierRef {
            oid: AES_256_CBC,
            parameters: Some(AnyRef::from_der(&iv_der).map_err(malformed)?),
        },
    };
    let mut key = Zeroizing::new([0; 32]);
    derive_pbkdf2(work, &pbes2.kdf, password, &mut *key)?;
    let pbes2 = pbes2.to_der().map_err(malformed)?;
    let parameters = Some(AnyRef::from_der(&pbes2).map_err(malformed)?);
    let padding = 16 - text.len() % 16;
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() + padding));
    bytes.extend_from_slice(text);
    bytes.resize(text.len() + padding, padding as u8); // at most 16
    let mut cipher = cbc::Encryptor::<aes::Aes256>::new_from_slices(&*key, &iv)
        .map_err(|_| failed("the text cannot be encrypted"))?;
    let (blocks, _) = cbc::cipher::Array::slice_as_chunks_mut(&mut bytes);
    cipher.encrypt_blocks(blocks);
    build(AlgorithmIdentifierRef { oid: PBES2, parameters }, &bytes).map_err(malformed)
}
