//! Floating-point numbers as text (`strconv.AppendFloat`).

/// The digits of a finite number: `0.d1d2d3… * 10^point`.
struct Decimal {
    digits: Vec<u8>,
    point: i32,
}

/// More significant digits than any float has: from here on all are zero, so they are not asked for.
const MOST_DIGITS: usize = 800;

/// Formats with verb `e E f g G b x X`; no `precision` means the shortest text that reads back as the same number.
///
/// The caller bounds `precision` and charges for it.
pub(crate) fn format(value: f64, verb: u8, precision: Option<usize>, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"NaN");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
    match verb {
        b'b' => return format_binary(value, out),
        b'x' | b'X' => return format_hex(value, verb, precision, out),
        _ => {}
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    match verb {
        b'e' | b'E' => {
            let decimal = digits(value, precision.map(|precision| precision + 1), None);
            exponent_form(&decimal, precision.unwrap_or(decimal.digits.len().max(1) - 1), verb, out);
        }
        b'f' => {
            let decimal = digits(value, None, precision);
            let places = precision.unwrap_or((decimal.digits.len() as i32 - decimal.point).max(0) as usize);
            plain_form(&decimal, places, out);
        }
        _ => general_form(value, verb, precision, out),
    }
}

fn general_form(value: f64, verb: u8, precision: Option<usize>, out: &mut Vec<u8>) {
    let wanted = precision.map(|precision| precision.max(1));
    let decimal = digits(value, wanted, None);
    let mut count = decimal.digits.len();
    if wanted.is_some() {
        // %g shows no trailing zeros.
        while count > 0 && decimal.digits[count - 1] == b'0' {
            count -= 1;
        }
    }
    let exponent = decimal.point - 1;
    let threshold = match wanted.map(|wanted| wanted as i32) {
        None => 6,
        Some(wanted) if wanted > count as i32 && count as i32 >= decimal.point => count as i32,
        Some(wanted) => wanted,
    };
    let shown = Decimal { digits: decimal.digits[..count].to_vec(), point: decimal.point };
    if exponent < -4 || exponent >= threshold {
        return exponent_form(&shown, count.max(1) - 1, if verb == b'G' { b'E' } else { b'e' }, out);
    }
    plain_form(&shown, (count as i32 - decimal.point).max(0) as usize, out);
}

/// Returns the shortest digits, `significant` digits, or digits up to `places` after the point; rounded to even.
fn digits(value: f64, significant: Option<usize>, places: Option<usize>) -> Decimal {
    if value == 0.0 {
        return Decimal { digits: Vec::new(), point: 0 };
    }
    let text = match (significant, places) {
        (Some(significant), _) => format!("{value:.*e}", significant.min(MOST_DIGITS) - 1),
        (None, None) => format!("{value:e}"),
        (None, Some(places)) => {
            let text = format!("{value:.*}", places.min(1100));
            let point = text.find('.').unwrap_or(text.len());
            let all: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
            let zeros = all.iter().take_while(|digit| **digit == b'0').count();
            return Decimal { digits: all[zeros..].to_vec(), point: point as i32 - zeros as i32 };
        }
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    Decimal {
        digits: mantissa.bytes().filter(u8::is_ascii_digit).collect(),
        point: exponent.parse::<i32>().unwrap_or_default() + 1,
    }
}

fn exponent_form(decimal: &Decimal, places: usize, verb: u8, out: &mut Vec<u8>) {
    out.push(decimal.digits.first().copied().unwrap_or(b'0'));
    if places > 0 {
        out.push(b'.');
        let rest = decimal.digits.get(1..).unwrap_or_default();
        let rest = &rest[..rest.len().min(places)];
        out.extend_from_slice(rest);
        out.resize(out.len() + places - rest.len(), b'0');
    }
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
    out.push(verb);
    out.extend_from_slice(
        format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()).as_bytes(),
    );
}

fn plain_form(decimal: &Decimal, places: usize, out: &mut Vec<u8>) {
    let digit =
        |at: i32| usize::try_from(at).ok().and_then(|at| decimal.digits.get(at)).copied().unwrap_or(b'0');
    if decimal.point > 0 {
        out.extend((0..decimal.point).map(digit));
    } else {
        out.push(b'0');
    }
    if places > 0 {
        out.push(b'.');
        let known = places.min((decimal.digits.len() as i32 - decimal.point).max(0) as usize);
        out.extend((0..known as i32).map(|at| digit(decimal.point + at)));
        out.resize(out.len() + places - known, b'0');
    }
}

