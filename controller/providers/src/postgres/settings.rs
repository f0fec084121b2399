//! What a connection string and the `PG*` variables say, understood.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use sealops_formats::Plaintext;

use super::connect::{CONNECT_TIMEOUT, MAX_CONNECT_TIMEOUT};
use super::connection_string;
use super::names::{self, RUNTIME, VARIABLES};

const DEFAULT_PORT: u16 = 5432;

/// Where a connection goes, as whom, and how it is protected.
pub struct Settings {
    pub(super) address: Address,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<Plaintext>,
    pub(super) database: Option<String>,
    pub(super) application: Option<String>,
    /// Options for the server's command line.
    pub(super) options: String,
    pub(super) tls: Tls,
    pub(super) connect_timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// The name, and its address where that is given too.
    Tcp { host: String, address: Option<IpAddr> },
    /// Folder of a Unix socket.
    Folder(PathBuf),
}

/// Which server is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    /// Anyone, unless there are authorities.
    Require,
    /// One with a certificate of an authority.
    VerifyCa,
    /// One with a certificate of an authority for this host.
    VerifyFull,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) mode: Mode,
    /// `None` is the system's.
    pub(super) authorities: Option<PathBuf>,
    /// Client certificate and its key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// What a connection string leaves open is taken from here.
pub struct Surroundings<'a> {
    /// Returns an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whose process this is.
    pub user: &'a str,
}

#[derive(Default)]
struct Raw {
    values: Vec<(&'static str, Plaintext)>,
}

impl Raw {
    fn set(&mut self, name: &'static str, value: Plaintext) {
        self.values.retain(|(known, _)| *known != name);
        self.values.push((name, value));
    }

    fn take(&mut self, name: &str) -> Option<Plaintext> {
        let at = self.values.iter().position(|(known, _)| *known == name)?;
        Some(self.values.swap_remove(at).1)
    }

