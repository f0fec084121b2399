//! `/etc/hosts`: an address and its names on each line.

use std::net::SocketAddr;

use super::{MAX_ADDRESSES, address, fields};

/// Returns the addresses that a name has, in the order of the file.
pub(super) fn find(text: &str, host: &str) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for line in text.split('\n') {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = fields(line);
        let Some(first) = words.next() else { continue };
        let times = words.filter(|name| is_same(name, host)).count();
        if times == 0 {
            continue;
        }
        let Some(address) = address::parse(first) else { continue };
        found.extend(std::iter::repeat_n(address, times));
        if found.len() >= MAX_ADDRESSES {
            found.truncate(MAX_ADDRESSES);
            break;
        }
    }
    found
}

/// Compares names without regard to case. The dot at the end is optional for names that have another one.
fn is_same(one: &str, other: &str) -> bool {
    let parts = |name: &str| (name.contains('.'), name.len() - usize::from(name.ends_with('.')));
    let ((dotted, length), (other_dotted, other_length)) = (parts(one), parts(other));
    dotted == other_dotted
        && length == other_length
        && one.as_bytes()[..length].eq_ignore_ascii_case(&other.as_bytes()[..length])
}
