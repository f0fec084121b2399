//! Vault as the variables of a process and the files of its user describe it: the command line's side.
//!
//! | what | where it is looked for, in this order |
//! | --- | --- |
//! | token | `VAULT_TOKEN`; a login, where `SEALOPS_VAULT_AUTH_METHOD` names one; `~/.vault-token`; the `token_helper` of `~/.vault` |
//! | authorities | `VAULT_CACERT`, `VAULT_CACERT_BYTES`, `VAULT_CAPATH`; else the system's |
//! | client certificate | `VAULT_CLIENT_CERT` and `VAULT_CLIENT_KEY` |
//! | proxy | `VAULT_PROXY_ADDR`, `VAULT_HTTP_PROXY`; `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` in both cases |
//! | the rest | `VAULT_NAMESPACE`, `VAULT_SKIP_VERIFY`, `VAULT_TLS_SERVER_NAME`, `VAULT_MAX_RETRIES`, `VAULT_CLIENT_TIMEOUT` |
//!
//! Logins (`SEALOPS_VAULT_*`, our addition): `AUTH_METHOD` is `approle`, `kubernetes`, `jwt`, `userpass`, `ldap` or
//! `cert`; `AUTH_PATH` the mount where it is not the method's name; `AUTH_NAMESPACE`; `ROLE`; `ROLE_ID`, `SECRET_ID`;
//! `JWT`; `USERNAME`, `PASSWORD`. Each of the last three secrets can come from a file, with `_FILE` behind the name.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealops_formats::Plaintext;

use super::client::{Client, Settings};
use super::transit::Servers;
use super::{Login, Session};
use crate::http_extras::{Extras, Proxies};
use crate::local::{Environment, program};
use crate::{BoxFuture, ProviderErrorKind, go_duration};

/// Largest file with a token, a certificate or settings.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most files of `VAULT_CAPATH`.
const MAX_FILES: usize = 1024;
/// Longest `VAULT_CLIENT_TIMEOUT`.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// Most repetitions that `VAULT_MAX_RETRIES` can ask for.
const MAX_RETRIES: u32 = 20;
/// Where a pod has its token.
const POD_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The environment as it bears on Vault.
pub struct EnvironmentServers(Environment);

impl EnvironmentServers {
    /// Takes the variables. Files are read, and programs started, when a server is wanted.
    pub fn new(environment: Environment) -> Self {
        Self(environment)
    }

