//! Post-quantum recipients (age 1.3, `mlkem768x25519`): X-Wing over HPKE (RFC 9180).
//!
//! ```text
//!   age1pq1…             Bech32 of the 1216-byte public key
//!   AGE-SECRET-KEY-PQ-1… Bech32 of the 32-byte seed
//!   -> mlkem768x25519 ENC    ENC: 1120-byte encapsulation; body: the file key, sealed (32 bytes)
//! ```

use std::collections::HashSet;

use ::age::{DecryptError, EncryptError, Identity, Recipient};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret as _;
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Checksum};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::{Deserializable as _, OpModeR, OpModeS, Serializable as _, setup_receiver, setup_sender};
use zeroize::Zeroizing;

const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const TAG: &str = "mlkem768x25519";
const PUBLIC_PREFIX: &str = "age1pq";
const SECRET_PREFIX: &str = "age-secret-key-pq-";
/// The file key and Poly1305's tag.
const BODY_BYTES: usize = FILE_KEY_BYTES + 16;

/// `age1pq1…`.
pub struct HybridRecipient(<XWing as Kem>::PublicKey);

/// `AGE-SECRET-KEY-PQ-1…`.
pub struct HybridIdentity(<XWing as Kem>::PrivateKey);

/// Bech32 without its limit of 90 (or 1023) characters: a public key needs 1,960.
enum LongBech32 {}

impl Checksum for LongBech32 {
    type MidstateRepr = <Bech32 as Checksum>::MidstateRepr;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = <Bech32 as Checksum>::CHECKSUM_LENGTH;
    const GENERATOR_SH: [Self::MidstateRepr; 5] = <Bech32 as Checksum>::GENERATOR_SH;
    const TARGET_RESIDUE: Self::MidstateRepr = <Bech32 as Checksum>::TARGET_RESIDUE;
}

fn decode(text: &str, prefix: &str) -> Option<Zeroizing<Vec<u8>>> {
    let parsed = CheckedHrpstring::new::<LongBech32>(text).ok()?;
    (parsed.hrp().to_lowercase() == prefix).then(|| Zeroizing::new(parsed.byte_iter().collect()))
}

impl HybridRecipient {
    /// Reads a recipient.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = decode(text, PUBLIC_PREFIX)?;
        // As age: the prefix of a recipient is lower case.
        text.starts_with(PUBLIC_PREFIX).then_some(())?;
        <XWing as Kem>::PublicKey::from_bytes(&bytes).ok().map(Self)
    }
}

impl HybridIdentity {
    /// Reads an identity.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = decode(text, SECRET_PREFIX)?;
        text.starts_with("AGE-").then_some(())?;
        <XWing as Kem>::PrivateKey::from_bytes(&bytes).ok().map(Self)
    }
}

impl Recipient for HybridRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        let fail = |_| EncryptError::Io(std::io::Error::other("the post-quantum encryption failed"));
        let (encapsulated, mut context) =
            setup_sender::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeS::Base, &self.0, INFO)
                .map_err(fail)?;
        let body = context.seal(file_key.expose_secret(), b"").map_err(fail)?;
        let args = vec![BASE64.encode(encapsulated.to_bytes())];
        let stanza = Stanza { tag: TAG.to_owned(), args, body };
        // Recipients without this label cannot be mixed in: they would undo what this one is for.
        Ok((vec![stanza], HashSet::from(["postquantum".to_owned()])))
    }
}

impl Identity for HybridIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != TAG {
            return None;
        }
        let malformed = Some(Err(DecryptError::InvalidHeader));
        let [argument] = stanza.args.as_slice() else { return malformed };
        let Ok(bytes) = BASE64.decode(argument) else { return malformed };
        let Ok(encapsulated) = <XWing as Kem>::EncappedKey::from_bytes(&bytes) else { return malformed };
        if stanza.body.len() != BODY_BYTES || has_low_order(&bytes) {
            return malformed;
        }
        let context = setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.0,
            &encapsulated,
            INFO,
        );
        let Ok(mut context) = context else { return malformed };
        // Encapsulation rejects implicitly: a foreign key shows here, and is no error.
        let opened = Zeroizing::new(context.open(&stanza.body, b"").ok()?);
        let key: [u8; FILE_KEY_BYTES] = opened.as_slice().try_into().ok()?;
        let key = Zeroizing::new(key);
        Some(Ok(FileKey::init_with_mut(|file_key| file_key.copy_from_slice(key.as_ref()))))
    }
}

/// Returns whether the X25519 share at the end of an encapsulation has a low order: every key gives the same secret with
/// such a one, so anyone could have made it. X-Wing does not look; age refuses it.
fn has_low_order(encapsulation: &[u8]) -> bool {
    let Some((_, share)) = encapsulation.split_last_chunk::<32>() else { return true };
    let Ok(any_key) = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()) else { return true };
    // The agreement fails for a secret of zeros.
    agree_ephemeral(any_key, UnparsedPublicKey::new(&X25519, share), (), |_| Ok(())).is_err()
}

/// age's base64: no padding, no unused bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);
