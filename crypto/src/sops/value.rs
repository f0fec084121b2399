//! One encrypted value: AES-256-GCM with a 32-byte nonce, as text.
//!
//! ```text
//!   ENC[AES256_GCM,data:<ciphertext>,iv:<nonce>,tag:<tag>,type:str|int|float|bool|time|comment]      (base64)
//! ```
//!
//! The path of the value is authenticated, its type is not.

use aes_gcm::aead::consts::{U12, U16, U32};
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sealops_formats::Plaintext;
use zeroize::Zeroizing;

use super::data_key::DataKey;

/// Length of the nonces that are written, in bytes. Those of 12 and 16 bytes are read, too: other tools write them.
pub const NONCE_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

const HEAD: &str = "ENC[AES256_GCM,data:";
const IV: &str = ",iv:";
const TAG: &str = ",tag:";
const TYPE: &str = ",type:";

/// A nonce as this version writes it.
pub(super) type NonceBytes = [u8; NONCE_BYTES];

/// Why an encrypted value does not open. Says nothing about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// A text that is no `ENC[...]`: plaintext where an encrypted value is due, or a cut one.
    #[error("the value does not match sops' data format")]
    NotEncrypted,
    /// A value that is no text at all; the type is Go's name for it.
    #[error("Expected encrypted value as string, but got {0}")]
    NotText(&'static str),
    /// A field is no base64.
    #[error("Error base64-decoding {0}")]
    Base64(&'static str),
    /// The nonce has a length that nothing writes.
    #[error("the nonce has {0} bytes; 12, 16 and {NONCE_BYTES} are read")]
    NonceLength(usize),
    /// Changed, moved, or encrypted under another key.
    #[error("Could not decrypt with AES_GCM: cipher: message authentication failed")]
    Authentication,
    /// A type that does not exist.
    #[error("Unknown datatype")]
    UnknownType,
    /// The decrypted bytes are not of their type.
    #[error("the decrypted bytes are no {0}")]
    Malformed(&'static str),
}

/// The fields of an `ENC[...]` text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedText<'a> {
    data: &'a str,
    iv: &'a str,
    tag: &'a str,
    /// The type.
    pub type_name: &'a str,
    /// Whether something follows the closing bracket, which SOPS passes over.
    pub trailing: bool,
}

impl<'a> EncryptedText<'a> {
    /// Reads the text by SOPS's rule: from the start, every field at its longest, up to the last `]` of the line.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = text.strip_prefix(HEAD.as_bytes())?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let one_line = line.len() == text.len();
        let line = std::str::from_utf8(line).ok()?;
        // Each field is greedy, so each separator is the last one that leaves something for what follows.
        let end = line.rfind(']')?;
        let (rest, type_name) = split_last(&line[..end], TYPE)?;
        let (rest, tag) = split_last(rest, TAG)?;
        let (data, iv) = split_last(rest, IV)?;
        let trailing = !one_line || end + 1 != line.len();
        (!data.is_empty()).then_some(Self { data, iv, tag, type_name, trailing })
    }
}

/// Splits at the last separator that has something after it.
fn split_last<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut end = text.len();
    loop {
        let at = text[..end].rfind(separator)?;
        let after = &text[at + separator.len()..];
        if !after.is_empty() {
            return Some((&text[..at], after));
        }
        end = at + separator.len() - 1;
    }
}

/// An opened value.
pub(super) struct Opened<'a> {
    pub(super) bytes: Plaintext,
    pub(super) type_name: &'a str,
    /// The nonce, where it can be used again.
    pub(super) nonce: Option<NonceBytes>,
    pub(super) trailing: bool,
}

/// Encrypts and decrypts the values of one file: the key is expanded once.
pub(super) struct ValueCipher {
    gcm: AesGcm<Aes256, U32>,
    key: DataKey,
}

impl ValueCipher {
    pub(super) fn new(key: &DataKey) -> Self {
        Self { gcm: AesGcm::new(key.bytes().into()), key: key.duplicate() }
    }

    /// Encrypts bytes in place, which must not be empty (SOPS leaves those as they are), and returns the text.
    ///
    /// A nonce may be used again for the same bytes at the same path under the same key only.
    pub(super) fn encrypt(
        &self,
        mut bytes: Plaintext,
        type_name: &str,
        aad: &[u8],
        nonce: &NonceBytes,
    ) -> Result<String, ValueError> {
        let tag = self
            .gcm
            .encrypt_inout_detached(&Nonce::from(*nonce), aad, bytes.expose_mut().into())
            .map_err(|_| ValueError::Authentication)?;
        let ciphertext = bytes.expose();
        let length = base64_length(ciphertext.len()) + base64_length(NONCE_BYTES) + base64_length(TAG_BYTES);
        let mut text = String::with_capacity(HEAD.len() + 16 + length + type_name.len());
        text.push_str(HEAD);
        BASE64.encode_string(ciphertext, &mut text);
        text.push_str(IV);
        BASE64.encode_string(nonce, &mut text);
        text.push_str(TAG);
        BASE64.encode_string(&tag[..], &mut text);
        text.push_str(TYPE);
        text.push_str(type_name);
        text.push(']');
        Ok(text)
    }

