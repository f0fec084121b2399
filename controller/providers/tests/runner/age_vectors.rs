//! C2SP CCTV: 143 age files, each with one peculiarity and what a reader must say.

use std::collections::BTreeMap;
use std::io::Read as _;

use crate::parts::Parts;
use anyhow::{Context, Result};
use sealops_crypto::age::{AgeError, Identity, ParsedIdentity, decrypt_up_to, parse_identities};
use sealops_formats::Plaintext;

/// Largest payload of the vectors, in bytes.
const LIMIT: usize = 64 << 20;

fn run(headers: &BTreeMap<&str, Vec<&str>>, message: &[u8]) -> Result<String> {
    let mut identities: Vec<Box<dyn Identity>> = Vec::new();
    for identity in headers.get("identity").into_iter().flatten() {
        for parsed in parse_identities(&Plaintext::from(*identity), false)? {
            match parsed {
                ParsedIdentity::Native(native) => identities.push(native),
                ParsedIdentity::Plugin { .. } => anyhow::bail!("a plugin"),
            }
        }
    }
    for passphrase in headers.get("passphrase").into_iter().flatten() {
        let mut identity = age::scrypt::Identity::new((*passphrase).to_owned().into());
        identity.set_max_work_factor(22);
        identities.push(Box::new(identity));
    }
    Ok(match decrypt_up_to(message, identities.iter().map(AsRef::as_ref), LIMIT) {
        Ok(payload) => {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload.expose());
            let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let expected = headers.get("payload").and_then(|values| values.first());
            if Some(&hex.as_str()) == expected { "success" } else { "wrong payload" }
        }
        // A wrong passphrase is no match: age knows one recipient of that kind only.
        Err(AgeError::NoMatch | AgeError::Passphrase("incorrect passphrase")) => "no match",
        Err(AgeError::HeaderMac) => "HMAC failure",
        Err(AgeError::Armor) => "armor failure",
        Err(AgeError::Payload) => "payload failure",
        Err(_) => "header failure",
    }
    .to_owned())
}

#[test]
fn all_vectors_give_their_expectation() -> Result<()> {
    let folder = Parts::locate()?.path("age-vectors")?;
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let file = std::fs::read(&path)?;
        let end = file.windows(2).position(|two| two == b"\n\n").context("no header")?;
        let (head, body) = (std::str::from_utf8(&file[..end])?, &file[end + 2..]);
        let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in head.lines() {
            let (name, value) = line.split_once(": ").context("no value")?;
            headers.entry(name).or_default().push(value);
        }
        let mut message = body.to_vec();
        if headers.contains_key("compressed") {
            message.clear();
            flate2::read::ZlibDecoder::new(body).read_to_end(&mut message)?;
        }
        let (found, expected) = (run(&headers, &message)?, headers["expect"][0]);
        if found != expected {
            wrong.push(format!("{}: {found} instead of {expected}", path.display()));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(count, 143);
    Ok(())
}
