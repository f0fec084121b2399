//! Which keys a file may name: an allow-list of addresses and identities.
//!
//! Metadata is not authenticated, so whoever can write a file can name any server and any role in it. A policy is asked
//! before anything is sent. Keys of this machine (age, PGP) contact nothing and are always allowed.
//!
//! ```text
//!   arn:aws:kms:eu-west-1:111122223333:key/*     `*` stands for anything but `:` and `/`, at the end for all the rest
//!   arn:aws:iam::111122223333:role/sops-*        a role that a key names needs a pattern of its own,
//!   profile:production                           and so does a profile
//!   https://vault.example.com:8200               everything below this address
//!   https://*.vault.example.com/v1/transit/*     in a host `*` stands for one label or part of it
//!   projects/p/locations/*                       Google, Huawei: the identity as it stands in the file
//! ```

use super::master_key::MasterKey;

/// Longest text of a policy, in bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// Most patterns of a policy.
const MAX_PATTERNS: usize = 10_000;
/// Longest name that can be on a list, in bytes.
const MAX_NAME_BYTES: usize = 4096;

/// An allow-list of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPolicy(Rules);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rules {
    Open,
    Only(Vec<Pattern>),
}

/// A key that a policy does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not on the list of allowed keys and addresses; nothing was sent")]
pub struct NotAllowed {
    /// The address, identity, role or profile that is not on the list.
    pub name: String,
}

/// A pattern that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Without a name.
    #[error("a pattern is empty")]
    Empty,
    /// A host with a `*` at its end.
    #[error(
        "{0:?}: a host cannot end in *, which would allow https://HOST.evil.example too: end the host, or put the * first"
    )]
    OpenHost(String),
    /// Too many patterns.
    #[error("more than {MAX_PATTERNS} patterns")]
    TooMany,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self::closed()
    }
}

impl KeyPolicy {
    /// Allows every key.
    pub fn open() -> Self {
        Self(Rules::Open)
    }

    /// Allows no key but those of this machine, until [`Self::allow`] names some.
    pub fn closed() -> Self {
        Self(Rules::Only(Vec::new()))
    }

    /// Reads a list: one pattern a line; blank lines and those with `#` at the start count nothing.
    ///
    /// # Errors
    /// Returns what is wrong with a pattern.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::closed();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            policy.allow(line)?;
        }
        Ok(policy)
    }

    /// Adds a pattern. A policy that was open allows only this then.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn allow(&mut self, pattern: &str) -> Result<(), PolicyError> {
        let pattern = Pattern::read(pattern)?;
        match &mut self.0 {
            Rules::Only(patterns) if patterns.len() >= MAX_PATTERNS => return Err(PolicyError::TooMany),
            Rules::Only(patterns) => patterns.push(pattern),
            open @ Rules::Open => *open = Rules::Only(vec![pattern]),
        }
        Ok(())
    }

    /// Returns whether every key is allowed.
    pub fn is_open(&self) -> bool {
        self.0 == Rules::Open
    }

    /// Checks an address that is no key's: scheme, host, port, path.
    ///
    /// # Errors
    /// Returns it where it is not on the list.
    pub fn check_address(&self, address: &str) -> Result<(), NotAllowed> {
        self.check_name(address.to_owned())
    }

    /// Checks a key: its address or identity, its role, its profile.
    ///
    /// # Errors
    /// Returns what of it is not on the list.
    pub fn check(&self, key: &MasterKey) -> Result<(), NotAllowed> {
        names(key).into_iter().try_for_each(|name| self.check_name(name))
    }

    fn check_name(&self, name: String) -> Result<(), NotAllowed> {
        let Rules::Only(patterns) = &self.0 else { return Ok(()) };
        if is_plain(&name) && patterns.iter().any(|pattern| pattern.matches(&name)) {
            return Ok(());
        }
        Err(NotAllowed { name })
    }
}

/// What of a key has to be on the list.
fn names(key: &MasterKey) -> Vec<String> {
    match key {
        MasterKey::Age { .. } | MasterKey::Pgp { .. } => Vec::new(),
        MasterKey::Kms { arn, role, aws_profile, .. } => {
            let mut names = vec![arn.clone()];
            names.extend((!role.is_empty()).then(|| role.clone()));
            names.extend((!aws_profile.is_empty()).then(|| format!("profile:{aws_profile}")));
            names
        }
        other => vec![other.to_string()],
    }
}

