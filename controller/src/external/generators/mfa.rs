//! The generator MFA: one-time passwords by time (RFC 6238, SHA-1).

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use sealops_crds::generators::MfaSpec;
use sealops_formats::Plaintext;

const DIGITS: u32 = 6;
/// Most digits: a code has 31 bits.
const MAX_DIGITS: u32 = 10;
const PERIOD: i64 = 30;

/// Makes the code for `spec.when`, or for `now` in seconds since 1970, and says how long it holds.
pub(super) fn generate(
    spec: &MfaSpec,
    seed: &Plaintext,
    now: i64,
) -> Result<BTreeMap<String, Plaintext>, String> {
    let at = match spec.when.as_deref() {
        None => now,
        Some(text) => {
            let time = text.parse::<jiff::Timestamp>();
            time.map_err(|_| "spec.when is no time".to_owned())?.as_second()
        }
    };
    let period = spec.time_period.filter(|period| *period > 0).unwrap_or(PERIOD);
    let digits = spec.length.filter(|length| *length > 0).map_or(Ok(DIGITS), u32::try_from);
    let digits = digits
        .ok()
        .filter(|digits| *digits <= MAX_DIGITS)
        .ok_or_else(|| format!("spec.length: a code has {MAX_DIGITS} digits at most"))?;
    let counter = at.div_euclid(period);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, from_base32(seed)?.expose());
    let tag = hmac::sign(&key, &counter.to_be_bytes());
    let code = u64::from(truncated(tag.as_ref())) % 10u64.pow(digits);
    let width = digits as usize;
    Ok(BTreeMap::from([
        ("token".to_owned(), format!("{code:0width$}").into()),
        ("timeLeft".to_owned(), (period - at.rem_euclid(period)).to_string().into()),
    ]))
}

/// RFC 4226, 5.3.
fn truncated(tag: &[u8]) -> u32 {
    let offset = tag.last().map_or(0, |last| usize::from(last & 15));
    let word = tag.get(offset..offset + 4).and_then(|word| word.try_into().ok()).unwrap_or_default();
    u32::from_be_bytes(word) & 0x7fff_ffff
}

/// Case, padding and white space do not matter.
fn from_base32(text: &Plaintext) -> Result<Plaintext, String> {
    let mut out = Plaintext::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut number) = (0u32, 0u32);
    for byte in text.expose().iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=') {
        let digit = match byte.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return Err("failed to generate code for token key: the seed is not base32".to_owned()),
        };
        number = number << 5 | u32::from(digit);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(&[(number >> bits) as u8]);
            number &= (1 << bits) - 1;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from upstream 2.9.0 (`vectors/eso/generator-mfa`).
    #[test]
    fn codes_are_those_of_upstream() {
        for (length, when, token, left) in [
            (None, "2031-01-01T00:00:00Z", "955622", "30"),
            (Some(8), "2031-01-01T00:00:10Z", "73955622", "20"),
        ] {
            let spec = MfaSpec { length, when: Some(when.into()), ..MfaSpec::default() };
            let made = generate(&spec, &"JBSWY3DPEHPK3PXP".into(), 0).unwrap();
            assert_eq!(made["token"].expose_str(), Some(token));
            assert_eq!(made["timeLeft"].expose_str(), Some(left));
        }
    }

    /// RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let seed: Plaintext = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into();
        for (now, token) in [(59, "94287082"), (1_111_111_109, "07081804"), (20_000_000_000, "65353130")] {
            let spec = MfaSpec { length: Some(8), ..MfaSpec::default() };
            assert_eq!(generate(&spec, &seed, now).unwrap()["token"].expose_str(), Some(token));
        }
        assert!(generate(&MfaSpec::default(), &"hunter2!".into(), 0).unwrap_err().contains("base32"));
        assert!(generate(&MfaSpec { length: Some(99), ..MfaSpec::default() }, &seed, 0).is_err());
    }
}