    fn open(&self, address: &str) -> Result<Session, ProviderErrorKind> {
        let client = Client::new(self.settings(address)?)?;
        let login = self.login(address)?;
        let namespace = self.text("SEALOPS_VAULT_AUTH_NAMESPACE");
        Ok(Session::new(client, login, namespace))
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.0.set_variable(name)?.to_string_lossy().into_owned())
    }

    fn settings(&self, address: &str) -> Result<Settings, ProviderErrorKind> {
        let mut settings = Settings::new(address);
        settings.namespace = self.text("VAULT_NAMESPACE").unwrap_or_default();
        settings.tls.roots = self.authorities()?;
        settings.tls.identity = match (self.text("VAULT_CLIENT_CERT"), self.text("VAULT_CLIENT_KEY")) {
            (Some(certificate), Some(key)) => {
                let chain = read(Path::new(&certificate), "VAULT_CLIENT_CERT")?.expose().to_vec();
                Some((chain, read(Path::new(&key), "VAULT_CLIENT_KEY")?))
            }
            (None, None) => None,
            _ => return Err(invalid("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY have to be set both")),
        };
        settings.extras = Extras {
            server_name: self.text("VAULT_TLS_SERVER_NAME"),
            skip_verify: self
                .text("VAULT_SKIP_VERIFY")
                .map(|text| boolean("VAULT_SKIP_VERIFY", &text))
                .transpose()?
                == Some(true),
            proxies: self.proxies(),
            ..Extras::default()
        };
        if let Some(text) = self.text("VAULT_MAX_RETRIES") {
            let retries: u32 = text.parse().map_err(|_| invalid("VAULT_MAX_RETRIES is no number"))?;
            settings.policy.attempts = retries.min(MAX_RETRIES) + 1;
        }
        if let Some(text) = self.text("VAULT_CLIENT_TIMEOUT") {
            let wanted = duration(&text).ok_or_else(|| {
                invalid("VAULT_CLIENT_TIMEOUT is neither a number of seconds nor a time such as 30s")
            })?;
            if !wanted.is_zero() {
                settings.timeout = wanted.min(MAX_TIMEOUT);
                settings.policy.deadline = settings.policy.deadline.max(settings.timeout);
            }
        }
        Ok(settings)
    }

    fn authorities(&self) -> Result<Option<Vec<u8>>, ProviderErrorKind> {
        if let Some(file) = self.text("VAULT_CACERT") {
            return Ok(Some(read(Path::new(&file), "VAULT_CACERT")?.expose().to_vec()));
        }
        if let Some(text) = self.text("VAULT_CACERT_BYTES") {
            return Ok(Some(text.into_bytes()));
        }
        let Some(folder) = self.text("VAULT_CAPATH") else { return Ok(None) };
        let unreadable = |error| invalid(format!("VAULT_CAPATH: {folder}: {error}"));
        let entries = fs::read_dir(&folder).map_err(unreadable)?.take(MAX_FILES);
        let mut files: Vec<PathBuf> = entries
            .map(|entry| Ok(entry.map_err(unreadable)?.path()))
            .collect::<Result<_, ProviderErrorKind>>()?;
        files.sort();
        let mut all = Vec::new();
        for file in files.iter().filter(|file| file.is_file()) {
            all.extend_from_slice(read(file, "VAULT_CAPATH")?.expose());
            all.push(b'\n');
        }
        Ok(Some(all))
    }

    fn proxies(&self) -> Proxies {
        if let Some(proxy) = self.text("VAULT_PROXY_ADDR").or_else(|| self.text("VAULT_HTTP_PROXY")) {
            return Proxies::new(&proxy, &proxy, "");
        }
        let either = |name: &str| {
            self.text(name).or_else(|| self.text(&name.to_ascii_lowercase())).unwrap_or_default()
        };
        Proxies::new(&either("HTTP_PROXY"), &either("HTTPS_PROXY"), &either("NO_PROXY"))
    }

    fn login(&self, address: &str) -> Result<Login, ProviderErrorKind> {
        if let Some(token) = self.0.set_variable("VAULT_TOKEN") {
            return Ok(Login::Token(Plaintext::from(token.as_encoded_bytes())));
        }
        if let Some(method) = self.text("SEALOPS_VAULT_AUTH_METHOD") {
            return self.method(&method);
        }
        let home = self.0.home();
        let file = home.as_ref().map(|home| home.join(".vault-token"));
        if let Some(file) = file.filter(|file| file.exists()) {
            let token = trimmed(&read(&file, "the token")?);
            if !token.is_empty() {
                return Ok(Login::Token(token));
            }
        }
        let settings =
            self.text("VAULT_CONFIG_PATH").map(PathBuf::from).or_else(|| Some(home?.join(".vault")));
        match settings.filter(|file| file.exists()) {
            Some(file) => self.helper(&file, address),
            None => Ok(Login::None),
        }
    }

    /// Asks the program that Vault's own command line asks.
    fn helper(&self, settings: &Path, address: &str) -> Result<Login, ProviderErrorKind> {
        let text = read(settings, "the settings of Vault")?;
        let Some(helper) = text.expose_str().and_then(token_helper) else { return Ok(Login::None) };
        let empty = Plaintext::default();
        let fail = |why: String| ProviderErrorKind::Unauthenticated(format!("token helper {helper}: {why}"));
        let more = [("VAULT_ADDR", address)];
        let output = program::run(OsStr::new(&helper), &["get"], &self.0, &more, &empty).map_err(fail)?;
        if !output.status.success() {
            return Err(fail(format!("it ended with {}", output.status)));
        }
        let token = trimmed(&output.stdout);
        Ok(if token.is_empty() { Login::None } else { Login::Token(token) })
    }

    fn method(&self, method: &str) -> Result<Login, ProviderErrorKind> {
        let mount = self.text("SEALOPS_VAULT_AUTH_PATH");
        let mount = mount.unwrap_or_else(|| method.to_owned()).trim_matches('/').to_owned();
        let role = self.text("SEALOPS_VAULT_ROLE").unwrap_or_default();
        Ok(match method {
            "approle" => Login::AppRole {
                mount,
                role_id: self.needed("SEALOPS_VAULT_ROLE_ID")?,
                secret_id: self.secret("SEALOPS_VAULT_SECRET_ID")?.unwrap_or_default(),
            },
            "kubernetes" => {
                let jwt = self.secret("SEALOPS_VAULT_JWT")?;
                let jwt =
                    jwt.map_or_else(|| Ok(trimmed(&read(Path::new(POD_TOKEN), "the pod's token")?)), Ok)?;
                Login::Jwt { mount, role, jwt }
            }
            "jwt" => Login::Jwt { mount, role, jwt: self.needed("SEALOPS_VAULT_JWT")? },
            "userpass" | "ldap" => Login::Password {
                mount,
                username: self.text("SEALOPS_VAULT_USERNAME").unwrap_or_default(),
                password: self.needed("SEALOPS_VAULT_PASSWORD")?,
            },
            "cert" => Login::Certificate { mount, name: role },
            other => {
                return Err(invalid(format!(
                    "SEALOPS_VAULT_AUTH_METHOD is {other:?}: it has to be approle, kubernetes, jwt, userpass, ldap or cert"
                )));
            }
        })
    }

    fn needed(&self, name: &str) -> Result<Plaintext, ProviderErrorKind> {
        self.secret(name)?.ok_or_else(|| invalid(format!("{name} or {name}_FILE is needed for this login")))
    }

    fn secret(&self, name: &str) -> Result<Option<Plaintext>, ProviderErrorKind> {
        if let Some(value) = self.0.set_variable(name) {
            return Ok(Some(Plaintext::from(value.as_encoded_bytes())));
        }
        let name = format!("{name}_FILE");
        self.text(&name).map(|file| Ok(trimmed(&read(Path::new(&file), &name)?))).transpose()
    }
}

