//! moto, which stands in for AWS: KMS, Secrets Manager, SSM, STS and more, with any credentials and any region.
//!
//! Known differences: `GetSecretValue` without a stage returns an old version after `UpdateSecretVersionStage`; a
//! disabled KMS key still works; a missing secret is HTTP 404 (AWS: 400). Signatures are not checked by default.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::http_probe::{http_call, http_get};
use crate::parts::Parts;
use crate::ports::free_port;
use crate::process::Process;

/// A running moto server.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Moto {
    /// Starts a server on a free port of 127.0.0.1 and waits (blocking) until it answers.
    ///
    /// # Errors
    /// If it cannot be started or is not ready in time.
    pub fn start() -> Result<Self> {
        Self::start_with_env(&[])
    }

    /// As [`Moto::start`], with environment variables: `INITIAL_NO_AUTH_ACTION_COUNT=N` makes moto check signatures and
    /// IAM policies from the N+1st call on.
    ///
    /// # Errors
    /// As [`Moto::start`].
    pub fn start_with_env(variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("moto-").tempdir()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = Parts::locate()?.command("moto_server")?;
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        command.envs(variables.iter().copied()).env("HOME", folder.path());
        let mut process = Process::spawn("moto", command, folder.path())?;
        process.wait_until(Duration::from_secs(60), || {
            http_get(address, "/moto-api/data.json", &[]).is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { process, address, _folder: folder })
    }

    /// Returns the server's URL, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls a service that speaks JSON, as nobody in particular: `kms`, `TrentService.CreateKey`. The region counts.
    ///
    /// # Errors
    /// If the server does not answer, or not with 200.
    pub fn call(&self, service: &str, region: &str, target: &str, body: &str) -> Result<String> {
        let scope = format!("Credential=AKIDTEST/20260101/{region}/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", target),
        ];
        let answer = http_call(self.address, "POST", "/", &headers, body.as_bytes())?;
        ensure!(answer.status == 200, "{target}: HTTP {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// As [`Moto::call`], of a service that takes forms (IAM, STS).
    ///
    /// # Errors
    /// As [`Moto::call`].
    pub fn call_form(&self, service: &str, form: &str) -> Result<String> {
        let scope = format!("Credential=AKIDTEST/20260101/us-east-1/{service}/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let answer = http_call(self.address, "POST", "/", &headers, form.as_bytes())?;
        ensure!(answer.status == 200, "{form}: HTTP {}: {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the process, to pause or end it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