    /// Takes a value that is no secret; an empty one is none.
    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        value.expose_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

impl Settings {
    /// Reads a connection string; what it does not say, variables and defaults do.
    ///
    /// # Errors
    /// Names the setting that is not understood or not supported. Values are not shown, and names only where PostgreSQL
    /// has them: anything else may be a part of a badly quoted password.
    pub fn parse(text: &Plaintext, around: &Surroundings<'_>) -> Result<Self, String> {
        let mut raw = collect(text, around)?;
        let user = raw.text("user").or_else(|| (around.variable)("USER").filter(|user| !user.is_empty()));
        let address = address(&mut raw)?;
        let tls = tls(&mut raw, around, &address)?;
        unchanging(&mut raw)?;
        let settings = Self {
            port: port(&mut raw)?,
            user: user.unwrap_or_else(|| around.user.to_owned()),
            password: raw.take("password").filter(|password| !password.is_empty()),
            database: raw.text("dbname"),
            application: application(&mut raw),
            connect_timeout: connect_timeout(&mut raw)?,
            options: options(&mut raw),
            address,
            tls,
        };
        match raw.values.first() {
            Some((name, _)) => Err(format!("the setting {name} is not supported")),
            None => Ok(settings),
        }
    }
}

fn collect(text: &Plaintext, around: &Surroundings<'_>) -> Result<Raw, String> {
    let mut raw = Raw::default();
    for (name, variable) in VARIABLES {
        if let Some(value) = (around.variable)(variable) {
            if !names::is_supported(name) {
                return Err(format!("the variable {variable} is not supported"));
            }
            raw.set(name, Plaintext::from(value));
        }
    }
    for (index, (name, value)) in connection_string::read(text)?.into_iter().enumerate() {
        let Some(name) = names::known(&name) else {
            return Err(format!(
                "the name of setting {} of the connection string is none that PostgreSQL has; a blank or a quote in a \
                 value needs quoting",
                index + 1
            ));
        };
        raw.set(name, value);
    }
    Ok(raw)
}

fn address(raw: &mut Raw) -> Result<Address, String> {
    let host = raw.text("host").unwrap_or_else(|| "localhost".to_owned());
    let numeric = raw.text("hostaddr");
    if host.contains(',') || numeric.as_ref().is_some_and(|address| address.contains(',')) {
        return Err("several hosts in one connection string are not supported".to_owned());
    }
    if host.starts_with('@') {
        return Err("host begins with @: abstract sockets are not supported".to_owned());
    }
    let address = numeric
        .map(|address| address.parse().map_err(|_| "hostaddr is no IP address".to_owned()))
        .transpose()?;
    match address {
        None if host.starts_with('/') => Ok(Address::Folder(host.into())),
        address => Ok(Address::Tcp { host, address }),
    }
}

fn port(raw: &mut Raw) -> Result<u16, String> {
    let Some(text) = raw.text("port") else { return Ok(DEFAULT_PORT) };
    text.parse().map_err(|_| "port is no number from 0 to 65535".to_owned())
}

fn tls(raw: &mut Raw, around: &Surroundings<'_>, address: &Address) -> Result<Tls, String> {
    let (mode, roots) = (raw.text("sslmode"), raw.text("sslrootcert"));
    let (certificate, key) = (raw.text("sslcert"), raw.text("sslkey"));
    let mode = match (mode.as_deref(), roots.as_deref()) {
        (None | Some("verify-full"), Some("system")) => Mode::VerifyFull,
        (Some("disable" | "require" | "verify-ca"), Some("system")) => {
            return Err("sslrootcert=system needs sslmode=verify-full".to_owned());
        }
        (None | Some("require"), _) => Mode::Require,
        (Some("disable"), _) => Mode::Disable,
        (Some("verify-ca"), _) => Mode::VerifyCa,
        (Some("verify-full"), _) => Mode::VerifyFull,
        (Some("allow" | "prefer"), _) => {
            return Err("sslmode allow and prefer are not supported: they may go without TLS".to_owned());
        }
        (Some(_), _) => {
            return Err("sslmode is none of require, verify-full, verify-ca and disable".to_owned());
        }
    };
    // A socket of this machine needs no TLS, and has none.
    let mode = if matches!(address, Address::Folder(_)) { Mode::Disable } else { mode };
    let home = (around.variable)("HOME").filter(|home| !home.is_empty());
    let own = |name: &str| home.as_ref().map(|home| PathBuf::from(home).join(".postgresql").join(name));
    let existing = |name: &str| own(name).filter(|path| mode != Mode::Disable && path.exists());
    let authorities = match roots.as_deref() {
        Some("system") => None,
        Some(path) => Some(PathBuf::from(path)),
        None => existing("root.crt"),
    };
    // lib/pq passes over authorities that are not there with `require`; who names a file wants it looked at.
    let certificate = certificate.map(PathBuf::from).or_else(|| existing("postgresql.crt"));
    let identity = match certificate {
        Some(certificate) => {
            let key = key.map(PathBuf::from).or_else(|| own("postgresql.key"));
            Some((certificate, key.ok_or("sslcert is given, sslkey is not")?))
        }
        None => None,
    };
    Ok(Tls { mode, authorities, identity })
}

/// Settings that may be there and have one value only.
fn unchanging(raw: &mut Raw) -> Result<(), String> {
    if let Some(encoding) = raw.text("client_encoding") {
        let letters: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
        if !matches!(letters.to_ascii_lowercase().as_str(), "utf8" | "unicode") {
            return Err("client_encoding can only be UTF8".to_owned());
        }
    }
    match raw.text("datestyle").as_deref() {
        None | Some("ISO, MDY") => Ok(()),
        Some(_) => Err("datestyle can only be \"ISO, MDY\"".to_owned()),
    }
}

fn application(raw: &mut Raw) -> Option<String> {
    let fallback = raw.text("fallback_application_name");
    raw.text("application_name").or(fallback)
}

fn connect_timeout(raw: &mut Raw) -> Result<Duration, String> {
    let Some(text) = raw.text("connect_timeout") else { return Ok(CONNECT_TIMEOUT) };
    let seconds: i64 =
        text.parse().map_err(|_| "connect_timeout is no whole number of seconds".to_owned())?;
    Ok(match u64::try_from(seconds) {
        Ok(seconds @ 1..) => Duration::from_secs(seconds).min(MAX_CONNECT_TIMEOUT),
        _ => CONNECT_TIMEOUT,
    })
}

fn options(raw: &mut Raw) -> String {
    let mut options = raw.text("options").unwrap_or_default();
    for name in RUNTIME {
        if let Some(value) = raw.text(name) {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            options.push_str(&format!(" -c {name}={value}"));
        }
    }
    options.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::parse(&text.into(), &Surroundings { variable: &variable, user: "os-user" })
    }