impl Servers for EnvironmentServers {
    fn session<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Session, ProviderErrorKind>> {
        // Blocks for files and the helper: once per server, at the edge of a command.
        Box::pin(async move { self.open(address) })
    }
}

fn invalid(text: impl Into<String>) -> ProviderErrorKind {
    ProviderErrorKind::Invalid(text.into())
}

fn read(file: &Path, what: &str) -> Result<Plaintext, ProviderErrorKind> {
    let fail = |why: String| invalid(format!("cannot read {what} from {}: {why}", file.display()));
    let mut text = Plaintext::default();
    let source = File::open(file).map_err(|error| fail(error.to_string()))?;
    std::io::copy(&mut source.take(MAX_FILE_BYTES + 1), &mut text)
        .map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(fail(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn trimmed(text: &Plaintext) -> Plaintext {
    Plaintext::from(text.expose().trim_ascii())
}

/// Finds `token_helper = "/PATH"` in settings of Vault's command line.
fn token_helper(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix("token_helper")?.trim_start().strip_prefix('=')?.trim_start();
        let (path, _) = value.strip_prefix('"')?.split_once('"')?;
        Some(path.to_owned()).filter(|path| !path.is_empty())
    })
}

/// Reads a truth value as Go does.
fn boolean(name: &str, text: &str) -> Result<bool, ProviderErrorKind> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid(format!("could not parse {name}: it has to be true or false"))),
    }
}

