//! Connection strings: a URL, or `key=value` pairs with quotes and backslashes.

use sealops_formats::Plaintext;

/// Largest connection string, in bytes.
pub(super) const MAX_BYTES: usize = 16 << 10;
/// Most settings in one.
const MAX_SETTINGS: usize = 64;

/// Settings by name. Any value may be the password, or a part of it.
pub(super) type Pairs = Vec<(String, Plaintext)>;

/// Reads a connection string.
///
/// # Errors
/// Says what is wrong with it, without a part of it.
pub(super) fn read(text: &Plaintext) -> Result<Pairs, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("the connection string is longer than {MAX_BYTES} bytes"));
    }
    let text = text.expose_str().ok_or("the connection string is no UTF-8 text")?;
    let url = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let pairs = match url {
        Some(rest) => read_url(rest)?,
        None => read_pairs(text)?,
    };
    if pairs.len() > MAX_SETTINGS {
        return Err(format!("the connection string has more than {MAX_SETTINGS} settings"));
    }
    Ok(pairs)
}

/// `[user[:password]@][host][:port][/database][?key=value&...]`, each part with its percent signs. Empty parts are none.
fn read_url(text: &str) -> Result<Pairs, String> {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    if !fragment.is_empty() {
        return Err("the URL has a # in it: write %23 where it belongs to the password".to_owned());
    }
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = text.split_once('/').unwrap_or((text, ""));
    let (user, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = split_port(address)?;
    let mut pairs = Pairs::new();
    for (name, value) in
        [("user", user), ("password", password), ("host", host), ("port", port), ("dbname", database)]
    {
        put(&mut pairs, name, percent_decoded(value, false)?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decoded(name, true)?;
        let name = name.expose_str().unwrap_or_default().to_owned();
        let value = percent_decoded(value, true)?;
        put(&mut pairs, &name, value);
    }
    Ok(pairs)
}

fn put(pairs: &mut Pairs, name: &str, value: Plaintext) {
    if !value.is_empty() {
        pairs.push((name.to_owned(), value));
    }
}

fn split_port(address: &str) -> Result<(&str, &str), String> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the URL has a [ without its ]")?;
        return Ok((host, rest.strip_prefix(':').unwrap_or(rest)));
    }
    Ok(address.split_once(':').unwrap_or((address, "")))
}

fn percent_decoded(text: &str, plus_is_blank: bool) -> Result<Plaintext, String> {
    let mut decoded = Plaintext::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'+' if plus_is_blank => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                value
                    .ok_or("the URL has a % without two hexadecimal digits: write %25 for the sign itself")?
            }
            byte => byte,
        };
        decoded.push(&[byte]);
    }
    if decoded.expose_str().is_none() {
        return Err("a part of the URL is no UTF-8 text".to_owned());
    }
    Ok(decoded)
}

/// `key = value key='quoted value'`; a backslash takes the next character as it is.
fn read_pairs(text: &str) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let behind = behind.trim_start().strip_prefix('=').ok_or_else(|| {
            format!("setting {} of the connection string has no = behind its name", pairs.len() + 1)
        })?;
        let (value, behind) = read_value(behind.trim_start())?;
        pairs.push((name.to_owned(), value));
        rest = behind.trim_start();
    }
    Ok(pairs)
}

fn read_value(text: &str) -> Result<(Plaintext, &str), String> {
    let (text, quoted) = text.strip_prefix('\'').map_or((text, false), |text| (text, true));
    let mut value = Plaintext::with_capacity(text.len());
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        let letter = match letter {
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            '\\' => letters.next().ok_or("the connection string ends with a backslash")?.1,
            letter if !quoted && letter.is_whitespace() => return Ok((value, &text[at..])),
            letter => letter,
        };
        value.push(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if quoted { Err("the connection string has a quote without its end".to_owned()) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
        let text_of = |value: &Plaintext| value.expose_str().unwrap().to_owned();
        Ok(read(&text.into())?.iter().map(|(name, value)| (name.clone(), text_of(value))).collect())
    }

    fn expected(text: &str) -> Vec<(String, String)> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.split('|').filter_map(pair).collect()
    }

    #[test]
    fn both_forms_are_read_as_lib_pq_does() {
        for (text, found) in [
            ("", ""),
            ("  user=a   password = b\n", "user=a|password=b"),
            (r"password='it''s'  user=a", "password=it|=s"),
            (r"password='it\'s \\ x' user=a\ b", r"password=it's \ x|user=a b"),
            ("password= user", "password=user"),
            ("user=", "user="),
            (
                "postgres://u:p%40%3a@h:7/d?sslmode=disable&application_name=a+b",
                "user=u|password=p@:|host=h|port=7|dbname=d|sslmode=disable|application_name=a b",
            ),
            ("postgresql://[::1]:7", "host=::1|port=7"),
            ("postgres:///d?host=/run/x", "dbname=d|host=/run/x"),
            ("postgres://u@h", "user=u|host=h"),
            ("postgres://u:a@b@h", "user=u|password=a@b|host=h"),
        ] {
            let (read, expected) = (pairs(text), expected(found));
            if text.contains("''") {
                // A quote ends the value; what follows is the next setting.
                read.unwrap_err();
            } else {
                assert_eq!(read.unwrap(), expected, "{text}");
            }
        }
    }

    #[test]
    fn broken_strings_are_refused_without_showing_them() {
        for text in [
            "password=hunter2 secret",
            "password='hunter2",
            "password=hunter2\\",
            "postgres://u:hunter2%zz@h",
            "postgres://u:hunter2%4",
            "postgres://u:hunter2@[::1",
            "postgres://u:hunter2#x@h",
            "postgres://u:hunter2%ff@h",
        ] {
            let error = pairs(text).unwrap_err();
            assert!(!error.contains("hunter2") && !error.contains("secret"), "{error}");
        }
        assert!(pairs(&"x".repeat(MAX_BYTES + 1)).unwrap_err().contains("longer"));
        assert!(pairs(&"a=b ".repeat(MAX_SETTINGS + 1)).unwrap_err().contains("more than"));
    }
}