/// Names that a server could read otherwise than this list are on no list.
fn is_plain(name: &str) -> bool {
    let odd = |letter: char| {
        letter.is_control() || letter.is_whitespace() || matches!(letter, '\\' | '%' | '?' | '#')
    };
    name.len() <= MAX_NAME_BYTES
        && !name.contains(odd)
        && !name.split('/').any(|step| step == "." || step == "..")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// Scheme, host with port, and path.
    Url {
        scheme: String,
        host: String,
        path: String,
    },
    /// The six fields of an ARN.
    Arn(Vec<String>),
    Name(String),
}

impl Pattern {
    fn read(text: &str) -> Result<Self, PolicyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PolicyError::Empty);
        }
        if let Some((scheme, host, path)) = url(text) {
            if host.is_empty() {
                return Err(PolicyError::Empty);
            }
            if host.ends_with('*') && !host.ends_with(":*") {
                return Err(PolicyError::OpenHost(text.to_owned()));
            }
            let path = if path.trim_matches('/').is_empty() { "/*" } else { path };
            return Ok(Self::Url { scheme, host, path: path.to_owned() });
        }
        if text.starts_with("arn:") {
            return Ok(Self::Arn(text.splitn(6, ':').map(ToOwned::to_owned).collect()));
        }
        Ok(Self::Name(text.to_owned()))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Url { scheme, host, path } => url(name).is_some_and(|(its_scheme, its_host, its_path)| {
                *scheme == its_scheme && inner(host, &its_host, true) && whole(path, its_path)
            }),
            Self::Arn(fields) => {
                let its: Vec<&str> = name.splitn(6, ':').collect();
                // The pattern may end early with a `*`; what is left is then free.
                let open = fields.len() < 6 && fields.last().is_some_and(|field| field == "*");
                its.len() == 6
                    && (fields.len() == 6 || open)
                    && fields.iter().zip(&its).enumerate().all(|(index, (field, its))| {
                        if index == 5 { whole(field, its) } else { inner(field, its, false) }
                    })
            }
            Self::Name(pattern) => whole(pattern, name),
        }
    }
}

/// Splits scheme, host with port (both in lower case), and path.
fn url(text: &str) -> Option<(String, String, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some((scheme.to_ascii_lowercase(), host.to_ascii_lowercase(), path))
}

/// Matches a pattern whose `*` at the end stands for all the rest.
fn whole(pattern: &str, text: &str) -> bool {
    let stops: &[u8] = b":/";
    match pattern.strip_suffix('*') {
        Some(start) => reachable(start, text, stops).contains(&true),
        None => reachable(pattern, text, stops).last() == Some(&true),
    }
}

/// Matches a pattern whose `*` stand for anything but `:` and `/`; in a host neither for `.` and `@`.
fn inner(pattern: &str, text: &str, host: bool) -> bool {
    let stops: &[u8] = if host { b":/.@" } else { b":/" };
    reachable(pattern, text, stops).last() == Some(&true)
}

