//! The request that templates make.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::{HeaderName, HeaderValue, Method, header};
use sealops_crds::secret_store::WebhookProvider;
use sealops_formats::{Plaintext, base64};

use crate::http::{Request, sensitive};
use crate::{ProviderErrorKind, Render, RenderProblem, TemplateValue};

/// Longest address that templates may make.
const MAX_URL_BYTES: usize = 64 << 10;
/// Headers of one store.
const MAX_HEADERS: usize = 64;
/// Upstream's name of every template, which stands in its errors.
const TEMPLATE: &str = "webhooktemplate";

/// Everything that a request is made of.
pub(super) struct Parts {
    pub(super) settings: Arc<WebhookProvider>,
    pub(super) secrets: Arc<BTreeMap<String, BTreeMap<String, Plaintext>>>,
    pub(super) templates: Arc<dyn Render>,
    /// The fields of `.remoteRef`.
    pub(super) remote: BTreeMap<String, Plaintext>,
    pub(super) is_push: bool,
}

/// A request, and where the value is in its answer.
pub(super) struct Rendered {
    pub(super) request: Request,
    pub(super) json_path: Plaintext,
}

type Values = BTreeMap<String, TemplateValue>;

impl Parts {
    pub(super) fn render(&self) -> Result<Rendered, ProviderErrorKind> {
        let plain = self.values(Plaintext::duplicate);
        let url = self.one("url", &self.settings.url, &self.values(query_escaped))?;
        let (url, authorization) = address_of(&url)?;
        let mut request = Request::new(self.method()?, url);
        if let Some(authorization) = authorization {
            request.headers.insert(header::AUTHORIZATION, authorization);
        }
        if self.settings.headers.len() > MAX_HEADERS {
            return Err(ProviderErrorKind::Invalid(format!("headers has more than {MAX_HEADERS} entries")));
        }
        for (name, template) in &self.settings.headers {
            let value = sensitive(self.one("header", template, &plain)?.expose())?;
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| ProviderErrorKind::Invalid(format!("{name:?} is no name of a header")))?;
            request.headers.insert(name, value);
        }
        if let Some(body) = &self.settings.body {
            request.body = self.one("body", body, &plain)?;
        }
        let path = self.settings.result.as_ref().and_then(|result| result.json_path.as_deref());
        let json_path = match path.filter(|path| !path.is_empty()) {
            Some(path) => self.one("result.jsonPath", path, &plain)?,
            None => Plaintext::default(),
        };
        Ok(Rendered { request, json_path })
    }

    fn method(&self) -> Result<Method, ProviderErrorKind> {
        match self.settings.method.as_deref().filter(|method| !method.is_empty()) {
            Some(method) => Method::from_bytes(method.as_bytes())
                .map_err(|_| ProviderErrorKind::Invalid("method is no HTTP method".to_owned())),
            None if self.is_push => Ok(Method::POST),
            None => Ok(Method::GET),
        }
    }

    /// What templates see. Only `remoteRef` is escaped in addresses, as upstream.
    fn values(&self, remote: impl Fn(&Plaintext) -> Plaintext) -> Values {
        let mut values = Values::new();
        for (name, entries) in self.secrets.iter() {
            let copy = entries.iter().map(|(key, value)| (key.clone(), value.duplicate()));
            values.insert(name.clone(), TemplateValue::Map(copy.collect()));
        }
        let fields = self.remote.iter().map(|(key, value)| (key.clone(), remote(value)));
        values.insert("remoteRef".to_owned(), TemplateValue::Map(fields.collect()));
        values
    }

    fn one(&self, field: &str, template: &str, values: &Values) -> Result<Plaintext, ProviderErrorKind> {
        self.templates.render(TEMPLATE, &template.into(), values).map_err(|problem| {
            ProviderErrorKind::Invalid(match problem {
                RenderProblem::Parse(text) => format!("failed to parse {field}: {text}"),
                RenderProblem::Execute(text) => format!("failed to render {field}: {text}"),
            })
        })
    }
}

/// Escapes as Go's `url.QueryEscape`.
fn query_escaped(value: &Plaintext) -> Plaintext {
    let mut out = Plaintext::with_capacity(value.len());
    for &byte in value.expose() {
        match byte {
            b' ' => out.push(b"+"),
            b'-' | b'_' | b'.' | b'~' => out.push(&[byte]),
            _ if byte.is_ascii_alphanumeric() => out.push(&[byte]),
            _ => push_escaped(&mut out, byte),
        }
    }
    out
}

