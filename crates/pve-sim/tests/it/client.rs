//! A small HTTPS client for these tests: one connection, one request after another.

use std::sync::Arc;

use pve_sim::Sim;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Gives up on an answer after this long.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// A connection to one node.
pub(crate) struct Client {
    connector: TlsConnector,
    address: String,
    /// Header lines that say who asks.
    auth: String,
    stream: Option<TlsStream<TcpStream>>,
}

/// An answer: status, reason phrase and what stands under `data`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Value,
}

impl Answer {
    /// The data of a 200; anything else fails the test.
    pub(crate) fn data(self) -> Value {
        assert_eq!(self.status, 200, "{} {:?}", self.reason, self.body);
        self.body["data"].clone()
    }

    /// The task id of a 200.
    pub(crate) fn upid(self) -> String {
        self.data().as_str().unwrap().to_owned()
    }
}

impl Client {
    /// A client of the node with this number, from 0.
    pub(crate) fn new(sim: &Sim, node: usize) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(sim.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            address: sim.urls()[node].trim_start_matches("https://").to_owned(),
            auth: format!("Authorization: PVEAPIToken={}\r\n", sim.token()),
            stream: None,
        }
    }

    /// The same with another token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.auth = format!("Authorization: PVEAPIToken={token}\r\n");
        self
    }

    /// The same with a ticket and the CSRF token that goes with it.
    pub(crate) fn with_ticket(mut self, ticket: &str, csrf: &str) -> Self {
        let ticket = encode(ticket);
        self.auth = format!("Cookie: PVEAuthCookie={ticket}\r\nCSRFPreventionToken: {csrf}\r\n");
        self
    }

    /// The same without any credentials.
    pub(crate) fn anonymous(mut self) -> Self {
        self.auth.clear();
        self
    }

    /// Sends a request; `None` when the connection was closed without an answer.
    pub(crate) async fn try_send(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Option<Answer> {
        let body: Vec<String> = form.iter().map(|(k, v)| format!("{k}={}", encode(v))).collect();
        let body = body.join("&");
        let (query, body) =
            if method == "DELETE" { (format!("?{body}"), String::new()) } else { (String::new(), body) };
        let text = format!(
            "{method} /api2/json{path}{query} HTTP/1.1\r\nHost: sim\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.auth,
            body.len()
        );
        if self.stream.is_none() {
            let tcp = TcpStream::connect(&self.address).await.ok()?;
            let name = ServerName::try_from("localhost").unwrap();
            self.stream = Some(self.connector.connect(name, tcp).await.ok()?);
        }
        let mut stream = self.stream.take().unwrap();
        stream.write_all(text.as_bytes()).await.ok()?;
        let (answer, keep) = tokio::time::timeout(PATIENCE, read_answer(&mut stream)).await.unwrap()?;
        self.stream = keep.then_some(stream);
        Some(answer)
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.try_send(method, path, form).await.unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Value {
        self.send("GET", path, &[]).await.data()
    }

    /// Sends a request that starts a task and waits for its end; gives the exit status.
    pub(crate) async fn run(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> String {
        let upid = self.send(method, path, form).await.upid();
        self.exit_of(&upid).await
    }

    /// Waits for the end of a task.
    pub(crate) async fn exit_of(&mut self, upid: &str) -> String {
        let node = upid.split(':').nth(1).unwrap();
        loop {
            let status = self.get(&format!("/nodes/{node}/tasks/{upid}/status")).await;
            if status["status"] == "stopped" {
                return status["exitstatus"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Creates a small container without starting it.
    pub(crate) async fn create(&mut self, node: &str, vmid: u32) -> String {
        let vmid = vmid.to_string();
        let form = create_form(&vmid);
        self.run("POST", &format!("/nodes/{node}/lxc"), &form).await
    }
}

/// The parameters of a small container.
pub(crate) fn create_form(vmid: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("vmid", vmid),
        ("ostemplate", "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst"),
        ("rootfs", "local-zfs:2"),
        ("features", "nesting=1"),
        ("net0", "name=eth0,bridge=vmbr0,ip=10.0.7.7/16"),
        ("description", "stamp one\nsecond line"),
    ]
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

async fn read_answer(stream: &mut TlsStream<TcpStream>) -> Option<(Answer, bool)> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let field = |name: &str| {
        let lines = head.lines().skip(1).filter_map(|l| l.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).next()
    };
    let length: usize = field("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut first = head.lines().next()?.splitn(3, ' ');
    let status = first.nth(1)?.parse().ok()?;
    let reason = first.next().unwrap_or("").to_owned();
    let body = serde_json::from_slice(&bytes[head_end + 4..]).unwrap_or(Value::Null);
    let keep = field("connection").is_some_and(|c| c.eq_ignore_ascii_case("keep-alive"));
    Some((Answer { status, reason, body }, keep))
}
