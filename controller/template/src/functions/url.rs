//! URLs, as Go 1.26 (`net/url`) takes them apart and puts them together.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use sealops_formats::Plaintext;

use super::Function;
use super::convert::panics;
use super::strings::find;
use crate::error::FunctionError;
use crate::value::{Map, Text, Type, Value};

pub(crate) const TABLE: &[Function] = &[
    Function::new("urlParse", &[Type::String], |context, args| {
        let text = args[0].as_text()?.as_bytes();
        context.charge_bytes(text.len() * 2)?;
        let Some(url) = parse(text) else { return panics("unable to parse url") };
        let hostname = hostname(&url.host).to_vec();
        let userinfo = url.user.as_ref().map(User::text).unwrap_or_default();
        let mut entries = BTreeMap::new();
        for (name, part) in [
            ("scheme", url.scheme),
            ("host", url.host),
            ("hostname", hostname),
            ("path", url.path),
            ("query", url.query),
            ("opaque", url.opaque),
            ("fragment", url.fragment),
            ("userinfo", userinfo),
        ] {
            entries.insert(Text::from(name), Value::string(Plaintext::from(part)));
        }
        context.map(entries)
    }),
    Function::new("urlJoin", &[Type::DICT], |context, args| {
        let dict = args[0].as_map()?;
        let mut url = Url {
            scheme: part(dict, "scheme")?,
            host: part(dict, "host")?,
            path: part(dict, "path")?,
            query: part(dict, "query")?,
            opaque: part(dict, "opaque")?,
            fragment: part(dict, "fragment")?,
            user: None,
        };
        let userinfo = part(dict, "userinfo")?;
        if !userinfo.is_empty() {
            let Some(parsed) = parse(&[b"proto://", userinfo.as_slice(), b"@host"].concat()) else {
                return panics("unable to parse userinfo in dict");
            };
            url.user = parsed.user;
        }
        let text = url.text();
        context.text(text)
    }),
];

fn part(dict: &Map, key: &str) -> Result<Vec<u8>, FunctionError> {
    match dict.get(key.as_bytes()) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(other) => Err(FunctionError::failed(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            other.kind_name()
        ))),
    }
}

#[derive(Default)]
struct Url {
    scheme: Vec<u8>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    opaque: Vec<u8>,
    fragment: Vec<u8>,
    user: Option<User>,
}

struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl User {
    fn text(&self) -> Vec<u8> {
        let mut out = escape(&self.name, Part::User);
        if let Some(password) = &self.password {
            out.push(b':');
            out.extend(escape(password, Part::User));
        }
        out
    }
}

/// Where a byte stands decides whether it is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    User,
    Host,
    Zone,
    Fragment,
}

fn must_escape(byte: u8, part: Part) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => false,
        b'!' | b'(' | b')' | b'*' => !matches!(part, Part::Host | Part::Zone | Part::Fragment),
        b'$' | b'&' | b'+' | b',' | b';' | b'=' => false,
        b':' => part == Part::User,
        b'\'' | b'[' | b']' | b'<' | b'>' | b'"' => !matches!(part, Part::Host | Part::Zone),
        b'/' | b'@' => !matches!(part, Part::Path | Part::Fragment),
        b'?' => part != Part::Fragment,
        _ => true,
    }
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if must_escape(*byte, part) {
            out.extend(format!("%{byte:02X}").bytes());
        } else {
            out.push(*byte);
        }
    }
    out
}

fn unescape(text: &[u8], part: Part) -> Option<Vec<u8>> {
    let hex = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'%' {
            let (high, low) = (hex(at + 1)?, hex(at + 2)?);
            let value = u8::try_from(high << 4 | low).ok()?;
            let percent = value == b'%';
            // A host escapes what is not ASCII only, its zone what it could say unescaped too.
            if part == Part::Host && high < 8 && !percent
                || part == Part::Zone && !percent && value != b' ' && must_escape(value, Part::Host)
            {
                return None;
            }
            out.push(value);
            at += 3;
        } else {
            if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && must_escape(*byte, part) {
                return None;
            }
            out.push(*byte);
            at += 1;
        }
    }
    Some(out)
}

