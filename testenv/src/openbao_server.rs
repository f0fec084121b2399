//! OpenBao as a real server: sealed at first, audited, on request with TLS. In memory.
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http_probe::{HttpAnswer, http_call};
use crate::parts::Parts;
use crate::pki::Pki;
use crate::ports::free_port;
use crate::process::Process;

/// A running server of its own, initialised and unsealed. Tests administrate it without TLS.
pub struct OpenBaoServer {
    process: Process,
    plain: SocketAddr,
    tls: SocketAddr,
    pki: Pki,
    unseal_key: String,
    root_token: String,
    folder: TempDir,
    /// One administrator at a time: answers are told apart by their order.
    calls: Mutex<()>,
}

/// A request that the server answered, as its audit log has it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenBaoRequest {
    /// `read`, `list`, `create`, `update` or `delete`.
    pub operation: String,
    /// Path below `/v1/`.
    pub path: String,
}

impl OpenBaoServer {
    /// Starts a server on free ports of 127.0.0.1, one without and one with TLS, and waits (blocking) until it serves.
    /// The port with TLS asks for client certificates and takes connections without.
    ///
    /// # Errors
    /// If it cannot be started or is not ready in time.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("openbao-").tempdir()?;
        let plain = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let tls = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let pki = Pki::generate()?;
        let identity = pki.server(&["127.0.0.1", "localhost", "vault.test"])?;
        for (name, text) in [
            ("ca.pem", &pki.ca_pem()),
            ("tls.crt", &identity.certificate_pem),
            ("tls.key", &identity.key_pem),
        ] {
            std::fs::write(folder.path().join(name), text)?;
        }
        std::fs::write(folder.path().join("bao.hcl"), configuration(&folder, plain, tls)?)?;
        let mut command = Parts::locate()?.command("bao")?;
        command.args(["server", "-config"]).arg(folder.path().join("bao.hcl")).env("HOME", folder.path());
        let process = Process::spawn("openbao", command, folder.path())?;
        let mut server = Self {
            process,
            plain,
            tls,
            pki,
            unseal_key: String::new(),
            root_token: String::new(),
            folder,
            calls: Mutex::default(),
        };
        let started =
            |server: &Self| server.call("GET", "sys/init", None).is_ok_and(|answer| answer.status == 200);
        server.wait(started)?;
        let keys = server.put("sys/init", &json!({ "secret_shares": 1, "secret_threshold": 1 }))?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("init gave no key");
        server.unseal_key = text(&keys["keys_base64"][0])?;
        server.root_token = text(&keys["root_token"])?;
        server.unseal()?;
        Ok(server)
    }

    /// Returns the URL without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.plain)
    }

    /// Returns the URL with TLS.
    pub fn tls_url(&self) -> String {
        format!("https://{}", self.tls)
    }

    /// Returns the address without TLS.
    pub fn address(&self) -> SocketAddr {
        self.plain
    }

    /// Returns the authority of the server's certificate, and of those of clients.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// Returns the token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// Returns the process, to pause or end it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Writes as the administrator and returns the answer, null where it has no body.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.call("PUT", path, Some(body))?;
        ensure!((200..300).contains(&answer.status), "PUT {path}: {} {}", answer.status, answer.body);
        Ok(serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    /// Reads as the administrator; null where there is nothing.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn get(&self, path: &str) -> Result<Value> {
        let answer = self.call("GET", path, None)?;
        ensure!(answer.status < 300 || answer.status == 404, "GET {path}: {} {}", answer.status, answer.body);
        Ok(serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    /// Deletes as the administrator.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn delete(&self, path: &str) -> Result<()> {
        let answer = self.call("DELETE", path, None)?;
        ensure!(answer.status < 300, "DELETE {path}: {} {}", answer.status, answer.body);
        Ok(())
    }

    /// Sends a request as the administrator, whatever its answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<HttpAnswer> {
        let _one = self.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let headers = [("X-Vault-Token", self.root_token.as_str())];
        let headers = if self.root_token.is_empty() { &headers[..0] } else { &headers[..] };
        let body = body.map(ToString::to_string).unwrap_or_default();
        http_call(self.plain, method, &format!("/v1/{path}"), headers, body.as_bytes())
    }

    /// Seals the server: every request is answered 503.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn seal(&self) -> Result<()> {
        self.put("sys/seal", &json!({})).map(drop)
    }

    /// Unseals the server and waits until it serves.
    ///
    /// # Errors
    /// If the server refuses or does not serve in time.
    pub fn unseal(&mut self) -> Result<()> {
        self.put("sys/unseal", &json!({ "key": self.unseal_key }))?;
        self.wait(|server| server.call("GET", "sys/mounts", None).is_ok_and(|answer| answer.status == 200))
    }

    /// Returns every request that was answered so far.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn requests(&self) -> Result<Vec<OpenBaoRequest>> {
        let text = std::fs::read_to_string(self.audit_log())?;
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut requests = Vec::new();
        for line in whole.lines() {
            let entry: Value = serde_json::from_str(line).context("a line of the audit log")?;
            if entry["type"] == "response" {
                let text = |name: &str| entry["request"][name].as_str().unwrap_or_default().to_owned();
                requests.push(OpenBaoRequest { operation: text("operation"), path: text("path") });
            }
        }
        Ok(requests)
    }

    /// Counts the requests for a path so far.
    ///
    /// # Errors
    /// As [`OpenBaoServer::requests`].
    pub fn count(&self, path: &str) -> Result<usize> {
        Ok(self.requests()?.iter().filter(|request| request.path == path).count())
    }

    fn audit_log(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    fn wait(&mut self, probe: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = std::time::Instant::now() + crate::process::stretched(Duration::from_secs(60));
        while !probe(self) {
            ensure!(self.process.exited()?.is_none(), "openbao ended: {}", self.process.log()?);
            ensure!(std::time::Instant::now() < deadline, "openbao is not ready: {}", self.process.log()?);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl std::fmt::Debug for OpenBaoServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBaoServer").field("plain", &self.plain).finish_non_exhaustive()
    }
}

fn configuration(folder: &TempDir, plain: SocketAddr, tls: SocketAddr) -> Result<String> {
    let file = |name: &str| folder.path().join(name).display().to_string();
    let cluster = [free_port()?, free_port()?];
    Ok(format!(
        r#"
storage "inmem" {{}}
disable_mlock = true
api_addr = "http://{plain}"
listener "tcp" {{
  address = "{plain}"
  cluster_address = "127.0.0.1:{}"
  tls_disable = true
}}
listener "tcp" {{
  address = "{tls}"
  cluster_address = "127.0.0.1:{}"
  tls_cert_file = "{}"
  tls_key_file = "{}"
  tls_client_ca_file = "{}"
}}
audit "file" "log" {{
  options {{
    file_path = "{}"
  }}
}}
"#,
        cluster[0],
        cluster[1],
        file("tls.crt"),
        file("tls.key"),
        file("ca.pem"),
        file("audit.log"),
    ))
}
