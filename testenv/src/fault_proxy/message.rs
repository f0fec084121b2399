//! HTTP/1 messages, as much of them as passing them on needs.
use std::io;

use super::{Call, Duplex};

/// A message.
pub(super) struct Message {
    /// First line and headers, each without its end.
    pub(super) lines: Vec<String>,
    /// Body as it is sent, chunked or not.
    pub(super) body: Vec<u8>,
}

impl Message {
    /// Reads a request; `None` is the end of the connection.
    pub(super) fn request(stream: &mut dyn Duplex) -> io::Result<Option<Self>> {
        let Some(mut message) = Self::head(stream)? else { return Ok(None) };
        if message.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            message.remove("expect");
        }
        if message.is_chunked() {
            message.read_chunks(stream)?;
        } else {
            message.body = vec![0; message.length().unwrap_or(0)];
            stream.read_exact(&mut message.body)?;
        }
        Ok(Some(message))
    }

    /// Reads an answer on a connection that ends behind it.
    pub(super) fn answer(stream: &mut dyn Duplex) -> io::Result<Self> {
        let mut message = Self::head(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        stream.read_to_end(&mut message.body)?;
        message.remove("connection");
        if !message.is_chunked() && message.length().is_none() {
            message.lines.push(format!("Content-Length: {}", message.body.len()));
        }
        Ok(message)
    }

    fn head(stream: &mut dyn Duplex) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        loop {
            let line = line(stream)?;
            match line {
                None if lines.is_empty() => return Ok(None),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(line) if line.is_empty() => return Ok(Some(Self { lines, body: Vec::new() })),
                Some(line) => lines.push(line),
            }
        }
    }

    fn read_chunks(&mut self, stream: &mut dyn Duplex) -> io::Result<()> {
        loop {
            let size = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.body.extend_from_slice(format!("{size}\r\n").as_bytes());
            let digits = size.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
            if length == 0 {
                break;
            }
            let start = self.body.len();
            self.body.resize(start + length + 2, 0);
            stream.read_exact(&mut self.body[start..])?;
        }
        // Trailers, then the empty line.
        loop {
            let line = line(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.body.extend_from_slice(format!("{line}\r\n").as_bytes());
            if line.is_empty() {
                return Ok(());
            }
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Removes a header.
    pub(super) fn remove(&mut self, name: &str) {
        let mut first = true;
        self.lines.retain(|line| {
            let is_first = std::mem::take(&mut first);
            is_first || !line.split(':').next().is_some_and(|key| key.eq_ignore_ascii_case(name))
        });
    }

    /// Replaces a header.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.lines.push(format!("{name}: {value}"));
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length")?.parse().ok()
    }

    /// Gives the message another body, which is not chunked.
    pub(super) fn replace_body(&mut self, body: Vec<u8>, length: usize) {
        self.remove("transfer-encoding");
        self.set("Content-Length", &length.to_string());
        self.body = body;
    }

    /// Returns whether the client wants the connection to end behind this request.
    pub(super) fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
            || self.lines.first().is_some_and(|line| line.ends_with("HTTP/1.0"))
    }

    pub(super) fn call(&self) -> Call {
        let mut words = self.lines.first().map(String::as_str).unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Call {
            method: word(),
            path: word(),
            target: self.header("x-amz-target").unwrap_or_default().to_owned(),
        }
    }

    /// Returns the message as it is sent.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.lines.join("\r\n").into_bytes();
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Reads a line without its end, byte by byte so that nothing behind it is swallowed.
fn line(stream: &mut dyn Duplex) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        if byte[0] == b'\n' {
            let text = String::from_utf8_lossy(&bytes);
            return Ok(Some(text.trim_end_matches('\r').to_owned()));
        }
        bytes.push(byte[0]);
    }
    if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