fn push_escaped(out: &mut Plaintext, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

/// Makes an address that can be sent: what may not stand in one is escaped, a user and password become a header. Errors
/// do not quote it, since templates put credentials into addresses.
fn address_of(rendered: &Plaintext) -> Result<(String, Option<HeaderValue>), ProviderErrorKind> {
    let invalid = |text: &str| ProviderErrorKind::Invalid(format!("url: {text}"));
    if rendered.len() > MAX_URL_BYTES {
        return Err(invalid("the address is too long"));
    }
    let mut escaped = Plaintext::with_capacity(rendered.len());
    for &byte in rendered.expose().trim_ascii() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => push_escaped(&mut escaped, byte),
            0x21..=0x7e => escaped.push(&[byte]),
            0 | b'\r' | b'\n' => return Err(invalid("the address has control characters")),
            _ => push_escaped(&mut escaped, byte),
        }
    }
    let text = escaped.expose_str().ok_or_else(|| invalid("the address is no text"))?;
    let text = text.split('#').next().unwrap_or_default();
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| invalid("it has to begin with http:// or https://"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let authorization = user.map(|user| {
        let mut value = Plaintext::from("Basic ");
        let pair = percent_decoded(user);
        let pair = if pair.expose().contains(&b':') { pair } else { [pair.expose(), b":"].concat().into() };
        value.push(base64::encode(pair.expose()).expose());
        sensitive(value.expose())
    });
    let address = format!("{scheme}://{host}{path}");
    let uri: ::http::Uri = address.parse().map_err(|_| invalid("this is no address"))?;
    let after_name = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
    if after_name.contains(':') && uri.port_u16().is_none() {
        return Err(invalid("the port is no number"));
    }
    Ok((address, authorization.transpose()?))
}

fn percent_decoded(text: &str) -> Plaintext {
    let bytes = text.as_bytes();
    let mut out = Plaintext::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(&[byte]);
                at += 3;
            }
            None => {
                out.push(&bytes[at..=at]);
                at += 1;
            }
        }
    }
    out
}

/// Returns host and port of an address that is a template; `None` where they are templates themselves.
pub(super) fn address(template: &str) -> Option<(String, u16)> {
    let (scheme, rest) = template.trim().split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    if authority.contains("{{") {
        return None;
    }
    let uri: ::http::Uri = format!("{scheme}://{authority}").parse().ok()?;
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    Some((uri.host()?.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(url: &str) -> Result<(String, Option<String>), String> {
        let (address, header) = address_of(&url.into()).map_err(|error| error.to_string())?;
        Ok((address, header.map(|value| value.to_str().unwrap().to_owned())))
    }

    #[test]
    fn addresses_are_made_fit() {
        for (url, expected) in [
            ("http://h/a b", "http://h/a%20b"),
            ("http://h/<no value>", "http://h/%3Cno%20value%3E"),
            ("http://h/q?a=%2F&b=c d", "http://h/q?a=%2F&b=c%20d"),
            ("https://h:1/ü", "https://h:1/%C3%BC"),
            ("http://h/a#b", "http://h/a"),
            ("http://[::1]:8/x", "http://[::1]:8/x"),
        ] {
            assert_eq!(sent(url).unwrap().0, expected);
        }
        assert_eq!(
            sent("http://user:p%40ss@h/x").unwrap(),
            ("http://h/x".into(), Some("Basic dXNlcjpwQHNz".into()))
        );
        for url in ["", "hunter2", "http://", "http://hunter2 x/", "http://h/\nhunter2", "http://h:hunter2/"]
        {
            let error = sent(url).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn remote_references_are_escaped_as_go_does() {
        let escaped = query_escaped(&"some key/with&chars~ü".into());
        assert_eq!(escaped.expose(), b"some+key%2Fwith%26chars~%C3%BC");
    }

    #[test]
    fn the_host_is_known_before_anything_is_rendered() {
        assert_eq!(address("http://h/{{ .x"), Some(("h".into(), 80)));
        assert_eq!(address("https://h:8443?{{ .x }}"), Some(("h".into(), 8443)));
        assert_eq!(address("https://{{ .remoteRef.key }}.example/x"), None);
        assert_eq!(address("{{ .x }}"), None);
    }
}