/// Splits into a mantissa of up to 53 bits and a binary exponent.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let (fraction, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
    if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) }
}

/// `%b`: `-ddddp±ddd`
fn format_binary(value: f64, out: &mut Vec<u8>) {
    let (mantissa, exponent) = parts(value);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let plus = if exponent >= 0 { "+" } else { "" };
    out.extend_from_slice(format!("{sign}{mantissa}p{plus}{exponent}").as_bytes());
}

/// `%x`: `-0x1.yyyyyyyyp±ddd`
fn format_hex(value: f64, verb: u8, precision: Option<usize>, out: &mut Vec<u8>) {
    let (mut mantissa, mut exponent) = parts(value);
    exponent = if mantissa == 0 { 0 } else { exponent + 52 };
    // The leading 1 at bit 60, so that fifteen hexadecimal digits follow.
    mantissa <<= 8;
    while mantissa != 0 && mantissa & 1 << 60 == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let shift = precision as u32 * 4;
        let extra = (mantissa << shift) & ((1 << 60) - 1);
        mantissa >>= 60 - shift;
        if extra | (mantissa & 1) > 1 << 59 {
            mantissa += 1;
        }
        mantissa <<= 60 - shift;
        if mantissa & 1 << 61 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let mut text = String::new();
    text.push_str(if value.is_sign_negative() { "-0x" } else { "0x" });
    text.push(if mantissa >> 60 & 1 == 1 { '1' } else { '0' });
    mantissa <<= 4;
    let shown = precision.unwrap_or(15);
    if shown > 0 && (precision.is_some() || mantissa != 0) {
        text.push('.');
        for _ in 0..shown {
            if precision.is_none() && mantissa == 0 {
                break;
            }
            text.push(char::from_digit((mantissa >> 60) as u32, 16).unwrap_or('0'));
            mantissa <<= 4;
        }
    }
    text.push_str(&format!("p{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
    if verb == b'X' {
        text.make_ascii_uppercase();
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64, verb: u8, precision: Option<usize>) -> String {
        let mut out = Vec::new();
        format(value, verb, precision, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Expected texts are those of Go 1.26's `strconv.FormatFloat`.
    #[test]
    fn formats_as_go_does() {
        for (value, verb, precision, expected) in [
            (1.0, b'g', None, "1"),
            (1e20, b'g', None, "1e+20"),
            (1e21, b'g', None, "1e+21"),
            (123456789.0, b'g', None, "1.23456789e+08"),
            (100000.0, b'g', None, "100000"),
            (0.0001, b'g', None, "0.0001"),
            (0.00001, b'g', None, "1e-05"),
            (0.0, b'g', None, "0"),
            (-0.0, b'g', None, "-0"),
            (100000.0, b'g', Some(3), "1e+05"),
            (123.456, b'g', Some(4), "123.5"),
            (100.0, b'g', Some(3), "100"),
            (100.0, b'g', Some(5), "100"),
            (0.0, b'e', Some(6), "0.000000e+00"),
            (1234.5678, b'e', Some(2), "1.23e+03"),
            (1234.5678, b'E', None, "1.2345678E+03"),
            (0.5, b'f', Some(0), "0"),
            (1.5, b'f', Some(0), "2"),
            (0.05, b'f', Some(1), "0.1"),
            (0.004, b'f', Some(1), "0.0"),
            (999.999, b'f', Some(2), "1000.00"),
            (1e21, b'f', None, "1000000000000000000000"),
            (3.25, b'f', Some(6), "3.250000"),
            (1.0, b'b', None, "4503599627370496p-52"),
            (1.0, b'x', None, "0x1p+00"),
            (1.5, b'x', Some(3), "0x1.800p+00"),
            (3.1, b'X', Some(2), "0X1.8DP+01"),
            (0.0, b'x', None, "0x0p+00"),
            (f64::INFINITY, b'g', None, "+Inf"),
            (f64::NAN, b'f', Some(2), "NaN"),
        ] {
            assert_eq!(text(value, verb, precision), expected, "{value} %{} {precision:?}", char::from(verb));
        }
    }
}
