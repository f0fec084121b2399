//! One connection, and rows over it.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{NoTls, TlsConnect};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error};

use super::settings::{Address, Mode, Settings};
use super::tls::Connector;
use crate::names;

/// Longest time until a server has let us in, unless `connect_timeout` says another.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest `connect_timeout` that counts.
pub(super) const MAX_CONNECT_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time until a row is written.
pub const INSERT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest time for saying goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// One column, one parameter each; the server infers what types they have.
const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";

/// A connection to a database with the table `audit_event`.
pub struct Database {
    client: Client,
    /// Moves bytes while one of the calls here is waited for.
    driver: JoinHandle<()>,
}

/// Why there is no row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The connection was closed before the server answered: another one may be better.
    #[error("the server has closed the connection")]
    Closed,
    /// The server refused, or did not answer in time.
    #[error("{0}")]
    Failed(String),
}

impl Database {
    /// Connects and logs in. Needs a runtime of tokio with time and I/O.
    ///
    /// # Errors
    /// Says what did not work, without host, password or what the server said.
    pub async fn connect(settings: &Settings) -> Result<Self, String> {
        let limit = settings.connect_timeout;
        match timeout(limit, open(settings)).await {
            Ok(result) => result,
            Err(_) => Err(format!("the server did not answer within {} s", limit.as_secs())),
        }
    }

    /// Writes one row.
    ///
    /// # Errors
    /// Says what did not work; whether there is a row is not known where the connection was closed.
    pub async fn insert(&self, action: &str, username: &str, file: &str) -> Result<(), InsertError> {
        // UNKNOWN leaves the types of the columns to the table: text, varchar or an enumeration.
        let parameters =
            [&action, &username, &file].map(|value| (value as &(dyn ToSql + Sync), Type::UNKNOWN));
        match timeout(INSERT_TIMEOUT, self.client.execute_typed(INSERT, &parameters)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_closed() || is_broken(&error) => Err(InsertError::Closed),
            Ok(Err(error)) => Err(InsertError::Failed(why(&error))),
            Err(_) => Err(InsertError::Failed(format!(
                "the server did not answer within {} s",
                INSERT_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Ends the connection as the protocol asks for, or at least soon.
    pub async fn close(self) {
        let Self { client, driver } = self;
        drop(client);
        let _ = timeout(CLOSE_TIMEOUT, driver).await;
    }
}

async fn open(settings: &Settings) -> Result<Database, String> {
    let mut config = Config::new();
    config.user(&settings.user);
    if let Some(password) = &settings.password {
        config.password(password.expose());
    }
    if let Some(database) = &settings.database {
        config.dbname(database);
    }
    if let Some(application) = &settings.application {
        config.application_name(application);
    }
    if !settings.options.is_empty() {
        config.options(&settings.options);
    }
    let unreachable = |error: io::Error| format!("cannot reach the server: {}", names::reason(&error));
    match &settings.address {
        Address::Folder(folder) => {
            let path = folder.join(format!(".s.PGSQL.{}", settings.port));
            let stream = UnixStream::connect(path).await.map_err(unreachable)?;
            config.ssl_mode(SslMode::Disable);
            log_in(&config, stream, NoTls).await
        }
        Address::Tcp { host, address } => {
            // Before anybody is asked for a name: a file that is not there is told at once.
            let tls = match settings.tls.mode {
                Mode::Disable => None,
                _ => Some(Connector::new(&settings.tls, &settings.address)?),
            };
            let stream = match address {
                Some(address) => TcpStream::connect((*address, settings.port)).await,
                None => names::connect(host, settings.port).await,
            };
            let stream = stream.map_err(unreachable)?;
            let _ = stream.set_nodelay(true);
            match tls {
                None => {
                    config.ssl_mode(SslMode::Disable);
                    log_in(&config, stream, NoTls).await
                }
                Some(tls) => {
                    config.ssl_mode(SslMode::Require);
                    log_in(&config, stream, tls).await
                }
            }
        }
    }
}

async fn log_in<S, T>(config: &Config, stream: S, tls: T) -> Result<Database, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<S>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| why(&error))?;
    // Its error is that of the call that waits.
    let driver = tokio::spawn(async move { drop(connection.await) });
    Ok(Database { client, driver })
}

/// Returns whether the connection is gone, by the server's word or without one.
fn is_broken(error: &Error) -> bool {
    if error.code().is_some_and(|state| matches!(state.code(), "57P01" | "57P02" | "57P05")) {
        return true;
    }
    let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof];
    io_cause(error).is_some_and(|error| kinds.contains(&error.kind()))
}

fn io_cause(error: &Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

/// Says what a failure means, by its code. What the server wrote stays out.
fn why(error: &Error) -> String {
    if let Some(state) = error.code() {
        let code = state.code();
        let code =
            if code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) { code } else { "?" };
        let meaning = match code {
            "28P01" => "the password is wrong, or there is no such user",
            "28000" => "the server does not let this user in from here (pg_hba.conf)",
            "3D000" => "there is no such database",
            "42P01" => "there is no table audit_event",
            "42703" => "audit_event lacks one of the columns action, username and file",
            "42501" => "this user may not insert into audit_event, or may not use the sequence of its id",
            "25006" => "the database is read-only",
            "53300" => "the server has no connection left",
            "57P03" => "the server is starting or stopping",
            "22021" => "the name of the file is no text in the database's encoding",
            "57P01" | "57P02" => "the server ended the connection",
            _ => "the server refused it; its log says why",
        };
        return format!("{meaning} (SQLSTATE {code})");
    }
    match io_cause(error) {
        Some(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => tls_failure(error).to_owned(),
            None => format!("the connection broke: {}", error.kind()),
        },
        None if error.to_string().contains("TLS") => {
            "the server speaks no TLS, which sslmode asks for (sslmode=disable goes without)".to_owned()
        }
        None => "the server wants another login, or speaks another protocol".to_owned(),
    }
}

/// rustls's own texts quote names.
fn tls_failure(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(error) = error else {
        return "the TLS handshake failed";
    };
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host"
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "no authority of sslrootcert has signed the server's certificate"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        _ => "the server's certificate is not valid",
    }
}
