//! Accounts of this machine by `/etc/passwd` and `/etc/group`, as Go's `os/user` reads them without C: the C library would
//! load parts of another one into a program that is linked statically. Accounts that only LDAP or systemd know are unknown.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// Largest part of either that is read.
const MAX_BYTES: u64 = 16 << 20;

/// An account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: OsString,
}

/// Returns the account of a name.
pub(crate) fn by_name(name: &str) -> Option<Account> {
    find(&read(PASSWD), |account| account.name == name)
}

/// Returns the account of a user id.
#[cfg(feature = "clouds")]
pub(crate) fn by_id(uid: u32) -> Option<Account> {
    find(&read(PASSWD), |account| account.uid == uid)
}

/// Returns the groups of an account, its own first.
pub(crate) fn groups(account: &Account) -> Vec<u32> {
    groups_in(&read(GROUP), account)
}

fn find(text: &[u8], wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    lines(text).filter_map(account).find(wanted)
}

/// Reads `name:password:uid:gid:about:home:shell`.
fn account(line: &[u8]) -> Option<Account> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let [name, _, uid, gid, _, home, _, ..] = fields.as_slice() else { return None };
    Some(Account {
        name: text(name)?.to_owned(),
        uid: number(uid)?,
        gid: number(gid)?,
        home: OsString::from_vec(home.to_vec()),
    })
}

/// Reads lines `name:password:gid:user,user`.
fn groups_in(text: &[u8], account: &Account) -> Vec<u32> {
    let mut found = vec![account.gid];
    for line in lines(text) {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [_, _, gid, users] = fields.as_slice() else { continue };
        let is_member = users.split(|byte| *byte == b',').any(|user| user == account.name.as_bytes());
        match number(gid) {
            Some(gid) if is_member && !found.contains(&gid) => found.push(gid),
            _ => {}
        }
    }
    found
}

/// Lines that are entries: no comments, and none of `+` and `-`, which stand for accounts elsewhere.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !matches!(line.first(), None | Some(b'#' | b'+' | b'-' | b':')))
}

fn number(field: &[u8]) -> Option<u32> {
    text(field)?.parse().ok()
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field).ok()
}

fn read(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Without the file there is no account.
    let _ = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: &[u8] = b"# root2:x:0:0:::\n\nroot:x:0:0:root:/root:/bin/sh\n+all:x:5:5:::\n  eve:x:1000:100:Eve,,,:/home/\xffe:/bin/sh  \nshort:x:7:7\nbad:x:a:1:::\nhuge:x:4294967296:1:::\nagain:x:1000:1::/:\n:x:9:9:::\n";

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let named = |name: &str| find(ACCOUNTS, |account| account.name == name);
        let root = named("root").unwrap();
        assert_eq!((root.uid, root.gid, root.home.to_str()), (0, 0, Some("/root")));
        let eve = find(ACCOUNTS, |account| account.uid == 1000).unwrap();
        assert_eq!((eve.name.as_str(), eve.gid, eve.home.into_vec()), ("eve", 100, b"/home/\xffe".to_vec()));
        for name in ["", "root2", "all", "+all", "short", "bad", "huge", "EVE"] {
            assert_eq!(named(name), None, "{name}");
        }
        assert_eq!(find(ACCOUNTS, |account| account.uid == 9), None);
    }

    #[test]
    fn groups_are_those_that_list_the_name() {
        let groups = b"users:x:100:eve\nadm:x:4:adam,eve\neves:x:5:evelyn\n#no:x:6:eve\n+no:x:7:eve\nwheel:x:10:eve,adam\nno:x:x:eve\nno:x:11\nno::12:x:eve\n";
        let eve = find(ACCOUNTS, |account| account.name == "eve").unwrap();
        assert_eq!(groups_in(groups, &eve), [100, 4, 10]);
        assert_eq!(groups_in(b"", &eve), [100]);
    }
}