    /// Decrypts a text. The tag is compared in constant time, by the cipher.
    pub(super) fn decrypt<'a>(&self, text: &'a [u8], aad: &[u8]) -> Result<Opened<'a>, ValueError> {
        let fields = EncryptedText::parse(text).ok_or(ValueError::NotEncrypted)?;
        let mut buffer = Zeroizing::new(decode(fields.data, "data")?);
        let iv = decode(fields.iv, "iv")?;
        let tag: [u8; TAG_BYTES] =
            decode(fields.tag, "tag")?.try_into().map_err(|_| ValueError::Authentication)?;
        let (inout, tag) = (buffer.as_mut_slice().into(), tag.into());
        let nonce = NonceBytes::try_from(iv.as_slice()).ok();
        let result = match (&nonce, iv.len()) {
            (Some(nonce), _) => self.gcm.decrypt_inout_detached(&Nonce::from(*nonce), aad, inout, &tag),
            (None, 12) => self.short::<U12>().decrypt_inout_detached(&nonce_of(&iv)?, aad, inout, &tag),
            (None, 16) => self.short::<U16>().decrypt_inout_detached(&nonce_of(&iv)?, aad, inout, &tag),
            (None, length) => return Err(ValueError::NonceLength(length)),
        };
        result.map_err(|_| ValueError::Authentication)?;
        let bytes = Plaintext::from(std::mem::take(&mut *buffer));
        Ok(Opened { bytes, type_name: fields.type_name, nonce, trailing: fields.trailing })
    }

    /// Returns the cipher for nonces of another length, which are rare.
    fn short<N>(&self) -> AesGcm<Aes256, N>
    where
        N: aes_gcm::aead::array::ArraySize,
        AesGcm<Aes256, N>: KeyInit + aes_gcm::aead::KeySizeUser<KeySize = U32>,
    {
        AesGcm::new(self.key.bytes().into())
    }
}

fn nonce_of<N: aes_gcm::aead::array::ArraySize>(iv: &[u8]) -> Result<Nonce<N>, ValueError> {
    Nonce::<N>::try_from(iv).map_err(|_| ValueError::NonceLength(iv.len()))
}

/// Standard base64 as Go reads it: padding needed, unused bits ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