fn cut<'t>(text: &'t [u8], mark: u8) -> (&'t [u8], Option<&'t [u8]>) {
    match text.iter().position(|byte| *byte == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// `url.Parse`
fn parse(text: &[u8]) -> Option<Url> {
    let (text, fragment) = cut(text, b'#');
    let mut url = Url { fragment: unescape(fragment.unwrap_or_default(), Part::Fragment)?, ..Url::default() };
    if text.iter().any(|byte| *byte < b' ' || *byte == 0x7f) {
        return None;
    }
    if text == b"*" {
        url.path = text.to_vec();
        return Some(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (mut rest, query) = cut(rest, b'?');
    url.query = query.unwrap_or_default().to_vec();
    if !rest.starts_with(b"/") {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_vec();
            return Some(url);
        }
        if cut(rest, b'/').0.contains(&b':') {
            return None;
        }
    }
    if (!url.scheme.is_empty() || !rest.starts_with(b"///")) && rest.starts_with(b"//") {
        let end = rest[2..].iter().position(|byte| *byte == b'/').map_or(rest.len(), |at| at + 2);
        (url.user, url.host) = parse_authority(&url.scheme, &rest[2..end])?;
        rest = &rest[end..];
    }
    url.path = unescape(rest, Part::Path)?;
    Some(url)
}

fn split_scheme(text: &[u8]) -> Option<(&[u8], &[u8])> {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Some((b"", text))
}

fn parse_authority(scheme: &[u8], authority: &[u8]) -> Option<(Option<User>, Vec<u8>)> {
    let Some(at) = authority.iter().rposition(|byte| *byte == b'@') else {
        return Some((None, parse_host(scheme, authority)?));
    };
    let host = parse_host(scheme, &authority[at + 1..])?;
    let userinfo = &authority[..at];
    if !userinfo.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte)) {
        return None;
    }
    let (name, password) = cut(userinfo, b':');
    let password = match password {
        Some(password) => Some(unescape(password, Part::User)?),
        None => None,
    };
    Some((Some(User { name: unescape(name, Part::User)?, password }), host))
}

fn is_optional_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Option<Vec<u8>> {
    match host.iter().rposition(|byte| *byte == b'[') {
        Some(0) => return parse_ip_literal(host),
        Some(_) => return None,
        None => {}
    }
    if let Some(first) = host.iter().position(|byte| *byte == b':') {
        // Lists of hosts with ports, as databases have, are allowed for other schemes.
        let strict = scheme == b"http" || scheme == b"https";
        let last = host.iter().rposition(|byte| *byte == b':').unwrap_or(first);
        if !is_optional_port(&host[if strict { first } else { last }..]) {
            return None;
        }
    }
    unescape(host, Part::Host)
}

fn parse_ip_literal(host: &[u8]) -> Option<Vec<u8>> {
    let close = host.iter().rposition(|byte| *byte == b']')?;
    let port = &host[close + 1..];
    if !is_optional_port(port) {
        return None;
    }
    let inner = &host[1..close];
    let name = match find(inner, b"%25", 0) {
        Some(zone) => {
            let mut name = unescape(&inner[..zone], Part::Host)?;
            name.extend(unescape(&inner[zone..], Part::Zone)?);
            name
        }
        None => unescape(inner, Part::Host)?,
    };
    let (address, zone) = cut(&name, b'%');
    std::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
    if zone.is_some_and(<[u8]>::is_empty) {
        return None;
    }
    Some([b"[", name.as_slice(), b"]", port].concat())
}

/// `URL.Hostname`
fn hostname(host: &[u8]) -> &[u8] {
    let colon = host.iter().rposition(|byte| *byte == b':').filter(|at| is_optional_port(&host[*at..]));
    let host = &host[..colon.unwrap_or(host.len())];
    host.strip_prefix(b"[").and_then(|inner| inner.strip_suffix(b"]")).unwrap_or(host)
}

impl Url {
    /// `URL.String`
    fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.scheme.is_empty() {
            out.extend(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.push_hierarchy(&mut out);
        } else {
            out.extend(&self.opaque);
        }
        if !self.query.is_empty() {
            out.push(b'?');
            out.extend(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escape(&self.fragment, Part::Fragment));
        }
        out
    }

    fn push_hierarchy(&self, out: &mut Vec<u8>) {
        let authority = !self.host.is_empty() || self.user.is_some();
        if authority || !self.scheme.is_empty() && !self.path.is_empty() {
            out.extend(b"//");
        }
        if let Some(user) = &self.user {
            out.extend(user.text());
            out.push(b'@');
        }
        out.extend(escape(&self.host, Part::Host));
        let path = if self.path == b"*" { self.path.clone() } else { escape(&self.path, Part::Path) };
        if !path.is_empty() && path[0] != b'/' && !self.host.is_empty() {
            out.push(b'/');
        }
        if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
            out.extend(b"./");
        }
        out.extend(path);
    }
}
