//! X.509 certificates as templates look at them: order of a chain, alternative names.

use std::net::{IpAddr, Ipv6Addr};

use sealops_formats::Plaintext;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use super::pem;

/// Most certificates of one chain.
pub(super) const MAX_CERTIFICATES: usize = 256;

/// One certificate, and what chains are built by.
pub(super) struct Certificate {
    /// The whole certificate, in DER.
    pub(super) der: Vec<u8>,
    /// Key identifier of the issuer, where the certificate says it.
    authority: Option<Vec<u8>>,
    /// Key identifier of the certificate's own key.
    subject_key: Option<Vec<u8>>,
}

/// Reads a certificate that fills all of its bytes.
///
/// # Errors
/// Returns that it is none.
pub(super) fn x509(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("x509: trailing data".to_owned()),
        Err(_) => Err("x509: malformed certificate".to_owned()),
    }
}

impl Certificate {
    /// Reads one from DER.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, String> {
        let parsed = x509(der)?;
        let mut certificate = Self { der: der.to_vec(), authority: None, subject_key: None };
        for extension in parsed.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(identifier) => {
                    certificate.authority = identifier.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                ParsedExtension::SubjectKeyIdentifier(identifier) => {
                    certificate.subject_key = Some(identifier.0.to_vec());
                }
                _ => {}
            }
        }
        Ok(certificate)
    }

    /// Returns whether the certificate names no other issuer than itself.
    fn is_root(&self) -> bool {
        self.authority.is_none() || self.authority == self.subject_key
    }

    fn is_issued_by(&self, other: &Self) -> bool {
        self.authority.as_deref().unwrap_or_default() == other.subject_key.as_deref().unwrap_or_default()
    }
}

/// Returns whether a certificate says the identifier of its own key.
pub(super) fn has_key_identifier(der: &[u8]) -> bool {
    Certificate::from_der(der).is_ok_and(|certificate| certificate.subject_key.is_some())
}

/// Reads every block as a certificate.
fn read(text: &[u8]) -> Result<Vec<Certificate>, String> {
    let mut certificates = Vec::new();
    let mut rest = text;
    while let (Some(block), after) = pem::decode(rest) {
        rest = after;
        certificates.push(Certificate::from_der(block.bytes.expose())?);
        if certificates.len() > MAX_CERTIFICATES {
            return Err(format!("there are more than {MAX_CERTIFICATES} certificates"));
        }
    }
    Ok(certificates)
}

/// Orders certificates from the leaf to the root, by their key identifiers, as upstream does.
///
/// # Errors
/// Returns that there is no leaf, more than one, or a circle.
pub(super) fn ordered(text: &[u8]) -> Result<Vec<Certificate>, String> {
    let certificates = read(text)?;
    let parents: Vec<Option<usize>> = certificates
        .iter()
        .enumerate()
        .map(|(own, child)| {
            let parent = |&other: &usize| other != own && child.is_issued_by(&certificates[other]);
            (0..certificates.len()).find(parent)
        })
        .collect();
    let mut leaves = (0..certificates.len()).filter(|index| !parents.contains(&Some(*index)));
    let mut next = Some(leaves.next().ok_or("no leaf certificate found")?);
    if leaves.next().is_some() {
        return Err("found multiple leaf or disjunct certificates".to_owned());
    }
    let mut order = Vec::new();
    while let Some(index) = next {
        if order.len() == certificates.len() {
            return Err("constructing chain resulted in cycle".to_owned());
        }
        order.push(index);
        next = parents[index];
    }
    let mut certificates: Vec<_> = certificates.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| certificates[index].take()).collect())
}

/// Writes certificates as PEM.
pub(super) fn to_pem<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> Plaintext {
    let mut out = Plaintext::default();
    for certificate in certificates {
        out.push(pem::encode(pem::CERTIFICATE, &certificate.der).expose());
    }
    out
}

/// `filterCertChain`: the leaf, the intermediates or the root of a chain; nothing where there is no such part.
///
/// # Errors
/// Returns why the certificates are no chain.
pub(super) fn filter(part: &[u8], text: &[u8]) -> Result<Plaintext, String> {
    let chain = ordered(text)?;
    Ok(match part {
        b"leaf" => to_pem(chain.first().filter(|leaf| !leaf.is_root())),
        b"intermediate" => to_pem(chain.iter().skip(1).take_while(|certificate| !certificate.is_root())),
        b"root" => to_pem(chain.last().filter(|root| root.is_root())),
        _ => Plaintext::default(),
    })
}

/// `certSANs`: DNS names, IP addresses, e-mail addresses, URIs, in this order.
///
/// # Errors
/// Returns that the first block is no certificate.
pub(super) fn sans(text: &[u8]) -> Result<Vec<String>, String> {
    let (Some(block), _) = pem::decode(pem::trim_junk(text)) else {
        return Err("failed to decode PEM block".to_owned());
    };
    let certificate =
        x509(block.bytes.expose()).map_err(|error| format!("failed to parse certificate: {error}"))?;
    let [mut dns, mut addresses, mut mails, mut uris] = [const { Vec::<String>::new() }; 4];
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else { continue };
        for name in &names.general_names {
            match name {
                GeneralName::DNSName(name) => dns.push((*name).to_owned()),
                GeneralName::RFC822Name(name) => mails.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                GeneralName::IPAddress(bytes) => addresses.push(address(bytes).ok_or(
                    "failed to parse certificate: x509: cannot parse IP address of a length other than 4 or 16",
                )?),
                _ => {}
            }
        }
    }
    Ok([dns, addresses, mails, uris].concat())
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match <[u8; 4]>::try_from(bytes) {
        Ok(four) => IpAddr::from(four),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical(),
    };
    Some(address.to_string())
}

/// Writes a certificate's subject as Go's `pkix.Name.String` does: RFC 2253, last part first.
pub(super) fn subject(certificate: &X509Certificate<'_>) -> String {
    const GROUPS: [(&str, &str); 9] = [
        ("2.5.4.6", "C"),
        ("2.5.4.10", "O"),
        ("2.5.4.11", "OU"),
        ("2.5.4.7", "L"),
        ("2.5.4.8", "ST"),
        ("2.5.4.9", "STREET"),
        ("2.5.4.17", "POSTALCODE"),
        ("2.5.4.3", "CN"),
        ("2.5.4.5", "SERIALNUMBER"),
    ];
    let attributes: Vec<(String, String)> = certificate
        .subject()
        .iter_attributes()
        .map(|attribute| {
            let text = attribute.as_str().map_or_else(|_| hex(attribute.attr_value().data), escaped);
            (attribute.attr_type().to_id_string(), text)
        })
        .collect();
    let mut parts = Vec::new();
    for (oid, text) in attributes.iter().filter(|(oid, _)| !GROUPS.iter().any(|(known, _)| known == oid)) {
        parts.push(format!("{oid}={text}"));
    }
    for (oid, name) in GROUPS {
        let mut values: Vec<_> = attributes
            .iter()
            .filter(|(own, _)| own == oid)
            .map(|(_, text)| format!("{name}={text}"))
            .collect();
        if matches!(name, "CN" | "SERIALNUMBER") {
            values = values.split_off(values.len().saturating_sub(1)); // Go keeps the last one
        }
        if !values.is_empty() {
            parts.push(values.join("+"));
        }
    }
    parts.reverse();
    parts.join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("#".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        let escape = match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
            ' ' => index == 0 || index == last,
            '#' => index == 0,
            _ => false,
        };
        if escape {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
