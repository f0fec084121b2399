//! A question put to a server, over UDP, and over TCP where the answer does not fit.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Problem;
use super::message::{Fit, MAX_UDP_BYTES, Request};

/// Asks a server and returns its answer, which fits the question. Each way has the whole time.
pub(super) async fn exchange(
    server: SocketAddr,
    request: &Request,
    limit: Duration,
    tcp_only: bool,
) -> Result<Vec<u8>, Problem> {
    if !tcp_only {
        let (answer, cut) = within(limit, by_udp(server, request)).await?;
        if !cut {
            return Ok(answer);
        }
    }
    within(limit, by_tcp(server, request)).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    timeout(limit, work).await.unwrap_or(Err(Problem::TimedOut))
}

/// Waits for the answer and ignores whatever else arrives, which may be a forgery. The port is the kernel's choice, and
/// only the server's address is heard.
async fn by_udp(server: SocketAddr, request: &Request) -> Result<(Vec<u8>, bool), Problem> {
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    socket.send(request.bytes()).await?;
    let mut buffer = vec![0; MAX_UDP_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match request.fit(&buffer[..length]) {
            Fit::Answer { cut } => {
                buffer.truncate(length);
                return Ok((buffer, cut));
            }
            Fit::Crowded => return Err(Problem::Mismatched),
            Fit::Foreign | Fit::Unreadable => {}
        }
    }
}

async fn by_tcp(server: SocketAddr, request: &Request) -> Result<Vec<u8>, Problem> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(request.bytes().len()).map_err(|_| Problem::Unaskable)?;
    stream.write_all(&[&length.to_be_bytes(), request.bytes()].concat()).await?;
    // At most 64 KiB, by the form of the length.
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(|error: io::Error| Problem::from(error))?;
    match request.fit(&answer) {
        Fit::Answer { .. } => Ok(answer),
        Fit::Crowded | Fit::Foreign => Err(Problem::Mismatched),
        Fit::Unreadable => Err(Problem::Unreadable),
    }
}
