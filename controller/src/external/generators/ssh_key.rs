//! The generator SSHKey: a key pair in OpenSSH's format.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
};
use sealops_crds::generators::{SshKeySpec, SshKeyType};
use sealops_formats::{Plaintext, base64};

use super::fill;

const RSA_BITS: i64 = 2048;
const EC_BITS: i64 = 256;
/// Letters of a line of the private key.
const LINE: usize = 70;
/// The cipher `none` fills blocks of this size.
const BLOCK: usize = 8;

/// Makes a key pair.
pub(super) fn generate(spec: &SshKeySpec) -> Result<BTreeMap<String, Plaintext>, String> {
    let parts = match spec.key_type.as_ref() {
        None | Some(SshKeyType::Rsa) => rsa(spec.key_size.unwrap_or(RSA_BITS))?,
        Some(SshKeyType::Ecdsa) => ecdsa(spec.key_size.unwrap_or(EC_BITS))?,
        Some(SshKeyType::Ed25519) => ed25519()?,
        Some(SshKeyType::Other(word)) => return Err(format!("spec.keyType: {word:?} is not known")),
    };
    let comment = spec.comment.as_deref().unwrap_or_default();
    let mut public = format!("{} {}", parts.name, base64::encode_public(&parts.public));
    if !comment.is_empty() {
        public.push(' ');
        public.push_str(comment);
    }
    public.push('\n');
    Ok(BTreeMap::from([
        ("privateKey".to_owned(), private_text(&parts, comment)?),
        ("publicKey".to_owned(), public.into()),
    ]))
}

/// A key as OpenSSH takes it apart.
struct Parts {
    /// Name of the kind of key.
    name: &'static str,
    /// The public key.
    public: Vec<u8>,
    /// The fields of the private key, behind its name.
    private: Plaintext,
}

fn failed<E>(_: E) -> String {
    "the key could not be made".to_owned()
}

fn ed25519() -> Result<Parts, String> {
    let key = Ed25519KeyPair::generate().map_err(failed)?;
    let seed = key.seed().map_err(failed)?;
    let seed = seed.as_be_bytes().map_err(failed)?;
    let point = key.public_key().as_ref();
    let name = "ssh-ed25519";
    let mut public = Vec::new();
    string(name.as_bytes(), &mut |bytes| public.extend_from_slice(bytes));
    string(point, &mut |bytes| public.extend_from_slice(bytes));
    let mut private = Plaintext::with_capacity(128);
    string(point, &mut |bytes| private.push(bytes));
    private.push(&length(seed.as_ref().len() + point.len()));
    private.push(seed.as_ref());
    private.push(point);
    Ok(Parts { name, public, private })
}

fn ecdsa(bits: i64) -> Result<Parts, String> {
    let (name, curve, algorithm): (_, _, &'static EcdsaSigningAlgorithm) = match bits {
        256 => ("ecdsa-sha2-nistp256", "nistp256", &ECDSA_P256_SHA256_ASN1_SIGNING),
        384 => ("ecdsa-sha2-nistp384", "nistp384", &ECDSA_P384_SHA384_ASN1_SIGNING),
        521 => ("ecdsa-sha2-nistp521", "nistp521", &ECDSA_P521_SHA512_ASN1_SIGNING),
        other => return Err(format!("spec.keySize: an ECDSA key has 256, 384 or 521 bits, not {other}")),
    };
    let key = EcdsaKeyPair::generate(algorithm).map_err(failed)?;
    let scalar = key.private_key();
    let scalar: EcPrivateKeyBin<'_> = scalar.as_be_bytes().map_err(failed)?;
    let point = key.public_key().as_ref();
    let mut public = Vec::new();
    for field in [name.as_bytes(), curve.as_bytes(), point] {
        string(field, &mut |bytes| public.extend_from_slice(bytes));
    }
    let mut private = Plaintext::with_capacity(256);
    for field in [curve.as_bytes(), point] {
        string(field, &mut |bytes| private.push(bytes));
    }
    integer(scalar.as_ref(), &mut |bytes| private.push(bytes));
    Ok(Parts { name, public, private })
}

fn rsa(bits: i64) -> Result<Parts, String> {
    let size = match bits {
        2048 => KeySize::Rsa2048,
        3072 => KeySize::Rsa3072,
        4096 => KeySize::Rsa4096,
        8192 => KeySize::Rsa8192,
        other => {
            return Err(format!("spec.keySize: an RSA key has 2048, 3072, 4096 or 8192 bits, not {other}"));
        }
    };
    let key = PrivateDecryptingKey::generate(size).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
    let [n, e, d, p, q, inverse] = numbers(der.as_ref()).ok_or("the key could not be taken apart")?;
    let name = "ssh-rsa";
    let mut public = Vec::new();
    string(name.as_bytes(), &mut |bytes| public.extend_from_slice(bytes));
    for number in [e, n] {
        integer(number, &mut |bytes| public.extend_from_slice(bytes));
    }
    let mut private = Plaintext::with_capacity(8192);
    for number in [n, e, d, inverse, p, q] {
        integer(number, &mut |bytes| private.push(bytes));
    }
    Ok(Parts { name, public, private })
}

