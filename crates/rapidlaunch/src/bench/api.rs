//! The API over HTTPS on the loopback interface: a server as a process of its own, asked by 64 connections of this one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::store::failed;
use crate::api::{Door, find_door};
use crate::error::CommandError;
use crate::memory;

/// Connections at once.
pub(super) const CONNECTIONS: usize = 64;
/// How long requests are counted.
const MEASURED: Duration = Duration::from_secs(5);
/// Starts of which the median counts.
const STARTS: usize = 7;
/// How long an idle server is let be before its memory is read.
const IDLE: Duration = Duration::from_secs(3);
/// A server that is not there after this is taken for one that does not start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between looks whether it is there.
const LOOK: Duration = Duration::from_micros(500);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// What ends the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A server that runs.
pub(super) struct Server {
    child: Child,
    door: Door,
    connector: TlsConnector,
}

impl Server {
    /// Starts one on a data directory; answers it once it is ready, with the time that took.
    pub(super) async fn start(data: &Path) -> Result<(Self, Duration), CommandError> {
        let folder = data.join("api");
        let _ = std::fs::remove_file(folder.join("local.json"));
        let began = Instant::now();
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let door = loop {
            if let Some(door) = find_door(&folder) {
                break door;
            }
            patient(began)?;
            tokio::time::sleep(LOOK).await;
        };
        let connector = connector(&door)?;
        let server = Self { child, door, connector };
        let mut connection = server.connect().await?;
        loop {
            if connection.get("/readyz").await? == 200 {
                return Ok((server, began.elapsed()));
            }
            patient(began)?;
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, CommandError> {
        self.connect_from(IpAddr::from(Ipv4Addr::LOCALHOST)).await
    }

    /// A connection that comes from this address of the loopback interface.
    pub(super) async fn connect_from(&self, from: IpAddr) -> Result<Connection, CommandError> {
        let address = self.door.url.strip_prefix("https://").unwrap_or_default();
        let address: SocketAddr = address.parse().map_err(|_| CommandError::failed("no address"))?;
        let socket = TcpSocket::new_v4().map_err(failed)?;
        socket.bind(SocketAddr::new(from, 0)).map_err(failed)?;
        let stream = socket.connect(address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let name = ServerName::from(address.ip());
        let stream = self.connector.connect(name, stream).await.map_err(failed)?;
        Ok(Connection { stream, token: self.door.token.clone(), buffer: Vec::new() })
    }

    /// Its process id.
    pub(super) fn process(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub(super) async fn end(mut self) -> Result<(), CommandError> {
        self.child.kill().await.map_err(failed)
    }
}

fn patient(began: Instant) -> Result<(), CommandError> {
    if began.elapsed() < PATIENCE { Ok(()) } else { Err(CommandError::failed("the server does not become ready")) }
}

fn connector(door: &Door) -> Result<TlsConnector, CommandError> {
    let mut roots = RootCertStore::empty();
    let authority = door.authority.as_deref().unwrap_or_default();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).map_err(failed)?).map_err(failed)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// A connection that is kept, with as little work on this side as can be: both sides share the machine.
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    token: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Asks, reads the whole answer, and gives its status.
    async fn get(&mut self, path: &str) -> Result<u16, CommandError> {
        self.send("GET", path, "\r\n").await?;
        self.read_until(Self::whole).await
    }

    /// Sends a body under a key, reads the whole answer, and gives its status.
    pub(super) async fn post(&mut self, path: &str, key: &str, body: &str) -> Result<u16, CommandError> {
        let length = body.len();
        let rest = format!(
            "Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.send("POST", path, &rest).await?;
        self.read_until(Self::whole).await
    }

    /// Asks for an answer without an end, and reads its beginning.
    pub(super) async fn follow(&mut self, path: &str) -> Result<(), CommandError> {
        self.send("GET", path, "Accept: text/event-stream\r\n\r\n").await?;
        self.read_until(|connection| position(&connection.buffer, b"event: ready")).await.map(drop)
    }

    /// Loads a file as browsers do, compressed, and gives the bytes that came for it.
    pub(super) async fn compressed(&mut self, path: &str) -> Result<usize, CommandError> {
        self.send("GET", path, "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n").await?;
        self.buffer.clear();
        self.stream.read_to_end(&mut self.buffer).await.map_err(failed)?;
        match self.buffer.get(9..12) {
            Some(b"200") => Ok(self.buffer.len()),
            _ => Err(CommandError::failed(format!("the page has no file {path}"))),
        }
    }

    async fn send(&mut self, method: &str, path: &str, rest: &str) -> Result<(), CommandError> {
        let token = &self.token;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{rest}");
        self.stream.write_all(request.as_bytes()).await.map_err(failed)
    }

    async fn read_until<T>(&mut self, found: impl Fn(&Self) -> Option<T>) -> Result<T, CommandError> {
        self.buffer.clear();
        loop {
            if let Some(found) = found(self) {
                return Ok(found);
            }
            let read = self.stream.read_buf(&mut self.buffer).await.map_err(failed)?;
            if read == 0 || self.buffer.len() > ANSWER_BYTES_MAX {
                return Err(CommandError::failed("the server closed the connection"));
            }
        }
    }

    /// The status, once the answer is there to its end.
    fn whole(&self) -> Option<u16> {
        let end = position(&self.buffer, HEAD_END)?;
        let head = std::str::from_utf8(&self.buffer[..end]).ok()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        (self.buffer.len() >= end + 4 + length.unwrap_or(0)).then(|| head.get(9..12)?.parse().ok())?
    }

    /// The body of the answer that was read last.
    pub(super) fn body(&self) -> serde_json::Value {
        let end = position(&self.buffer, HEAD_END).map_or(0, |end| end + HEAD_END.len());
        serde_json::from_slice(&self.buffer[end..]).unwrap_or_default()
    }
}

/// Where these bytes first stand.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Time from the start of the process until it is ready, the median, in milliseconds; and its memory in bytes when it is idle.
pub(super) async fn ready(data: &Path) -> Result<(f64, u64), CommandError> {
    // The first start makes the store and the authority.
    Server::start(data).await?.0.end().await?;
    let mut times = Vec::new();
    let mut rss = 0;
    for number in 0..STARTS {
        let (server, took) = Server::start(data).await?;
        times.push(took);
        if number + 1 == STARTS {
            tokio::time::sleep(IDLE).await;
            rss = memory::resident(server.process());
        }
        server.end().await?;
    }
    times.sort_unstable();
    Ok((times[STARTS / 2].as_secs_f64() * 1000.0, rss))
}

/// Operations read in a second by all connections together, each with its jobs and steps.
pub(super) async fn reads(data: &Path) -> Result<f64, CommandError> {
    let (server, _) = Server::start(data).await?;
    let mut first = server.connect().await?;
    first.get("/v1/operations?limit=1").await?;
    let body = first.body();
    let Some(id) = body["items"][0]["id"].as_str().or_else(|| body["items"][0]["operation"].as_str()) else {
        return Err(CommandError::failed("there is no operation to read"));
    };
    let path: Arc<str> = format!("/v1/operations/{id}").into();
    let mut tasks = tokio::task::JoinSet::new();
    let began = Instant::now();
    for _ in 0..CONNECTIONS {
        let (mut connection, path) = (server.connect().await?, Arc::clone(&path));
        tasks.spawn(async move {
            let mut count = 0_u64;
            while began.elapsed() < MEASURED {
                let status = connection.get(&path).await?;
                if status != 200 {
                    return Err(CommandError::failed(format!("the server answered {status}")));
                }
                count += 1;
            }
            Ok(count)
        });
    }
    let mut count = 0;
    while let Some(ended) = tasks.join_next().await {
        count += ended.map_err(failed)??;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    server.end().await?;
    Ok(rate)
}
