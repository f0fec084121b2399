//! The generator Password.

use std::collections::BTreeMap;

use sealops_crds::generators::{PasswordEncoding, PasswordSpec};
use sealops_formats::{Plaintext, base64};

use super::below;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const SYMBOLS: &str = "~!@#$%^&*()_+`-={}|[]\\:\"<>?,./";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Length where none is given.
const LENGTH: usize = 24;
/// Longest password; upstream has no bound.
const MAX_LENGTH: usize = 64 << 10;
/// Most passwords of one generator.
const MAX_KEYS: usize = 1024;

/// Makes one password per key.
pub(super) fn generate(spec: &PasswordSpec) -> Result<BTreeMap<String, Plaintext>, String> {
    let default = ["password".to_owned()];
    let keys = if spec.secret_keys.is_empty() { &default[..] } else { &spec.secret_keys[..] };
    if keys.len() > MAX_KEYS {
        return Err(format!("spec.secretKeys: more than {MAX_KEYS} keys"));
    }
    keys.iter().map(|key| Ok((key.clone(), encoded(password(spec)?, spec.encoding.as_ref())))).collect()
}

fn password(spec: &PasswordSpec) -> Result<Plaintext, String> {
    let length = match spec.length.map(usize::try_from) {
        None | Some(Err(_) | Ok(0)) => LENGTH,
        Some(Ok(length)) => length,
    };
    if length > MAX_LENGTH {
        return Err(format!("spec.length: more than {MAX_LENGTH} characters"));
    }
    let share = |given: Option<i64>| match given {
        None => Ok(length / 4),
        Some(number) => usize::try_from(number).map_err(|_| "a number of characters is negative".to_owned()),
    };
    let (digits, symbols) = (share(spec.digits)?, share(spec.symbols)?);
    let letters = length
        .checked_sub(digits.saturating_add(symbols))
        .ok_or("number of digits and symbols must be less than total length")?;
    let repeat = spec.allow_repeat.unwrap_or(false);
    let mut alphabet = LOWER.to_owned();
    if !spec.no_upper.unwrap_or(false) {
        alphabet.push_str(UPPER);
    }
    let written = spec.symbol_characters.as_deref().filter(|text| !text.is_empty()).unwrap_or(SYMBOLS);
    let mut chosen = Vec::with_capacity(length);
    for (what, from, count) in
        [("letters", alphabet.as_str(), letters), ("digits", DIGITS, digits), ("symbols", written, symbols)]
    {
        draw(what, from, count, repeat, &mut chosen)?;
    }
    shuffle(&mut chosen)?;
    let mut out = Plaintext::with_capacity(chosen.len() * 4);
    for character in &chosen {
        out.push(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    chosen.fill('\0');
    Ok(out)
}

/// Draws `count` characters; without `repeat` each of them once at most.
fn draw(what: &str, from: &str, count: usize, repeat: bool, into: &mut Vec<char>) -> Result<(), String> {
    let mut left: Vec<char> = from.chars().collect();
    if !repeat {
        left.sort_unstable();
        left.dedup();
        if count > left.len() {
            return Err(format!("number of {what} exceeds available {what} and repeats are not allowed"));
        }
    }
    for _ in 0..count {
        let place = below(left.len())?;
        into.push(if repeat { left[place] } else { left.swap_remove(place) });
    }
    Ok(())
}

/// Every order is equally likely.
fn shuffle(characters: &mut [char]) -> Result<(), String> {
    for last in (1..characters.len()).rev() {
        characters.swap(last, below(last + 1)?);
    }
    Ok(())
}

fn encoded(password: Plaintext, encoding: Option<&PasswordEncoding>) -> Plaintext {
    match encoding {
        Some(PasswordEncoding::Base64) => base64::encode(password.expose()),
        Some(PasswordEncoding::Base64Url) => {
            let standard = base64::encode(password.expose());
            translated(&standard, |byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => other,
            })
        }
        Some(PasswordEncoding::Base32) => base32(password.expose()),
        Some(PasswordEncoding::Hex) => {
            let mut out = Plaintext::with_capacity(password.len() * 2);
            for byte in password.expose() {
                out.push(&[
                    b"0123456789abcdef"[usize::from(byte >> 4)],
                    b"0123456789abcdef"[usize::from(byte & 15)],
                ]);
            }
            out
        }
        None | Some(PasswordEncoding::Raw | PasswordEncoding::Other(_)) => password,
    }
}

fn translated(text: &Plaintext, change: impl Fn(u8) -> u8) -> Plaintext {
    let mut out = Plaintext::with_capacity(text.len());
    text.expose().iter().for_each(|byte| out.push(&[change(*byte)]));
    out
}

/// RFC 4648, with padding.
fn base32(bytes: &[u8]) -> Plaintext {
    let mut out = Plaintext::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut block = [0u8; 8];
        block[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        for place in 0..8 {
            let digit = ((bits >> (35 - place * 5)) & 31) as usize;
            out.push(&[if place < digits { BASE32[digit] } else { b'=' }]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(spec: &PasswordSpec) -> String {
        generate(spec).unwrap()["password"].expose_str().unwrap().to_owned()
    }

    fn count(text: &str, from: &str) -> usize {
        text.chars().filter(|c| from.contains(*c)).count()
    }

    #[test]
    fn a_password_has_what_is_asked_for() {
        let text = made(&PasswordSpec::default());
        assert_eq!((text.len(), count(&text, DIGITS), count(&text, SYMBOLS)), (24, 6, 6), "a quarter each");
        let spec = PasswordSpec {
            length: Some(10),
            digits: Some(0),
            symbols: Some(10),
            symbol_characters: Some("-_".into()),
            allow_repeat: Some(true),
            ..PasswordSpec::default()
        };
        assert_eq!(count(&made(&spec), "-_"), 10);
        let spec = PasswordSpec {
            length: Some(26),
            digits: Some(0),
            symbols: Some(0),
            no_upper: Some(true),
            ..PasswordSpec::default()
        };
        let mut letters: Vec<char> = made(&spec).chars().collect();
        letters.sort_unstable();
        assert_eq!(letters.into_iter().collect::<String>(), LOWER, "each once");
    }

    #[test]
    fn impossible_wishes_fail_in_upstreams_words() {
        let spec = |length, digits, symbols| PasswordSpec {
            length: Some(length),
            digits: Some(digits),
            symbols: Some(symbols),
            ..PasswordSpec::default()
        };
        for (spec, text) in [
            (spec(4, 3, 3), "number of digits and symbols must be less than total length"),
            (spec(60, 0, 0), "number of letters exceeds available letters and repeats are not allowed"),
            (spec(20, 11, 0), "number of digits exceeds available digits and repeats are not allowed"),
            (spec(60, 0, 40), "number of symbols exceeds available symbols and repeats are not allowed"),
        ] {
            assert_eq!(generate(&spec).unwrap_err(), text);
        }
        assert!(generate(&spec(1 << 40, 0, 0)).is_err());
    }

    #[test]
    fn encodings_are_those_of_rfc_4648() {
        for (bytes, encoding, text) in [
            (&b"foobar"[..], PasswordEncoding::Base32, "MZXW6YTBOI======"),
            (b"fooba", PasswordEncoding::Base32, "MZXW6YTB"),
            (b"f", PasswordEncoding::Base32, "MY======"),
            (b"\xfb\xff", PasswordEncoding::Base64, "+/8="),
            (b"\xfb\xff", PasswordEncoding::Base64Url, "-_8="),
            (b"\x01\xab", PasswordEncoding::Hex, "01ab"),
            (b"x", PasswordEncoding::Raw, "x"),
        ] {
            assert_eq!(encoded(bytes.into(), Some(&encoding)).expose_str(), Some(text));
        }
    }

    #[test]
    fn every_key_gets_its_own() {
        let spec = PasswordSpec { secret_keys: vec!["one".into(), "two".into()], ..PasswordSpec::default() };
        let made = generate(&spec).unwrap();
        assert_eq!(made.keys().collect::<Vec<_>>(), ["one", "two"]);
        assert!(!made["one"].ct_eq(&made["two"]));
    }
}
