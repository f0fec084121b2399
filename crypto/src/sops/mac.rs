//! The message authentication code of a file: SHA-512 over its values, one after the other, encrypted like a value.
//!
//! It covers no keys, no types, no boundaries and no metadata. That is SOPS's format; the test `tamper_matrix` shows what
//! it lets through.

use aws_lc_rs::digest;
use sealops_formats::Plaintext;
use sealops_formats::tree::NotEncryptable;

use super::walk::Leaf;

/// SHA-256 of `sops`: what the hash starts with when it covers encrypted values only.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b, 0x0b,
    0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];

/// Hashes the readable values of the leaves; comments never count. Returns the position of a leaf that has no bytes.
pub(super) fn of(leaves: &[Leaf<'_>], only_encrypted: bool) -> Result<Plaintext, (usize, NotEncryptable)> {
    let mut hash = digest::Context::new(&digest::SHA512);
    if only_encrypted {
        hash.update(&ONLY_ENCRYPTED);
    }
    for (index, leaf) in leaves.iter().enumerate() {
        let Some(scalar) = leaf.scalar() else { continue };
        let bytes = scalar.to_plain_bytes().map_err(|error| (index, error))?;
        if leaf.hashed && (!only_encrypted || leaf.encrypted) {
            hash.update(bytes.expose());
        }
    }
    let mut text = Plaintext::with_capacity(128);
    for byte in hash.finish().as_ref() {
        text.push(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    Ok(text)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
