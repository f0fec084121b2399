//! Numbers as Go writes them.

/// Writes a float as Go's `FormatFloat(f, 'g', -1, 64)` does: the shortest digits that give the same number, with an
/// exponent below 1e-4 and from 1e6 on. `mark` is `e` or `E`.
pub(super) fn go_float(number: f64, mark: char) -> String {
    with_exponent(number, -4..6, mark)
}

/// Writes a float as Go's `FormatFloat(f, 'f', -1, 64)` does: never with an exponent.
pub(super) fn plain_float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if number.is_nan() { "NaN".to_owned() } else { format!("{number}") }
}

/// Writes a float as Go's JSON encoder does: an exponent below 1e-6 and from 1e21 on, of one digit where one is enough.
/// There is none for infinities and NaN.
pub(super) fn json_float(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let text = with_exponent(number, -6..21, 'e');
    Some(text.replace("e-0", "e-"))
}

fn with_exponent(number: f64, plain: std::ops::Range<i32>, mark: char) -> String {
    if !number.is_finite() || number == 0.0 {
        return plain_float(number);
    }
    let shortest = format!("{number:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if plain.contains(&exponent) {
        return plain_float(number);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}{mark}{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_floats_as_go_does() {
        for (number, g, f, json) in [
            (1.0, "1", "1", "1"),
            (100_000.5, "100000.5", "100000.5", "100000.5"),
            (1_234_567.5, "1.2345675e+06", "1234567.5", "1234567.5"),
            (1e-5, "1e-05", "0.00001", "0.00001"),
            (1e-7, "1e-07", "0.0000001", "1e-7"),
            (1.5e-10, "1.5e-10", "0.00000000015", "1.5e-10"),
            (1e21, "1e+21", "1000000000000000000000", "1e+21"),
            (-0.0, "-0", "-0", "-0"),
        ] {
            assert_eq!(go_float(number, 'e'), g);
            assert_eq!(plain_float(number), f);
            assert_eq!(json_float(number).as_deref(), Some(json));
        }
        assert_eq!(go_float(f64::NEG_INFINITY, 'E'), "-Inf");
        assert_eq!(json_float(f64::NAN), None);
    }
}
