//! Cloud KMS: symmetric keys. What is encrypted is bound to the key's name.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::server::{Request, Response};
use super::{State, error};

/// Most that a key encrypts.
const MAX_PLAINTEXT_BYTES: usize = 64 << 10;
const POLYNOMIAL: u32 = 0x82f6_3b78;

pub(in super::super) struct Key {
    key: LessSafeKey,
    pub(super) disabled: bool,
    pub(super) forbidden: bool,
}

impl Key {
    pub(in super::super) fn new() -> Self {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("randomness");
        let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("32 bytes");
        Self { key: LessSafeKey::new(key), disabled: false, forbidden: false }
    }

    /// Encrypts a text; what comes out is base64.
    pub(in super::super) fn seal_text(&self, name: &str, text: &str) -> Option<String> {
        self.seal(name, text.into()).map(|sealed| STANDARD.encode(sealed))
    }

    /// Decrypts what [`Self::seal_text`] encrypted.
    pub(in super::super) fn open_text(&self, name: &str, sealed: &str) -> Option<String> {
        String::from_utf8(self.open(name, &STANDARD.decode(sealed).ok()?)?).ok()
    }

    fn seal(&self, name: &str, mut content: Vec<u8>) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let bound = Aad::from(name.as_bytes());
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound, &mut content).ok()?;
        Some([&nonce[..], &content].concat())
    }

    fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, content) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut content = content.to_vec();
        let bound = Aad::from(name.as_bytes());
        let opened =
            self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), bound, &mut content).ok()?;
        Some(opened.to_vec())
    }
}

impl State {
    /// `POST /v1/projects/…:encrypt` and `:decrypt`.
    pub(super) fn kms(&self, request: &Request) -> Response {
        if let Err(refusal) = self.authorize(request, &["cloud-platform", "cloudkms"]) {
            return refusal;
        }
        let (name, verb) = request.path.rsplit_once(':').unwrap_or_default();
        let name = name.trim_start_matches("/v1/");
        let key = match self.keys.get(name) {
            None => return error(404, "NOT_FOUND", "CryptoKey not found."),
            Some(key) if key.forbidden => return error(403, "PERMISSION_DENIED", "CANARY-message-91aa"),
            Some(key) if key.disabled => return error(400, "FAILED_PRECONDITION", "it is not enabled"),
            Some(key) => key,
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if verb == "encrypt" { encrypt(name, key, &body) } else { decrypt(name, key, &body) }
    }
}

fn encrypt(name: &str, key: &Key, body: &Value) -> Response {
    let Some(content) = content(body, "plaintext") else { return invalid() };
    if content.len() > MAX_PLAINTEXT_BYTES {
        return invalid();
    }
    let checked = body.get("plaintextCrc32c").is_some();
    let Some(sealed) = key.seal(name, content) else { return error(500, "INTERNAL", "no randomness") };
    let mut answer = json!({
        "name": format!("{name}/cryptoKeyVersions/1"),
        "ciphertext": STANDARD.encode(&sealed),
        "ciphertextCrc32c": crc32c(&sealed).to_string(),
        "protectionLevel": "SOFTWARE",
    });
    if checked {
        answer["verifiedPlaintextCrc32c"] = true.into();
    }
    Response::json(200, &answer)
}

fn decrypt(name: &str, key: &Key, body: &Value) -> Response {
    let Some(sealed) = content(body, "ciphertext") else { return invalid() };
    let Some(opened) = key.open(name, &sealed) else {
        return error(400, "INVALID_ARGUMENT", "Decryption failed: the ciphertext is invalid.");
    };
    let answer = json!({
        "plaintext": STANDARD.encode(&opened),
        "plaintextCrc32c": crc32c(&opened).to_string(),
        "usedPrimary": true,
        "protectionLevel": "SOFTWARE",
    });
    Response::json(200, &answer)
}

/// Returns a field, if its checksum is right where there is one.
fn content(body: &Value, field: &str) -> Option<Vec<u8>> {
    let content = STANDARD.decode(body[field].as_str()?).ok()?;
    let sum = match body.get(format!("{field}Crc32c")) {
        None => return Some(content),
        Some(Value::String(sum)) => sum.parse().ok()?,
        Some(sum) => sum.as_u64()?,
    };
    (sum == u64::from(crc32c(&content))).then_some(content)
}

fn invalid() -> Response {
    error(400, "INVALID_ARGUMENT", "The request is invalid.")
}

/// CRC-32C, bit by bit.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
        }
    }
    !sum
}
