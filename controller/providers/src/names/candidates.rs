//! Which names are asked for: the one that was given, with and without the suffixes of `resolv.conf`.

use super::resolv_conf::ResolvConf;

/// Longest name, with the dot at its end (RFC 1035: 255 bytes on the wire).
const MAX_NAME: usize = 254;
/// Longest part between dots.
const MAX_LABEL: usize = 63;

/// Returns whether a text can be the name of a host. Numbers alone are none.
pub(super) fn is_domain_name(text: &str) -> bool {
    if text == "." {
        return true;
    }
    let bare = text.strip_suffix('.').unwrap_or(text);
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    bare.len() < MAX_NAME
        && bare.split('.').all(|label| {
            let bytes = label.as_bytes();
            (1..=MAX_LABEL).contains(&bytes.len())
                && bytes.iter().copied().all(of_name)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && bare.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'.')
}

/// Returns the names to ask for, each with a dot at its end, in their order.
pub(super) fn candidates(conf: &ResolvConf, host: &str) -> Vec<String> {
    if host.len() > MAX_NAME || host.len() == MAX_NAME && !host.ends_with('.') {
        return Vec::new();
    }
    if host.ends_with('.') {
        return if is_kept_from_dns(host) { Vec::new() } else { vec![host.to_owned()] };
    }
    let bare = format!("{host}.");
    let suffixed = conf.search.iter().map(|suffix| format!("{bare}{suffix}"));
    let mut names: Vec<String> = suffixed.filter(|name| name.len() <= MAX_NAME).collect();
    let place = if host.matches('.').count() >= conf.ndots { 0 } else { names.len() };
    names.insert(place, bare);
    names.retain(|name| !is_kept_from_dns(name));
    names
}

/// Tor's names say who asks for what (RFC 7686).
fn is_kept_from_dns(name: &str) -> bool {
    const ONION: &[u8] = b".onion";
    let bare = name.strip_suffix('.').unwrap_or(name).as_bytes();
    bare.len() >= ONION.len() && bare[bare.len() - ONION.len()..].eq_ignore_ascii_case(ONION)
}