    fn parse(text: &str) -> Result<Settings, String> {
        parse_with(text, &[])
    }

    #[test]
    fn what_is_not_said_has_the_defaults_of_lib_pq() {
        let settings = parse("").ok().unwrap();
        assert_eq!(settings.address, Address::Tcp { host: "localhost".to_owned(), address: None });
        assert_eq!((settings.port, settings.user.as_str()), (5432, "os-user"));
        assert_eq!(settings.tls, Tls { mode: Mode::Require, authorities: None, identity: None });
        assert!(settings.password.is_none() && settings.database.is_none());
        assert_eq!(settings.connect_timeout, CONNECT_TIMEOUT);
    }

    #[test]
    fn the_string_goes_before_the_variables() {
        let variables =
            [("PGHOST", "/run"), ("PGUSER", "a"), ("PGPORT", "7"), ("PGTZ", "UTC"), ("USER", "login")];
        let settings = parse_with("host=h port=8 search_path='a, b'", &variables).ok().unwrap();
        assert_eq!(settings.address, Address::Tcp { host: "h".to_owned(), address: None });
        assert_eq!((settings.port, settings.user.as_str()), (8, "a"));
        assert_eq!(settings.options, "-c search_path=a,\\ b -c TimeZone=UTC");
        let settings = parse_with("", &variables).ok().unwrap();
        assert_eq!(settings.address, Address::Folder("/run".into()));
        assert_eq!(settings.tls.mode, Mode::Disable, "a socket of this machine has no TLS");
        assert_eq!(parse_with("", &[("USER", "login")]).ok().unwrap().user, "login");
    }

    #[test]
    fn modes_of_tls() {
        let mode = |text: &str| parse(text).map(|settings| settings.tls.mode);
        assert_eq!(mode("sslmode=disable"), Ok(Mode::Disable));
        assert_eq!(mode("sslmode=verify-ca sslrootcert=/x"), Ok(Mode::VerifyCa));
        assert_eq!(mode("sslmode=verify-full"), Ok(Mode::VerifyFull));
        assert_eq!(mode("sslrootcert=system"), Ok(Mode::VerifyFull));
        for text in ["sslmode=prefer", "sslmode=nosuch", "sslmode=require sslrootcert=system"] {
            mode(text).unwrap_err();
        }
        let identity = parse("sslcert=/c sslkey=/k").ok().unwrap().tls.identity;
        assert_eq!(identity, Some(("/c".into(), "/k".into())));
    }

    #[test]
    fn what_is_not_supported_is_named_and_nothing_else() {
        for (text, named) in [
            ("passfile=/hunter2", "passfile"),
            ("service=hunter2", "service"),
            ("sslinline=true", "sslinline"),
            ("sslmode=hunter2", "sslmode"),
            ("port=hunter2", "port"),
            ("connect_timeout=hunter2", "connect_timeout"),
            ("host=a,hunter2", "several hosts"),
            ("hostaddr=hunter2", "hostaddr"),
            ("client_encoding=hunter2", "client_encoding"),
            ("password=x hunter2=y", "setting 2"),
        ] {
            let error = parse(text).err().unwrap();
            assert!(error.contains(named) && !error.contains("hunter2"), "{text}: {error}");
        }
        let error = parse_with("", &[("PGSERVICE", "hunter2")]).err().unwrap();
        assert!(error.contains("PGSERVICE") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn waiting_has_an_end() {
        let timeout = |text: &str| parse(text).ok().unwrap().connect_timeout;
        assert_eq!(timeout("connect_timeout=3"), Duration::from_secs(3));
        assert_eq!(timeout("connect_timeout=0"), CONNECT_TIMEOUT);
        assert_eq!(timeout("connect_timeout=-1"), CONNECT_TIMEOUT);
        assert_eq!(timeout("connect_timeout=999999"), MAX_CONNECT_TIMEOUT);
    }
}
