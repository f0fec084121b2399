//! What a plain YAML scalar means to Kubernetes' tools.
//!
//! `sigs.k8s.io/yaml` 1.6 resolves as Go's yaml.v2 does (YAML 1.1 words, `0777` and `0o777` octal, `_` in numbers) and
//! gives a text field the canonical form of what it resolved: `yes` → `true`, `0777` → `511`, `1.50` → `1.5`, floats
//! with 32-bit precision. Checked against kubeseal 0.40.0.

use super::node::ScalarKind;

/// What an unquoted scalar resolves to.
#[derive(Debug, PartialEq)]
pub(super) enum Resolved {
    /// `~`, `null` or nothing.
    Null,
    /// A word, number or text with its canonical text.
    Scalar(ScalarKind, String),
}

/// Resolves an unquoted scalar.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Resolved::Scalar(ScalarKind::Bool, "true".to_owned());
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Resolved::Scalar(ScalarKind::Bool, "false".to_owned());
        }
        _ => {}
    }
    if starts_like_a_number(text) {
        if let Some(number) = integer(&text.replace('_', "")) {
            return Resolved::Scalar(ScalarKind::Int, number.to_string());
        }
        if let Some(number) = float(text) {
            return Resolved::Scalar(ScalarKind::Float, float_text(number));
        }
    }
    Resolved::Scalar(ScalarKind::Text, text.to_owned())
}

/// Returns whether a text would be read as something else when it stands unquoted.
pub(super) fn needs_quotes_to_stay_text(text: &str) -> bool {
    text == "<<"
        || text == "="
        || looks_like_a_date(text)
        || resolve(text) != Resolved::Scalar(ScalarKind::Text, text.to_owned())
}

/// Returns the text form of a float as Go's `strconv.FormatFloat(f, 'g', -1, 32)` writes it: the shortest digits that
/// give the same 32-bit float, with an exponent below 1e-4 and from 1e6 on.
pub(super) fn float_text(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "32-bit precision is what the Go tools use here")]
    let single = number as f32;
    let shortest = format!("{single:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    } else {
        format!("{single}")
    }
}

/// Returns kind and text of a JSON number.
pub(super) fn json_number(number: &serde_json::Number) -> (ScalarKind, String) {
    if number.is_i64() || number.is_u64() {
        (ScalarKind::Int, number.to_string())
    } else {
        (ScalarKind::Float, number.to_string())
    }
}

fn starts_like_a_number(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'0'..=b'9' | b'+' | b'-' | b'.'))
}

fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix_of(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
}

fn radix_of(digits: &str) -> (u32, &str) {
    let prefix = digits.get(..2).map(str::to_ascii_lowercase);
    match prefix.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    }
}

fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => return None, // no JSON form: the peers fail, we keep the text
        _ => {}
    }
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    let shape =
        plain.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' | b'_'));
    if !shape || !plain.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

fn looks_like_a_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(source: &str) -> String {
        match resolve(source) {
            Resolved::Null => "null".to_owned(),
            Resolved::Scalar(_, text) => text,
        }
    }

    /// What kubeseal 0.40.0 sealed for these unquoted values of `stringData`.
    #[test]
    fn gives_text_fields_what_kubeseal_gives_them() {
        for (source, text) in [
            ("y", "true"),
            ("no", "false"),
            ("1", "1"),
            ("1.50", "1.5"),
            ("2001-01-01", "2001-01-01"),
            ("0777", "511"),
            ("1e3", "1000"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("12345678901234567890123", "1.2345679e+22"),
            ("0b11", "3"),
            ("0.1", "0.1"),
            ("1e21", "1e+21"),
            ("100000000.0", "1e+08"),
            ("-012", "-10"),
            ("0o14", "12"),
            ("190:20:30", "190:20:30"),
            ("18446744073709551615", "18446744073709551615"),
            ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00"),
        ] {
            assert_eq!(text_of(source), text, "{source}");
        }
    }

    #[test]
    fn words_that_only_look_special_stay_text() {
        for text in ["yEs", "nil", "0o8", "e3", "1,000", "-", "+", ".", "..", "a1", "0xZZ", "tRue"] {
            assert_eq!(text_of(text), text);
            assert!(!needs_quotes_to_stay_text(text), "{text}");
        }
    }
}
