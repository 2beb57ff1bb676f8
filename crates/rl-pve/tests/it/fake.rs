//! A small HTTPS server that answers as a test tells it to, or breaks off where a test wants it to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rl_model::{SecretValue, TlsTrust};
use rl_pve::{ApiToken, CallLimits, Credentials, NameResolver, Pace, Pve, SiteConnection};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query below `/api2/json`.
    pub(crate) target: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
}

/// What the server does about a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Answers.
    Answer { status: u16, reason: String, body: String },
    /// Answers, then closes without saying so beforehand.
    AnswerAndClose { body: String },
    /// Reads the request and closes.
    Close,
    /// Reads the request and never answers.
    Hang,
    /// Announces more than it sends, then closes.
    Cut,
    /// Announces more than it sends, then waits.
    Stall,
    /// Announces this many bytes.
    Announce(u64),
    /// Waits, then answers.
    Later(Duration, String),
}

pub(crate) fn ok(data: impl Into<serde_json::Value>) -> Reply {
    Reply::Answer { status: 200, reason: "OK".into(), body: serde_json::json!({ "data": data.into() }).to_string() }
}

pub(crate) fn refuse(status: u16, reason: &str) -> Reply {
    let body = if status == 401 {
        String::new()
    } else {
        serde_json::json!({"data": null, "message": format!("{reason}\n")}).to_string()
    };
    Reply::Answer { status, reason: reason.into(), body }
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A running server; it ends with the test's runtime.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: String,
    pub(crate) certificate_pem: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    busy_max: Arc<AtomicUsize>,
}

impl Fake {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into(), "pve.test".into()])
            .unwrap();
        let der = key.cert.der().clone();
        let fingerprint = Sha256::digest(&der).iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(":");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap(),
            fingerprint,
            certificate_pem: key.cert.pem(),
            seen: Arc::default(),
            busy_max: Arc::default(),
        };
        let shared = Shared {
            handler: Arc::new(handler),
            seen: fake.seen.clone(),
            busy: Arc::default(),
            busy_max: fake.busy_max.clone(),
        };
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), shared));
        fake
    }

    /// Everything asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests were asked of a path that begins so.
    pub(crate) fn count(&self, method: &str, target: &str) -> usize {
        self.seen().iter().filter(|seen| seen.method == method && seen.target.starts_with(target)).count()
    }

    /// Most requests that were being answered at the same time.
    pub(crate) fn busy_max(&self) -> usize {
        self.busy_max.load(Ordering::SeqCst)
    }

    /// A client of this server that trusts its certificate.
    pub(crate) fn client(&self) -> Pve {
        Pve::connect(self.connection()).unwrap()
    }

    pub(crate) fn connection(&self) -> SiteConnection {
        connection(&[self.address], TlsTrust::Fingerprints(vec![self.fingerprint.clone()]))
    }
}

/// A connection with a token to these addresses.
pub(crate) fn connection(addresses: &[SocketAddr], trust: TlsTrust) -> SiteConnection {
    SiteConnection {
        endpoints: addresses.iter().map(|address| format!("https://{address}").parse().unwrap()).collect(),
        credentials: Credentials::Token(ApiToken::parse(&SecretValue::new("deploy@pve!full=s3cr3t-value")).unwrap()),
        trust,
        requests_per_node: 3,
        pace: Pace::times(50.0),
        limits: CallLimits { answer: Duration::from_secs(10), ..CallLimits::default() },
        resolver: Arc::new(NameResolver::with_fixed(vec![("pve.test".into(), [127, 0, 0, 1].into())])),
    }
}

#[derive(Clone)]
struct Shared {
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Seen>>>,
    busy: Arc<AtomicUsize>,
    busy_max: Arc<AtomicUsize>,
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Shared) {
    for number in 0.. {
        let (tcp, _) = listener.accept().await.unwrap();
        let (acceptor, shared) = (acceptor.clone(), shared.clone());
        tokio::spawn(async move {
            if let Ok(tls) = acceptor.accept(tcp).await {
                // The other side may go away at any time; that is what some tests are about.
                let _ = serve(tls, number, shared).await;
            }
        });
    }
}

async fn serve(
    tls: impl AsyncReadExt + AsyncWriteExt + Unpin,
    connection: usize,
    shared: Shared,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(tls);
    while let Some(seen) = read_request(&mut stream, connection).await? {
        shared.seen.lock().unwrap().push(seen.clone());
        let busy = shared.busy.fetch_add(1, Ordering::SeqCst) + 1;
        shared.busy_max.fetch_max(busy, Ordering::SeqCst);
        let go_on = reply(&mut stream, (shared.handler)(&seen), &shared.busy).await?;
        if !go_on {
            return stream.shutdown().await;
        }
    }
    Ok(())
}

async fn reply<S: AsyncWriteExt + Unpin>(stream: &mut S, reply: Reply, busy: &AtomicUsize) -> std::io::Result<bool> {
    let (text, go_on) = match reply {
        // As pveproxy does, a refusal closes the connection.
        Reply::Answer { status, reason, body } => (answer(status, &reason, &body, body.len() as u64), status < 400),
        Reply::AnswerAndClose { body } => (answer(200, "OK", &body, body.len() as u64), false),
        Reply::Close => (String::new(), false),
        Reply::Hang => std::future::pending().await,
        Reply::Cut => (answer(200, "OK", "{\"data\":", 100), false),
        Reply::Stall => {
            stream.write_all(answer(200, "OK", "{\"data\":", 100).as_bytes()).await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Reply::Announce(bytes) => (answer(200, "OK", "{", bytes), false),
        Reply::Later(pause, body) => {
            tokio::time::sleep(pause).await;
            (answer(200, "OK", &body, body.len() as u64), true)
        }
    };
    busy.fetch_sub(1, Ordering::SeqCst);
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    Ok(go_on)
}

fn answer(status: u16, reason: &str, body: &str, length: u64) -> String {
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: application/json;charset=UTF-8\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn read_request<S: tokio::io::AsyncBufRead + Unpin>(
    stream: &mut S,
    connection: usize,
) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut parts = line.split_whitespace();
    let method = parts.next().unwrap_or_default().to_owned();
    let target = parts.next().unwrap_or_default().trim_start_matches("/api2/json").to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.get("content-length").and_then(|length: &String| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Seen { method, target, headers, body: String::from_utf8(body).unwrap(), connection }))
}