/// Takes n, e, d, p, q and the inverse of q out of PKCS#8: a sequence of version, algorithm and PKCS#1 (RFC 8017, A.1.2).
fn numbers(der: &[u8]) -> Option<[&[u8]; 6]> {
    let (_, mut outer, _) = element(der)?;
    for _ in 0..2 {
        outer = element(outer)?.2;
    }
    let (_, inner, _) = element(outer)?;
    let (_, mut rest, _) = element(inner)?;
    let mut found = Vec::new();
    while let Some((0x02, number, after)) = element(rest) {
        found.push(number);
        rest = after;
    }
    // version, n, e, d, p, q, dp, dq, qinv
    match found.as_slice() {
        [_, n, e, d, p, q, _, _, inverse] => Some([n, e, d, p, q, inverse]),
        _ => None,
    }
}

/// Returns tag and content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (size, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(size)?;
    Some((tag, content, after))
}

fn length(size: usize) -> [u8; 4] {
    u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes()
}

fn string(bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
    out(&length(bytes.len()));
    out(bytes);
}

/// A positive number: without zeros in front, but for one where the first bit is set.
fn integer(bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    let sign = usize::from(digits.first().is_some_and(|first| first & 0x80 != 0));
    out(&length(digits.len() + sign));
    out(&[0][..sign]);
    out(digits);
}

/// `PROTOCOL.key` of OpenSSH, without a passphrase.
fn private_text(parts: &Parts, comment: &str) -> Result<Plaintext, String> {
    let mut check = [0; 4];
    fill(&mut check)?;
    let mut list = Plaintext::with_capacity(parts.private.len() + 256);
    list.push(&check);
    list.push(&check);
    string(parts.name.as_bytes(), &mut |bytes| list.push(bytes));
    list.push(parts.private.expose());
    string(comment.as_bytes(), &mut |bytes| list.push(bytes));
    for (_, pad) in (list.len() % BLOCK..BLOCK).zip(1u8..) {
        if list.len().is_multiple_of(BLOCK) {
            break;
        }
        list.push(&[pad]);
    }
    let mut all = Plaintext::with_capacity(list.len() + 512);
    all.push(b"openssh-key-v1\0");
    for field in [&b"none"[..], b"none", b""] {
        string(field, &mut |bytes| all.push(bytes));
    }
    all.push(&length(1));
    string(&parts.public, &mut |bytes| all.push(bytes));
    string(list.expose(), &mut |bytes| all.push(bytes));
    let letters = base64::encode(all.expose());
    let mut text = Plaintext::with_capacity(letters.len() * 2);
    text.push(b"-----BEGIN OPENSSH PRIVATE KEY-----\n");
    for line in letters.expose().chunks(LINE) {
        text.push(line);
        text.push(b"\n");
    }
    text.push(b"-----END OPENSSH PRIVATE KEY-----\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// ssh-keygen reads the private key, and gives the same public key.
    fn public_of(private: &Plaintext) -> String {
        let folder =
            std::env::temp_dir().join(format!("sealops-ssh-{}-{}", std::process::id(), private.len()));
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.write(true).create(true).truncate(true).open(&folder).unwrap();
        file.write_all(private.expose()).unwrap();
        let output =
            Command::new("ssh-keygen").arg("-y").arg("-f").arg(&folder).stdin(Stdio::null()).output();
        std::fs::remove_file(&folder).unwrap();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn openssh_reads_the_keys() {
        for (key_type, key_size, begin) in [
            (SshKeyType::Rsa, None, "ssh-rsa AAAA"),
            (SshKeyType::Ecdsa, None, "ecdsa-sha2-nistp256 AAAA"),
            (SshKeyType::Ecdsa, Some(384), "ecdsa-sha2-nistp384 AAAA"),
            (SshKeyType::Ecdsa, Some(521), "ecdsa-sha2-nistp521 AAAA"),
            (SshKeyType::Ed25519, Some(512), "ssh-ed25519 AAAA"),
        ] {
            let comment = Some("amber@example.test".to_owned());
            let made = generate(&SshKeySpec { key_type: Some(key_type), key_size, comment }).unwrap();
            let public = made["publicKey"].expose_str().unwrap();
            assert!(public.starts_with(begin) && public.ends_with(" amber@example.test\n"), "{public}");
            assert_eq!(public_of(&made["privateKey"]).trim(), public.trim());
        }
    }

    #[test]
    fn odd_sizes_are_refused() {
        for (key_type, size) in [(SshKeyType::Rsa, 1024), (SshKeyType::Ecdsa, 2048)] {
            let spec = SshKeySpec { key_type: Some(key_type), key_size: Some(size), comment: None };
            assert!(generate(&spec).unwrap_err().contains("spec.keySize"));
        }
    }
}
