//! Go's number syntax (`strconv.ParseInt` with base 0, `strconv.ParseFloat`).

/// Parses an unsigned integer with an optional base prefix and underscores.
pub(crate) fn parse_uint(text: &str) -> Option<u64> {
    if text.contains('_') && !underscores_fit(text) {
        return None;
    }
    let (base, digits) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &text[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &text[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &text[2..]),
        [b'0', _, ..] => (8, &text[1..]),
        _ => (10, text),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), base).ok()
}

/// Parses a signed integer with an optional base prefix and underscores.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = parse_uint(magnitude)?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Parses a floating-point number: decimal, hexadecimal, infinity, not a number. `None` for bad syntax and for overflow.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    if unsigned.eq_ignore_ascii_case("inf") || unsigned.eq_ignore_ascii_case("infinity") {
        return Some(sign * f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if text.contains('_') && !underscores_fit(text) {
        return None;
    }
    let digits = unsigned.replace('_', "");
    if digits.starts_with("0x") || digits.starts_with("0X") {
        return Some(sign * parse_hex_float(&digits[2..])?);
    }
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    value.is_finite().then_some(sign * value)
}

/// `strconv.underscoreOK`: underscores stand between digits only, or after a base prefix.
fn underscores_fit(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let prefixed = ["0b", "0o", "0x"].iter().any(|prefix| text.starts_with(prefix));
    let hex = text.starts_with("0x");
    let mut last = if prefixed { '0' } else { '^' };
    for symbol in text.chars().skip(if prefixed { 2 } else { 0 }) {
        last = match symbol {
            '0'..='9' => '0',
            'a'..='f' if hex => '0',
            '_' if last == '0' => '_',
            '_' => return false,
            _ if last == '_' => return false,
            _ => '!',
        };
    }
    last != '_'
}

/// Parses what follows `0x` in a hexadecimal float; the exponent is obligatory.
fn parse_hex_float(text: &str) -> Option<f64> {
    let at = text.find(['p', 'P'])?;
    let exponent: i64 = text[at + 1..].parse::<i64>().ok().filter(|_| text[at + 1..].len() < 8)?;
    let (whole, fraction) = text[..at].split_once('.').unwrap_or((&text[..at], ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (mut mantissa, mut scale, mut sticky) = (0u64, exponent, false);
    for (at, symbol) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(symbol.to_digit(16)?);
        if mantissa >> 58 == 0 {
            mantissa = mantissa << 4 | digit;
            scale -= if at >= whole.len() { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            scale += if at >= whole.len() { 0 } else { 4 };
        }
    }
    let value = round_to_float(mantissa, scale, sticky);
    value.is_finite().then_some(value)
}

/// Rounds `mantissa * 2^scale` to the nearest float, ties to even; `sticky` says that lower bits were lost.
fn round_to_float(mantissa: u64, scale: i64, sticky: bool) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let top = 63 - i64::from(mantissa.leading_zeros()) + scale;
    if top > 1023 {
        return f64::INFINITY;
    }
    // The lowest bit that a float of this size has.
    let unit = (top - 52).max(-1074);
    let shift = unit - scale;
    let (mut bits, exact) = if shift <= 0 {
        (mantissa << (-shift).min(63), true)
    } else if shift > 64 {
        (0, false)
    } else {
        let kept = if shift == 64 { 0 } else { mantissa >> shift };
        let lost = if shift == 64 { mantissa } else { mantissa & ((1 << shift) - 1) };
        let half = 1u64 << (shift - 1);
        let up = lost > half || lost == half && (sticky || kept & 1 == 1);
        (kept + u64::from(up), lost == 0)
    };
    if exact && bits == 0 {
        bits = 0;
    }
    bits as f64 * 2f64.powi(unit.max(-1022) as i32) * 2f64.powi((unit - unit.max(-1022)) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_integers_in_every_base() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0x1F", 31),
            ("0b101", 5),
            ("0o17", 15),
            ("017", 15),
            ("1_000", 1000),
            ("0x_ff", 255),
            ("-9223372036854775808", i64::MIN),
            ("+5", 5),
        ] {
            assert_eq!(parse_int(text), Some(value), "{text}");
        }
        for text in ["", "08", "1__0", "_1", "1_", "0x", "9223372036854775808", "1.0", "--1", "0b2", "0x-1"] {
            assert_eq!(parse_int(text), None, "{text}");
        }
        assert_eq!(parse_uint("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn parses_floats_in_both_bases() {
        for (text, value) in [
            ("1.", 1.0),
            (".5", 0.5),
            ("1_23.50_0_0e+1_2", 1.235e14),
            ("0x1p-2", 0.25),
            ("0x1.8p1", 3.0),
            ("-0X.8p0", -0.5),
            ("0x1p-1074", 5e-324),
            ("0x1.fffffffffffff7p0", 1.999_999_999_999_999_8),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        for text in ["", ".", "1e", "0x1", "0x1.8", "1e400", "0x1p1024", "1_.5", "e5", "++1"] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }
}
