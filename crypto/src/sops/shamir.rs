//! Shamir's secret sharing as SOPS and Vault do it: over GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, byte by byte.
//!
//! ```text
//!   share i = f_0(i) … f_31(i) ‖ i          f_k(0) = byte k of the secret, degree = threshold - 1, i from 1
//! ```
//!
//! Multiplication and inversion use neither tables nor branches on secret bytes, so their time depends on the number
//! and the length of the shares only. The x coordinates are public: they are compared and inverted as such.

use zeroize::Zeroizing;

use super::data_key::KeyPart;
use crate::random::{NoRandomness, Random};

/// Most shares there are: x = 0 is the secret.
pub const MAX_SHARES: usize = 255;
/// Fewest shares that a threshold asks for: with one, each share would be the secret.
pub const MIN_THRESHOLD: usize = 2;

/// Why a secret was not split or combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShamirError {
    /// Two shares have one x coordinate.
    #[error("two parts of the data key are the same share")]
    Duplicate,
    /// A share is too short, of another length than the first, or at x = 0.
    #[error("a part of the data key is not a Shamir share")]
    Malformed,
    /// No randomness.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The threshold is below 2.
    #[error("threshold must be at least 2")]
    ThresholdTooSmall,
    /// The threshold is above the number of shares. The words are upstream's.
    #[error("parts cannot be less than threshold")]
    TooFewParts,
    /// More shares than [`MAX_SHARES`].
    #[error("parts cannot exceed 255")]
    TooManyParts,
    /// Fewer than two shares were given.
    #[error("less than two parts cannot be used to reconstruct the secret")]
    TooFewShares,
}

/// Splits a secret into `parts` shares, any `threshold` of which give it back.
///
/// # Errors
/// Returns [`ShamirError`] by cause.
pub fn split(
    secret: &[u8],
    parts: usize,
    threshold: usize,
    random: &mut dyn Random,
) -> Result<Vec<KeyPart>, ShamirError> {
    check(parts, threshold)?;
    let mut coefficients = Zeroizing::new(vec![0; secret.len() * (threshold - 1)]);
    random.fill(&mut coefficients)?;
    let shares = (1..=parts).map(|number| {
        let x = u8::try_from(number).map_err(|_| ShamirError::TooManyParts)?;
        let mut share = sealops_formats::Plaintext::with_capacity(secret.len() + 1);
        for (byte, coefficients) in secret.iter().zip(coefficients.chunks_exact(threshold - 1)) {
            let above = coefficients.iter().rev().fold(0, |sum, &coefficient| multiply(sum, x) ^ coefficient);
            share.push(&[multiply(above, x) ^ byte]);
        }
        share.push(&[x]);
        Ok(KeyPart::new(share))
    });
    shares.collect()
}

/// Checks that a threshold and a number of shares go together.
///
/// # Errors
/// Returns what does not.
pub fn check(parts: usize, threshold: usize) -> Result<(), ShamirError> {
    match () {
        () if parts < threshold => Err(ShamirError::TooFewParts),
        () if parts > MAX_SHARES => Err(ShamirError::TooManyParts),
        () if threshold < MIN_THRESHOLD => Err(ShamirError::ThresholdTooSmall),
        () => Ok(()),
    }
}

/// Combines shares into the secret. Too few shares, or shares of different secrets, give a wrong secret.
///
/// # Errors
/// Returns [`ShamirError`] for what cannot be shares of one secret.
pub fn combine(shares: &[&KeyPart]) -> Result<Zeroizing<Vec<u8>>, ShamirError> {
    let (first, rest) = shares.split_first().ok_or(ShamirError::TooFewShares)?;
    if rest.is_empty() {
        return Err(ShamirError::TooFewShares);
    }
    let length = first.bytes().len();
    let mut points: Vec<(u8, &[u8])> = Vec::with_capacity(shares.len());
    for share in shares {
        let Some((&x, ys)) = share.bytes().split_last() else { return Err(ShamirError::Malformed) };
        if ys.is_empty() || ys.len() + 1 != length || x == 0 {
            return Err(ShamirError::Malformed);
        }
        if points.iter().any(|(other, _)| *other == x) {
            return Err(ShamirError::Duplicate);
        }
        points.push((x, ys));
    }
    let mut secret = Zeroizing::new(vec![0; length - 1]);
    for (index, (x, ys)) in points.iter().enumerate() {
        let weight = points.iter().enumerate().filter(|(other, _)| *other != index).fold(
            1,
            // Lagrange's basis at 0; subtraction is addition in this field.
            |weight, (_, (other, _))| multiply(weight, multiply(*other, invert(x ^ other))),
        );
        for (out, y) in secret.iter_mut().zip(*ys) {
            *out ^= multiply(weight, *y);
        }
    }
    Ok(secret)
}

