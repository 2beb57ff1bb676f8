//! Reading a request's head and writing an answer.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::{Request, Response};

/// pveproxy refuses header lines longer than this (AnyEvent.pm, `limit_max_header_size`).
const MAX_HEADER_LINE: usize = 8 * 1024;
/// pveproxy refuses more headers than this (`limit_max_headers`).
const MAX_HEADERS: usize = 64;
/// A request line has no limit of its own there; this one only bounds memory.
const MAX_REQUEST_LINE: usize = 128 * 1024;

/// A connection with what was read of it but not used yet.
pub(crate) struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}

/// How reading a head ended.
pub(crate) enum Head {
    Request(Request),
    /// The first line is no request line.
    Bad,
    /// Nothing more will come, or it took too long, or a header was too long.
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads more bytes; false at the end, on an error or after `idle` without any.
    async fn fill(&mut self, idle: Duration) -> bool {
        let mut chunk = [0u8; 16 * 1024];
        match tokio::time::timeout(idle, self.stream.read(&mut chunk)).await {
            Ok(Ok(n)) if n > 0 => {
                self.buffer.extend_from_slice(&chunk[..n]);
                true
            }
            _ => false,
        }
    }

    async fn line(&mut self, limit: usize, idle: Duration) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.len() > limit {
                    return None;
                }
                return Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > limit || !self.fill(idle).await {
                return None;
            }
        }
    }

    /// Reads a head. Every wait for more bytes is limited by `idle`.
    pub(crate) async fn head(&mut self, idle: Duration) -> Head {
        let Some(first) = self.line(MAX_REQUEST_LINE, idle).await else { return Head::Closed };
        let words: Vec<&str> = first.split(' ').filter(|w| !w.is_empty()).collect();
        let parsed = match words.as_slice() {
            [method, target, version] if version.starts_with("HTTP/1.") => {
                Some(((*method).to_owned(), (*target).to_owned(), (*version).to_owned()))
            }
            _ => None,
        };
        let mut headers = Vec::new();
        loop {
            let Some(line) = self.line(MAX_HEADER_LINE, idle).await else { return Head::Closed };
            if line.is_empty() {
                break;
            }
            if headers.len() >= MAX_HEADERS {
                return Head::Closed;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let Some((method, target, version)) = parsed else { return Head::Bad };
        headers.push((":version".to_owned(), version));
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        Head::Request(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: Vec::new() })
    }

    /// Reads a body of known length.
    pub(crate) async fn body(&mut self, length: usize, idle: Duration) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill(idle).await {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Writes an answer; `keep` decides the Connection header.
    pub(crate) async fn answer(&mut self, response: &Response, keep: bool, head_only: bool) -> std::io::Result<()> {
        let mut out = format!("HTTP/1.1 {} {}\r\n", response.status, clean_reason(&response.reason)).into_bytes();
        let mut header = |name: &str, value: &str| out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        header("Cache-Control", "max-age=0");
        header("Connection", if keep { "Keep-Alive" } else { "close" });
        header("Pragma", "no-cache");
        header("Server", "pve-api-daemon/3.0");
        header("Content-Length", &response.body.len().to_string());
        if let Some(content_type) = &response.content_type {
            header("Content-Type", content_type);
        }
        for (name, value) in &response.headers {
            header(name, value);
        }
        out.extend_from_slice(b"\r\n");
        if !head_only {
            out.extend_from_slice(&response.body);
        }
        self.stream.write_all(&out).await?;
        self.stream.flush().await
    }

    /// Says goodbye politely (TLS close) and hangs up.
    pub(crate) async fn close(mut self) {
        /// A peer that does not take the goodbye is not waited for.
        const GOODBYE: Duration = Duration::from_millis(500);
        let _ = tokio::time::timeout(GOODBYE, self.stream.shutdown()).await;
    }
}

/// A reason phrase is one line.
fn clean_reason(reason: &str) -> String {
    reason.lines().next().unwrap_or("").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
