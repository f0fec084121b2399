//! Name servers with faults (`testenv/go/dns`), and Go's own resolver, which judges ours.
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tempfile::TempDir;

use crate::mounts::with_etc;
use crate::parts::Parts;
use crate::process::Process;
use crate::run_peer::run_peer;

const READY: Duration = Duration::from_secs(30);
/// Longer than Go waits for three servers that are silent.
const LOOKUPS: Duration = Duration::from_secs(120);

/// Running name servers with one zone, each at port 53 of a loopback address of its own. They need root of
/// `testenv/in-namespace.sh`.
#[derive(Debug)]
pub struct NameServer {
    _process: Process,
    addresses: Vec<String>,
    log: PathBuf,
    _folder: TempDir,
}

impl NameServer {
    /// Starts servers, three unless more addresses are given. In the zone `@1`, `@2` and `@3` stand for the first three.
    ///
    /// # Errors
    /// If they cannot be started or are not ready in time.
    pub fn start(zone: &str, more: &[&str]) -> Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let run = (std::process::id() % 200) as u8 + 50;
        let own = (1..=3).map(|last| Ipv4Addr::new(127, run, number, last).to_string());
        let addresses: Vec<String> = own.chain(more.iter().map(|address| (*address).to_owned())).collect();
        let folder = tempfile::Builder::new().prefix("names-").tempdir()?;
        let (path, log) = (folder.path().join("zone"), folder.path().join("questions"));
        let mut zone = zone.to_owned();
        for (index, address) in addresses.iter().take(3).enumerate() {
            zone = zone.replace(&format!("@{}", index + 1), &format!("@{address}"));
        }
        std::fs::write(&path, zone)?;
        let mut command = Parts::locate()?.command("dns-go")?;
        command.arg("serve").arg(&path).arg(&log).args(&addresses);
        let mut process = Process::spawn("names", command, folder.path())?;
        process.wait_until(READY, || std::fs::read(&log).is_ok_and(|text| text.starts_with(b"ready\n")))?;
        Ok(Self { _process: process, addresses, log, _folder: folder })
    }

    /// Returns the addresses of the servers.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Returns what was asked, in order: server, `udp` or `tcp`, name, type and options, with a blank between them. The
    /// first three servers are `1`, `2` and `3`.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn questions(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(&self.log).context("the log of the name servers")?;
        Ok(text.lines().skip(1).map(|line| self.numbered(line)).collect())
    }

    fn numbered(&self, line: &str) -> String {
        let (server, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = self.addresses.iter().take(3).position(|address| address == server);
        number.map_or_else(|| line.to_owned(), |number| format!("{} {rest}", number + 1))
    }
}

/// What Go's resolver says about a name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GoLookup {
    /// The name.
    pub name: String,
    /// Its addresses, in the order in which Go tries them.
    pub addresses: Vec<String>,
    /// The text of `DNSError.Err`, empty where there is none.
    #[serde(default)]
    pub error: String,
    /// `DNSError.IsNotFound`.
    #[serde(default)]
    pub not_found: bool,
    /// `DNSError.IsTimeout`.
    #[serde(default)]
    pub timeout: bool,
}

/// Looks names up by Go's resolver, all at once, with the files of a folder over those of /etc. Sorted by name.
///
/// # Errors
/// If the program fails.
pub fn lookup_by_go(etc: &Path, names: &[&str]) -> Result<Vec<GoLookup>> {
    let mut command = with_etc(Parts::locate()?.path("dns-go")?, etc);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg("lookup");
    let text = run_peer(command, names.join("\n").as_bytes(), LOOKUPS)?.text()?;
    let found = text.lines().map(serde_json::from_str).collect::<Result<Vec<GoLookup>, _>>()?;
    ensure!(found.len() == names.len(), "Go looked up {} names of {}", found.len(), names.len());
    Ok(found)
}
