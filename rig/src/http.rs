//! A small HTTP/1.1 client for loopback: one connection, one request at a time, as cheap as a publisher can be.

use anyhow::{Context, bail};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A keep-alive connection.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// Status, lower-case headers, body.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl Connection {
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(4096) }
    }

    /// One request and its answer. After any error the connection is dropped; the next request makes a new one.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let result = self.exchange(method, path, headers, body).await;
        match &result {
            Ok(answer) if answer.header("connection") != Some("close") => {}
            _ => self.stream = None,
        }
        result
    }

    async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address).into_bytes();
        for (name, value) in headers {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        let Some(stream) = self.stream.as_mut() else { bail!("no connection") };
        stream.write_all(&request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the connection was closed before an answer came");
            }
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12)).context("no status line")?.parse()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = self.buffer.split_off(head);
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        if chunked {
            let mut plain = Vec::new();
            while !unchunk(&mut body, &mut plain)? {
                if stream.read_buf(&mut body).await? == 0 {
                    bail!("the answer was cut off");
                }
            }
            body = plain;
        } else {
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(Ok(0), |(_, value)| value.parse())?;
            while body.len() < length {
                if stream.read_buf(&mut body).await? == 0 {
                    bail!("the answer was cut off");
                }
            }
        }
        Ok(Answer { status, headers, body })
    }
}

/// Moves complete chunks; true at the last one.
fn unchunk(from: &mut Vec<u8>, to: &mut Vec<u8>) -> anyhow::Result<bool> {
    loop {
        let Some(line) = find(from, b"\r\n") else { return Ok(false) };
        let size = std::str::from_utf8(&from[..line])?.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)?;
        let end = line + 2 + size + 2;
        if from.len() < end {
            return Ok(false);
        }
        to.extend_from_slice(&from[line + 2..line + 2 + size]);
        from.drain(..end);
        if size == 0 {
            return Ok(true);
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