/// Multiplies in constant time.
fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    for _ in 0..8 {
        product ^= a & 0u8.wrapping_sub(b & 1);
        let carry = 0u8.wrapping_sub(a >> 7);
        a = (a << 1) ^ (carry & 0x1b);
        b >>= 1;
    }
    product
}

/// Returns the inverse, a^254, in constant time; 0 for 0.
fn invert(a: u8) -> u8 {
    let mut power = 1;
    for bit in (0..8).rev() {
        power = multiply(power, power);
        if (254u8 >> bit) & 1 == 1 {
            power = multiply(power, a);
        }
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn the_field_is_the_one_of_aes() {
        assert_eq!(multiply(0x57, 0x83), 0xc1); // FIPS 197 section 4.2
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        assert_eq!(invert(0), 0);
        for a in 1..=255 {
            assert_eq!(multiply(a, invert(a)), 1, "{a}");
        }
    }

    /// Shares 1, 2 and 3 combine in any field with 256 elements; the others do not.
    #[test]
    fn any_three_of_seven_give_the_secret() {
        let secret = *b"0123456789abcdef0123456789abcdef";
        let shares = split(&secret, 7, 3, &mut SystemRandom).unwrap();
        for a in 0..7 {
            for b in 0..7 {
                for c in 0..7 {
                    if a != b && b != c && a != c {
                        let combined = combine(&[&shares[a], &shares[b], &shares[c]]).unwrap();
                        assert_eq!(combined.as_slice(), secret);
                    }
                }
            }
        }
        assert_ne!(combine(&[&shares[4], &shares[6]]).unwrap().as_slice(), secret);
    }

    /// Shares 3, 4 and 5 of five that sops 3.13.3 made with a threshold of three.
    #[test]
    fn shares_of_sops_combine() {
        let shares: Vec<KeyPart> = [
            "28337e15c36760c47f067728cb351ca499104fadb2819771a407f94a688db02603",
            "7d319e02167550ec472492531b2e32c599fcbfe404435dcbda0a40b1372a233904",
            "9ae1a84ec15f16ceedd8d52332043d9b40a1ce42886797f79d20273aec2be82f05",
        ]
        .map(|hex| {
            let digits = hex.as_bytes().as_chunks::<2>().0.iter();
            let bytes =
                digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
            KeyPart::new(bytes.collect::<Vec<u8>>().into())
        })
        .into();
        let combined = combine(&[&shares[0], &shares[1], &shares[2]]).unwrap();
        assert_eq!(combined.as_slice(), b"0123456789abcdef0123456789abcdef");
    }

    /// B7 65: impossible thresholds; B7 66: repeated, empty, short shares and x = 0.
    #[test]
    fn bad_input_65_66_is_refused() {
        let mut random = SystemRandom;
        let mut fail = |parts, threshold| split(b"secret", parts, threshold, &mut random).unwrap_err();
        assert_eq!(fail(3, 0), ShamirError::ThresholdTooSmall);
        assert_eq!(fail(3, 1), ShamirError::ThresholdTooSmall);
        assert_eq!(fail(2, 3), ShamirError::TooFewParts);
        assert_eq!(fail(256, 2), ShamirError::TooManyParts);

        let part = |bytes: &[u8]| KeyPart::new(bytes.into());
        let refuse = |a: &[u8], b: &[u8]| combine(&[&part(a), &part(b)]).unwrap_err();
        assert_eq!(refuse(b"ab\x01", b"cd\x01"), ShamirError::Duplicate);
        assert_eq!(refuse(b"ab\x00", b"cd\x01"), ShamirError::Malformed);
        assert_eq!(refuse(b"ab\x02", b"cde\x01"), ShamirError::Malformed);
        assert_eq!(refuse(b"", b""), ShamirError::Malformed);
        assert_eq!(refuse(b"\x01", b"\x02"), ShamirError::Malformed);
        assert_eq!(combine(&[&part(b"ab\x01")]).unwrap_err(), ShamirError::TooFewShares);
    }
}