/// Reads whole seconds, or a duration as Go writes it.
fn duration(text: &str) -> Option<Duration> {
    text.parse().map(Duration::from_secs).ok().or_else(|| go_duration(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(variables: &[(&str, &str)]) -> EnvironmentServers {
        EnvironmentServers::new(Environment::new(variables.iter().copied()))
    }

    fn token(servers: &EnvironmentServers) -> Option<String> {
        match servers.login("http://v").unwrap() {
            Login::Token(token) => Some(token.expose_str()?.to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_token_comes_from_variable_file_or_helper() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        assert_eq!(token(&servers(&[("HOME", path)])), None);
        let helper = home.path().join("helper");
        std::fs::write(&helper, "#!/bin/sh\n[ \"$1\" = get ] && echo \"helped-$VAULT_ADDR\"\n").unwrap();

        std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let settings = format!("# token_helper = \"/no\"\n token_helper = \"{}\" # x\n", helper.display());
        std::fs::write(home.path().join(".vault"), settings).unwrap();
        let from_home = servers(&[("HOME", path), ("PATH", "/usr/bin:/bin")]);
        assert_eq!(token(&from_home).as_deref(), Some("helped-http://v"));
        std::fs::write(home.path().join(".vault-token"), "from-file\n").unwrap();
        assert_eq!(token(&from_home).as_deref(), Some("from-file"));
        assert_eq!(token(&servers(&[("HOME", path), ("VAULT_TOKEN", "t")])).as_deref(), Some("t"));
    }

    #[test]
    fn a_helper_that_fails_is_named() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join(".vault"), "token_helper=\"/bin/false\"").unwrap();
        let error = servers(&[("HOME", home.path().to_str().unwrap())]).login("http://v").err().unwrap();
        assert!(
            error.to_string().contains("token helper /bin/false: it ended with exit status: 1"),
            "{error}"
        );
    }

    #[test]
    fn settings_follow_the_variables() {
        let settings = servers(&[
            ("VAULT_NAMESPACE", "team"),
            ("VAULT_MAX_RETRIES", "5"),
            ("VAULT_CLIENT_TIMEOUT", "1m30s"),
            ("VAULT_SKIP_VERIFY", "1"),
            ("VAULT_TLS_SERVER_NAME", "other"),
        ])
        .settings("https://v")
        .unwrap();
        assert_eq!((settings.namespace.as_str(), settings.policy.attempts), ("team", 6));
        assert_eq!(settings.timeout, Duration::from_secs(90));
        assert!(settings.extras.skip_verify && settings.extras.server_name.as_deref() == Some("other"));
        for (name, value) in [
            ("VAULT_SKIP_VERIFY", "maybe"),
            ("VAULT_MAX_RETRIES", "-1"),
            ("VAULT_CLIENT_TIMEOUT", "soon"),
            ("VAULT_CLIENT_CERT", "/x"),
            ("VAULT_CACERT", "/no/such/file"),
            ("VAULT_CAPATH", "/no/such/folder"),
        ] {
            let error = servers(&[(name, value)]).settings("https://v").err().unwrap().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn logins_name_what_they_lack() {
        for (method, lacks) in [
            ("approle", "SEALOPS_VAULT_ROLE_ID"),
            ("jwt", "SEALOPS_VAULT_JWT"),
            ("userpass", "SEALOPS_VAULT_PASSWORD"),
            ("aws", "approle, kubernetes"),
        ] {
            let error = servers(&[("SEALOPS_VAULT_AUTH_METHOD", method)]).login("http://v").err().unwrap();
            assert!(error.to_string().contains(lacks), "{method}: {error}");
        }
        assert!(matches!(
            servers(&[("SEALOPS_VAULT_AUTH_METHOD", "cert")]).login("http://v"),
            Ok(Login::Certificate { mount, .. }) if mount == "cert"
        ));
    }
}
