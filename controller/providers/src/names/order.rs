//! `/etc/nsswitch.conf`, as far as its line `hosts:` says which of the hosts file and DNS comes first.

/// What is asked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    FilesDns,
    DnsFiles,
    Files,
    Dns,
}

impl Order {
    /// Reads the file. A file that makes no sense is as none.
    pub(super) fn parse(text: &str) -> Self {
        sources(text).map_or(Self::FilesDns, |sources| Self::of(&sources))
    }

    /// Sources other than files and dns stand for DNS where the list names it nowhere else.
    fn of(sources: &[&str]) -> Self {
        let (mut files, mut dns, mut first) = (false, false, None);
        let named_dns = sources.contains(&"dns");
        for source in sources {
            match *source {
                "files" => files = true,
                "dns" => dns = true,
                _ if named_dns => continue,
                _ => dns = true,
            }
            first.get_or_insert(*source == "files");
        }
        match (files, dns) {
            (true, true) if first == Some(false) => Self::DnsFiles,
            (true, false) => Self::Files,
            (false, true) => Self::Dns,
            _ => Self::FilesDns,
        }
    }
}

/// Returns the sources of `hosts`, or nothing where a line of the file is malformed.
fn sources(text: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    for line in text.split('\n') {
        let line = trimmed(line.split('#').next().unwrap_or_default());
        if line.is_empty() {
            continue;
        }
        let (database, mut rest) = line.split_once(':')?;
        let is_hosts = trimmed(database) == "hosts";
        loop {
            rest = trimmed(rest);
            if rest.is_empty() {
                break;
            }
            let (source, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = trimmed(after);
            if let Some(inner) = rest.strip_prefix('[') {
                let (criteria, after) = inner.split_once(']')?;
                check(criteria)?;
                rest = after;
            }
            if is_hosts {
                found.push(source);
            }
        }
    }
    Some(found)
}

/// Checks what stands in brackets: `STATUS=ACTION`, perhaps with `!` in front.
fn check(criteria: &str) -> Option<()> {
    super::fields(criteria)
        .all(|criterion| {
            let criterion = criterion.strip_prefix('!').unwrap_or(criterion);
            criterion.len() >= 3 && criterion.contains('=')
        })
        .then_some(())
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}
