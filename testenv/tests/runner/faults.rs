//! The proxy that misbehaves does so as it says.
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Result;
use sealops_testenv::{Fault, FaultProxy, Turns};

const BODY: &str = r#"{"answer":"a long enough text"}"#;

/// A server that answers everything the same.
fn upstream() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok(address)
}

/// Sends a request and returns everything that comes until the end.
fn ask(proxy: &FaultProxy, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(proxy.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-Amz-Target: A.B\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn faults_are_what_they_are_called() -> Result<()> {
    let proxy = FaultProxy::http(upstream()?)?;
    assert!(ask(&proxy, "/plain")?.ends_with(BODY));
    assert_eq!((proxy.count("POST /plain A.B"), proxy.calls().len()), (1, 1));

    proxy.set(Fault::Delay(Duration::from_millis(200)));
    let started = Instant::now();
    assert!(ask(&proxy, "/")?.ends_with(BODY));
    assert!(started.elapsed() >= Duration::from_millis(200));

    proxy.set(Fault::Reset);
    assert_eq!(ask(&proxy, "/").unwrap_err().kind(), ErrorKind::ConnectionReset);
    proxy.set(Fault::HalfOpen);
    assert!(matches!(ask(&proxy, "/").unwrap_err().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    proxy.set(Fault::Drip(Duration::from_millis(1)));
    assert!(ask(&proxy, "/")?.ends_with(BODY));
    proxy.set(Fault::Cut(20));
    assert_eq!(ask(&proxy, "/")?.len(), 20);
    proxy.set(Fault::TruncatedBody);
    assert!(ask(&proxy, "/")?.ends_with(&format!("Content-Length: 15\r\n\r\n{}", &BODY[..15])));
    proxy.set(Fault::WrongLength(7));
    assert!(ask(&proxy, "/")?.contains("Content-Length: 38"));
    proxy.set(Fault::too_many(3));
    assert!(ask(&proxy, "/")?.contains("Retry-After: 3"));
    proxy.set(Fault::oversized(1000));
    assert!(ask(&proxy, "/")?.contains("Content-Length: 1000"));
    Ok(())
}

#[test]
fn rules_have_turns_and_names() -> Result<()> {
    let proxy = FaultProxy::http(upstream()?)?;
    let good = |path: &str| ask(&proxy, path).map(|answer| answer.starts_with("HTTP/1.1 200"));
    proxy.set_for(Turns::First(1), Fault::too_many(1));
    proxy.add("/special", Turns::Every(2), Fault::aws_throttling());
    assert!(!good("/a")?);
    assert!(good("/a")?);
    assert_eq!((good("/special")?, good("/special")?, good("/special")?), (true, false, true));
    proxy.clear();
    assert!(good("/special")?);
    Ok(())
}

#[test]
fn bytes_pass_and_break() -> Result<()> {
    let proxy = FaultProxy::tcp(upstream()?)?;
    assert!(ask(&proxy, "/")?.ends_with(BODY));
    proxy.set(Fault::Cut(10));
    assert_eq!(ask(&proxy, "/")?.len(), 10);
    proxy.set(Fault::Reset);
    assert!(ask(&proxy, "/").is_err());
    Ok(())
}
