//! PostgreSQL 15 of the system, with a table for SOPS's audit.
//!
//! PostgreSQL runs as no root. Where this process is root, also as root of `testenv/in-namespace.sh`, the server gets a
//! user namespace in which the same user has another number. It is killed in the end, so that all that it shares in memory
//! is in its folder, or in a namespace that goes with it.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::pki::Identity;
use crate::ports::free_port;
use crate::process::Process;
use crate::run_peer::run_peer;

/// Password of the role `sops`, which may insert into the table and no more.
const PASSWORD: &str = "audit-hunter2-5f2c";
/// `audit/schema.sql` of SOPS, in our words.
const SCHEMA: &str = "CREATE ROLE sops LOGIN PASSWORD 'audit-hunter2-5f2c';
    CREATE TABLE audit_event (id serial PRIMARY KEY, timestamp timestamp DEFAULT current_timestamp,
        action text, username text, file text);
    GRANT INSERT ON audit_event TO sops; GRANT USAGE ON audit_event_id_seq TO sops;";

/// A running server with the database `postgres`, on a port of 127.0.0.1 and a Unix socket.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server that speaks no TLS, and waits (blocking) until it answers.
    ///
    /// # Errors
    /// If the system has no PostgreSQL 15, or it does not start.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// As [`Postgres::start`], with TLS for those who ask for it. Clients with a certificate of `authority` may log in
    /// as the role that it names, `certified` for example, without a password.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn start_with_tls(identity: &Identity, authority: &str) -> Result<Self> {
        Self::start_with(Some((identity, authority)))
    }

    fn start_with(tls: Option<(&Identity, &str)>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pg-").tempdir()?;
        let data = folder.path().join("data");
        let mut command = program("initdb")?;
        command
            .args(["-A", "trust", "-U", "postgres", "--no-sync", "--no-locale", "-E", "UTF8", "-D"])
            .arg(&data);
        let output = run_peer(command, &[], Duration::from_secs(120))?;
        ensure!(output.status.success(), "initdb: {}", output.stderr);
        // The socket is the tests' own way in; everybody else needs the password or a certificate.
        let rules = "local all postgres trust\nlocal all all scram-sha-256\nhostssl all certified all cert\n\
                     host all all all scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules)?;
        let mut settings = vec![
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "dynamic_shared_memory_type=mmap",
            "log_connections=on",
        ];
        if let Some((identity, authority)) = tls {
            let write = |name: &str, text: &str| -> Result<()> {
                let path = data.join(name);
                fs::write(&path, text)?;
                Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?)
            };
            write("server.crt", &identity.certificate_pem)?;
            write("server.key", &identity.key_pem)?;
            write("clients.crt", authority)?;
            settings.extend(["ssl=on", "ssl_ca_file=clients.crt"]);
        }
        let (process, port) = listen(folder.path(), &data, &settings)?;
        let server = Self { process, port, folder };
        server.sql(SCHEMA)?;
        Ok(server)
    }

    /// Runs SQL as the superuser; returns the rows, columns apart by `|`.
    ///
    /// # Errors
    /// If the server refuses it.
    pub fn sql(&self, sql: &str) -> Result<String> {
        let mut command = psql(self.socket_folder(), self.port)?;
        command.args(["-v", "ON_ERROR_STOP=1", "-c", sql]);
        run_peer(command, &[], Duration::from_secs(60))?.text()
    }

    /// Returns what the table holds, in order, as action, user and file; and empties it.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn take_events(&self) -> Result<Vec<(String, String, String)>> {
        let rows = self.sql("WITH gone AS (DELETE FROM audit_event RETURNING *) SELECT action, username, file FROM gone ORDER BY id")?;
        rows.lines()
            .map(|row| {
                let mut columns = row.splitn(3, '|').map(str::to_owned);
                let mut next = || columns.next().context("a row with less than three columns");
                Ok((next()?, next()?, next()?))
            })
            .collect()
    }

    /// Returns the connection string of the role that may insert, without a word about TLS.
    pub fn connection_string(&self) -> String {
        format!("postgres://sops:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the password in it.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the folder of the Unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the process, to look at its log. Its child processes serve the connections.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Starts the server on a free port; on another one where somebody was faster: a process that was just forked may still hold
/// the listener by which the port was found to be free.
fn listen(folder: &Path, data: &Path, settings: &[&str]) -> Result<(Process, u16)> {
    const ATTEMPTS: usize = 3;
    let mut attempt = 1;
    loop {
        let port = free_port()?;
        let mut command = program("postgres")?;
        command.arg("-D").arg(data).args(["-p", &port.to_string(), "-k"]).arg(folder);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let mut process = Process::spawn("postgres", command, folder)?;
        match process.wait_until(Duration::from_secs(60), || is_ready(folder, port)) {
            Ok(()) => return Ok((process, port)),
            Err(_) if attempt < ATTEMPTS && process.log()?.contains("Address already in use") => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn is_ready(socket: &Path, port: u16) -> bool {
    let asked = psql(socket, port).map(|mut command| {
        command
            .args(["-c", "SELECT 1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    });
    asked.is_ok_and(|status| status.is_ok_and(|status| status.success()))
}

fn psql(socket: &Path, port: u16) -> Result<Command> {
    let mut command = Command::new(binary("psql")?);
    command.args(["-X", "-q", "-A", "-t", "-U", "postgres", "-d", "postgres", "-p", &port.to_string(), "-h"]);
    command.arg(socket).env_remove("PGOPTIONS");
    Ok(command)
}

/// Returns a command for a program that refuses root.
fn program(name: &str) -> Result<Command> {
    let path = binary(name)?;
    if !geteuid().is_root() {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("unshare");
    command.args(["--user", "--ipc", "--map-user=1000", "--map-group=1000"]).arg(path);
    Ok(command)
}

fn binary(name: &str) -> Result<PathBuf> {
    let path = Path::new("/usr/lib/postgresql/15/bin").join(name);
    if !path.exists() {
        bail!("{} is not there: testenv/preflight.sh installs postgresql-15", path.display());
    }
    Ok(path)
}