/// Returns for every length of the text's start whether the pattern matches just that.
fn reachable(pattern: &str, text: &str, stops: &[u8]) -> Vec<bool> {
    let text = text.as_bytes();
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for letter in pattern.bytes() {
        if letter == b'*' {
            for at in 0..text.len() {
                ends[at + 1] |= ends[at] && !stops.contains(&text[at]);
            }
        } else {
            for at in (0..text.len()).rev() {
                ends[at + 1] = ends[at] && text[at] == letter;
            }
            ends[0] = false;
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn kms(arn: &str, role: &str, profile: &str) -> MasterKey {
        let (arn, role, aws_profile) = (arn.to_owned(), role.to_owned(), profile.to_owned());
        MasterKey::Kms { arn, role, context: BTreeMap::new(), aws_profile }
    }

    fn vault(address: &str) -> MasterKey {
        MasterKey::HcVault {
            vault_address: address.to_owned(),
            engine_path: "transit".to_owned(),
            key_name: "app".to_owned(),
        }
    }

    #[test]
    fn only_what_is_listed_is_allowed() {
        let policy = KeyPolicy::parse(
            "# ours\narn:aws:kms:eu-west-1:1111:key/*\n\narn:aws:iam::1111:role/sops-*\nprofile:prod\n\
             https://vault.example.com:8200\nhttps://*.test.example/v1/transit/*\n",
        )
        .unwrap();
        let ours = "arn:aws:kms:eu-west-1:1111:key/a";
        for key in [
            kms(ours, "", ""),
            kms(ours, "arn:aws:iam::1111:role/sops-ci", "prod"),
            vault("https://vault.example.com:8200"),
            vault("HTTPS://Vault.Example.Com:8200"),
            vault("https://eu.test.example"),
            MasterKey::Age { recipient: "age1x".to_owned() },
        ] {
            assert_eq!(policy.check(&key), Ok(()), "{key}");
        }
        for (key, name) in [
            (kms("arn:aws:kms:eu-west-1:9999:key/a", "", ""), "arn:aws:kms:eu-west-1:9999:key/a"),
            (kms("arn:aws:kms:us-east-1:1111:key/a", "", ""), "arn:aws:kms:us-east-1:1111:key/a"),
            (kms(ours, "arn:aws:iam::1111:role/admin", ""), "arn:aws:iam::1111:role/admin"),
            (kms(ours, "", "root"), "profile:root"),
            (vault("http://vault.example.com:8200"), "http://vault.example.com:8200/v1/transit/keys/app"),
            (
                vault("https://vault.example.com:8200.evil"),
                "https://vault.example.com:8200.evil/v1/transit/keys/app",
            ),
            (
                vault("https://vault.example.com:8200@evil"),
                "https://vault.example.com:8200@evil/v1/transit/keys/app",
            ),
            (vault("https://evil/x.test.example"), "https://evil/x.test.example/v1/transit/keys/app"),
            (vault("https://a.b.test.example"), "https://a.b.test.example/v1/transit/keys/app"),
            (
                vault("https://vault.example.com:8200/.."),
                "https://vault.example.com:8200/../v1/transit/keys/app",
            ),
        ] {
            assert_eq!(policy.check(&key), Err(NotAllowed { name: name.to_owned() }));
        }
    }

    #[test]
    fn stars_do_not_cross_the_fields_of_an_arn() {
        let mut policy = KeyPolicy::open();
        assert!(policy.is_open() && policy.check(&kms("anything", "", "")).is_ok());
        policy.allow("arn:aws:kms:*:1111:key/*").unwrap();
        assert!(policy.check(&kms("arn:aws:kms:eu-west-1:1111:key/a", "", "")).is_ok());
        assert!(policy.check(&kms("arn:aws:kms:eu-west-1:9999:key/x:1111:key/a", "", "")).is_err());
        let policy = KeyPolicy::parse("arn:aws:kms:*").unwrap();
        assert!(policy.check(&kms("arn:aws:kms:eu-west-1:9999:alias/x/y", "", "")).is_ok());
        assert!(policy.check(&kms("arn:aws:iam::9999:role/x", "", "")).is_err());
        assert!(
            KeyPolicy::parse("arn:aws:kms").unwrap().check(&kms("arn:aws:kms:e:1:key/a", "", "")).is_err()
        );
    }

    #[test]
    fn closed_means_closed_and_open_hosts_are_refused() {
        assert!(KeyPolicy::default().check(&kms("arn:aws:kms:e:1:key/a", "", "")).is_err());
        assert!(KeyPolicy::closed().check(&MasterKey::Pgp { fingerprint: "AB".to_owned() }).is_ok());
        for text in ["https://vault.example.com*", "https://vault.*", "https://*"] {
            assert_eq!(KeyPolicy::parse(text), Err(PolicyError::OpenHost(text.to_owned())));
        }
        assert!(
            KeyPolicy::parse("https://vault.example.com:*")
                .unwrap()
                .check(&vault("https://vault.example.com:1"))
                .is_ok()
        );
        assert_eq!(KeyPolicy::parse("https:///x"), Err(PolicyError::Empty));
    }

    #[test]
    fn stars_match_as_they_should() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "ab/c", false),
            ("a*b*c", "axbybzc", true),
            ("a*", "a/b:c", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*/b*", "axx/b", true),
            ("a*/b*", "a/x/b", false),
        ] {
            assert_eq!(whole(pattern, text), expected, "{pattern} {text}");
        }
    }
}
