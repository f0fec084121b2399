//! Passing on, with the faults.
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::message::Message;
use super::{Call, Duplex, Fault, Shared};

/// Serves HTTP messages; `stream` is the connection, `client` what is spoken on it.
pub(super) fn http(shared: &Shared, stream: &TcpStream, client: &mut dyn Duplex) -> io::Result<()> {
    while let Some(request) = Message::request(client)? {
        let fault = shared.judge(request.call());
        let last = request.is_last();
        match fault {
            Some(Fault::Reset) => return shared.reset(stream),
            Some(Fault::HalfOpen) => return hold(client),
            Some(Fault::Answer(canned)) => {
                let mut answer =
                    Message { lines: vec![format!("HTTP/1.1 {} Fault", canned.status)], body: Vec::new() };
                answer.lines.extend(canned.headers.iter().map(|(name, value)| format!("{name}: {value}")));
                let length = canned.body.len();
                answer.replace_body(canned.body, length);
                client.write_all(&answer.bytes())?;
            }
            fault => {
                let answer = ask(shared, request)?;
                if !give(shared, client, answer, fault)? {
                    return Ok(());
                }
            }
        }
        client.flush()?;
        if last {
            return Ok(());
        }
    }
    Ok(())
}

fn ask(shared: &Shared, mut request: Message) -> io::Result<Message> {
    let mut upstream = shared.connect()?;
    request.set("Connection", "close");
    upstream.write_all(&request.bytes())?;
    Message::answer(&mut upstream)
}

/// Answers; returns whether the connection goes on.
fn give(
    shared: &Shared,
    client: &mut dyn Duplex,
    mut answer: Message,
    fault: Option<Fault>,
) -> io::Result<bool> {
    match fault {
        Some(Fault::Delay(time)) => wait(shared, time)?,
        Some(Fault::Drip(pause)) => {
            drip(shared, client, &answer.bytes(), pause)?;
            return Ok(true);
        }
        Some(Fault::Cut(count)) => {
            let bytes = answer.bytes();
            client.write_all(&bytes[..count.min(bytes.len())])?;
            client.flush()?;
            return Ok(false);
        }
        Some(Fault::TruncatedBody) => {
            let half = answer.body.len() / 2;
            let body = answer.body[..half].to_vec();
            answer.replace_body(body, half);
        }
        Some(Fault::WrongLength(more)) => {
            let (body, length) = (answer.body.clone(), answer.body.len() + more);
            answer.replace_body(body, length);
            client.write_all(&answer.bytes())?;
            client.flush()?;
            return Ok(false);
        }
        _ => {}
    }
    client.write_all(&answer.bytes())?;
    Ok(true)
}

/// Waits, but not longer than the proxy lives.
fn wait(shared: &Shared, time: Duration) -> io::Result<()> {
    const STEP: Duration = Duration::from_millis(20);
    let end = std::time::Instant::now() + time;
    loop {
        if shared.ended.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(STEP));
    }
}

fn drip(shared: &Shared, client: &mut dyn Duplex, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        wait(shared, pause)?;
        client.write_all(&[*byte])?;
        client.flush()?;
    }
    Ok(())
}

/// Holds a connection until the client, or the proxy, ends it.
fn hold(client: &mut dyn Duplex) -> io::Result<()> {
    let mut rest = [0; 4096];
    while client.read(&mut rest)? > 0 {}
    Ok(())
}

/// Passes bytes both ways.
pub(super) fn tcp(shared: &Shared, stream: &TcpStream) -> io::Result<()> {
    let call = Call { method: "CONNECT".to_owned(), path: String::new(), target: String::new() };
    let fault = shared.judge(call);
    let mut client = stream.try_clone()?;
    match fault {
        Some(Fault::Reset) => return shared.reset(stream),
        Some(Fault::HalfOpen) => return hold(&mut client),
        _ => {}
    }
    let upstream = shared.connect()?;
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    let requests = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let result = answers(shared, &mut upstream.try_clone()?, &mut client, fault);
    let _ = stream.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
    let _ = requests.join();
    result
}

fn answers(
    shared: &Shared,
    upstream: &mut TcpStream,
    client: &mut TcpStream,
    fault: Option<Fault>,
) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    let mut left = if let Some(Fault::Cut(count)) = fault { count } else { usize::MAX };
    while left > 0 {
        let count = upstream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let bytes = &buffer[..count.min(left)];
        left -= bytes.len();
        match fault {
            Some(Fault::Delay(time)) => {
                wait(shared, time)?;
                client.write_all(bytes)?;
            }
            Some(Fault::Drip(pause)) => drip(shared, client, bytes, pause)?,
            _ => client.write_all(bytes)?,
        }
    }
    Ok(())
}