fn base64_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn decode(text: &str, field: &'static str) -> Result<Vec<u8>, ValueError> {
    match BASE64.decode(text) {
        Ok(bytes) => Ok(bytes),
        // Go skips carriage returns; a line feed cannot be here.
        Err(_) if text.contains('\r') => {
            BASE64.decode(text.replace('\r', "")).map_err(|_| ValueError::Base64(field))
        }
        Err(_) => Err(ValueError::Base64(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher() -> ValueCipher {
        ValueCipher::new(&DataKey::from_bytes(&[b'f'; 32]).unwrap())
    }

    /// specs: the published value of AES-256-GCM with a 32-byte nonce.
    #[test]
    fn agrees_with_openssl() {
        let cipher = ValueCipher::new(&DataKey::from_bytes(&[1; 32]).unwrap());
        let text = cipher.encrypt("hello".into(), "str", b"a:b:", &[2; 32]).unwrap();
        let fields = EncryptedText::parse(text.as_bytes()).unwrap();
        let hex: String = [decode(fields.data, "").unwrap(), decode(fields.tag, "").unwrap()]
            .concat()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "c863c21c88b30cd6c79edf1dea8586148e219664b3");
    }

    #[test]
    fn fields_are_cut_as_go_cuts_them() {
        let parse = |text: &'static str| EncryptedText::parse(text.as_bytes());
        let fields = parse("ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]").unwrap();
        assert_eq!((fields.data, fields.iv, fields.tag, fields.type_name), ("a", "b", "c", "str"));
        assert!(!fields.trailing);
        let greedy = parse("ENC[AES256_GCM,data:a,iv:b,tag:c,type:str],iv:d,tag:e,type:f] tail").unwrap();
        assert_eq!((greedy.data, greedy.iv), ("a,iv:b,tag:c,type:str]", "d"));
        assert!(greedy.trailing);
        assert!(parse("ENC[AES256_GCM,data:a,iv:b,tag:c,type:x]\ny]").unwrap().trailing);
        for broken in [
            "",
            "ENC[",
            " ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]",
            "ENC[AES128_GCM,data:a,iv:b,tag:c,type:str]",
            "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str",
            "ENC[AES256_GCM,data:a,iv:b,tag:c,type:]",
            "ENC[AES256_GCM,data:,iv:b,tag:c,type:str]",
            "ENC[AES256_GCM,data:a,iv:,tag:c,type:str]",
            "ENC[AES256_GCM,data:a,iv:b,tag:,type:str]",
            "ENC[AES256_GCM,data:a\n,iv:b,tag:c,type:str]",
            "ENC[AES256_GCM,iv:b,data:a,tag:c,type:str]",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    /// B7 37-40: broken skeleton, trailing text, nonce and tag of other lengths.
    #[test]
    fn bad_input_37_to_40() {
        let cipher = cipher();
        let text = cipher.encrypt("secret".into(), "str", b"a:", &[7; 32]).unwrap();
        let open = |text: &str| cipher.decrypt(text.as_bytes(), b"a:").map(|opened| opened.trailing);
        assert_eq!(open(&text), Ok(false));
        assert_eq!(open(&text[..text.len() - 1]), Err(ValueError::NotEncrypted));
        assert_eq!(open(&text.replace("256", "128")), Err(ValueError::NotEncrypted));
        assert_eq!(open(&format!("{text} and more")), Ok(true));

        let iv = EncryptedText::parse(text.as_bytes()).unwrap().iv;
        let with_iv = |bytes: &[u8]| text.replace(iv, &BASE64.encode(bytes));
        assert_eq!(open(&with_iv(&[7; 12])), Err(ValueError::Authentication));
        assert_eq!(open(&with_iv(&[7; 16])), Err(ValueError::Authentication));
        assert_eq!(open(&with_iv(&[7; 4096])), Err(ValueError::NonceLength(4096)));
        assert_eq!(open(&with_iv(&[])), Err(ValueError::NotEncrypted));
        assert_eq!(open(&text.replace(iv, "####")), Err(ValueError::Base64("iv")));

        let tag = EncryptedText::parse(text.as_bytes()).unwrap().tag;
        for length in [1, 4, 15, 17] {
            let cut = BASE64.encode(vec![0; length]);
            assert_eq!(open(&text.replace(tag, &cut)), Err(ValueError::Authentication), "{length}");
        }
        assert_eq!(open(&text.replace(tag, "")), Err(ValueError::NotEncrypted));
    }

    #[test]
    fn values_with_shorter_nonces_open() {
        let key = DataKey::from_bytes(&[b'f'; 32]).unwrap();
        let mut data = *b"secret";
        let tag = AesGcm::<Aes256, U12>::new(key.bytes().into())
            .encrypt_inout_detached(&Nonce::<U12>::from([9; 12]), b"a:", data.as_mut_slice().into())
            .unwrap();
        let text = format!(
            "{HEAD}{}{IV}{}{TAG}{}{TYPE}str]",
            BASE64.encode(data),
            BASE64.encode([9; 12]),
            BASE64.encode(&tag[..])
        );
        let opened = cipher().decrypt(text.as_bytes(), b"a:").unwrap();
        assert_eq!((opened.bytes.expose(), opened.nonce), (b"secret".as_slice(), None));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let cipher = cipher();
        let text = cipher.encrypt("hunter2".into(), "str", b"a:", &[7; 32]).unwrap();
        assert!(cipher.decrypt(text.as_bytes(), b"b:").is_err());
        let fields = EncryptedText::parse(text.as_bytes()).unwrap();
        let mut tried = 0;
        for field in [fields.data, fields.iv, fields.tag] {
            let bytes = decode(field, "").unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                let tampered = text.replace(field, &BASE64.encode(&changed));
                let result = cipher.decrypt(tampered.as_bytes(), b"a:").map(|_| ());
                assert_eq!(result, Err(ValueError::Authentication));
                tried += 1;
            }
        }
        assert_eq!(tried, (7 + 32 + 16) * 8);
    }

    /// Mutated texts never panic.
    #[test]
    fn mutated_texts_never_panic() {
        let cipher = cipher();
        let seed = cipher.encrypt("some value".into(), "str", b"a:", &[7; 32]).unwrap().into_bytes();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(state >> 33).unwrap_or(0) % below
        };
        let mut opened = 0;
        for _ in 0..50_000 {
            let mut text = seed.clone();
            for _ in 0..=random(3) {
                let at = random(text.len());
                match random(4) {
                    0 => text[at] = b"],:=\n\r\xff\0Aa"[random(10)],
                    1 => text.insert(at, b"],:=\n\r\xff\0Aa"[random(10)]),
                    2 => drop(text.drain(at..(at + 1 + random(6)).min(text.len()))),
                    _ => text.extend_from_slice(b",type:int]"),
                }
                if text.is_empty() {
                    text.push(b'E');
                }
            }
            opened += usize::from(cipher.decrypt(&text, b"a:").is_ok());
        }
        assert!(opened < 25_000);
    }
}
