//! Why a name has no addresses, in Go's words: scripts look for them.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Most characters of a name that an error shows.
const MAX_SHOWN: usize = 255;

/// A name that could not be looked up: `lookup NAME on SERVER: no such host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupError {
    host: String,
    server: Option<SocketAddr>,
    problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The name does not exist, has no address, or is no name.
    NoSuchHost,
    /// The server says that it failed, or will not answer.
    Misbehaving,
    /// The server has not answered in time.
    TimedOut,
    /// The server sends elsewhere instead of asking there.
    LameReferral,
    /// The answer is no message of DNS.
    Unreadable,
    /// The answer over TCP is to another question.
    Mismatched,
    /// The name does not fit into a question.
    Unaskable,
    /// The server cannot be talked to.
    Unreachable(io::ErrorKind),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchHost => "no such host",
            Self::Misbehaving => "server misbehaving",
            Self::TimedOut => "i/o timeout",
            Self::LameReferral => "lame referral",
            Self::Unreadable => "cannot unmarshal DNS message",
            Self::Mismatched => "invalid DNS response",
            Self::Unaskable => "cannot marshal DNS message",
            Self::Unreachable(kind) => return kind.fmt(f),
        })
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            kind => Self::Unreachable(kind),
        }
    }
}

impl LookupError {
    pub(super) fn new(host: &str, server: Option<SocketAddr>, problem: Problem) -> Self {
        Self { host: host.chars().take(MAX_SHOWN).collect(), server, problem }
    }

    /// Returns what is wrong, without the name.
    pub fn problem(&self) -> Problem {
        self.problem
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.host.escape_debug())?;
        if let Some(server) = self.server {
            write!(f, " on {server}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for LookupError {}

impl From<LookupError> for io::Error {
    fn from(error: LookupError) -> Self {
        let kind = match error.problem {
            Problem::TimedOut => io::ErrorKind::TimedOut,
            Problem::Unreachable(kind) => kind,
            // Not NotFound, which says that a file is missing.
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
