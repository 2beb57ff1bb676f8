//! A receiver of deliveries over TLS, with an authority of its own, that answers what it is told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A delivery as it came.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub(super) id: String,
    pub(super) signature: String,
    pub(super) text: String,
    pub(super) body: Value,
    pub(super) answered: u16,
}

#[derive(Default)]
struct Kept {
    got: Mutex<Vec<Got>>,
    answers: Mutex<VecDeque<u16>>,
    otherwise: Mutex<Option<u16>>,
    closed: AtomicUsize,
}

/// See the module.
pub(super) struct Receiver {
    address: SocketAddr,
    kept: Arc<Kept>,
    /// The authority that vouches for it, as PEM.
    pub(super) authority: String,
}

impl Receiver {
    pub(super) fn start(runtime: &Runtime) -> Self {
        let kept: Arc<Kept> = Arc::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, authority) = identity();
        let app = Router::new().route("/hook", post(take)).with_state(Arc::clone(&kept));
        let doors = Arc::clone(&kept);
        runtime.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                if doors.closed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
                    continue;
                }
                let (acceptor, service) =
                    (acceptor.clone(), hyper_util::service::TowerToHyperService::new(app.clone()));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let builder = hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
                    let _ = builder.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, kept, authority }
    }

    /// Where it takes deliveries, by this host.
    pub(super) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/hook?key=only-for-us", self.address.port())
    }

    /// What it answers next, one after the other; then it is content.
    pub(super) fn answer(&self, answers: &[u16]) {
        self.kept.answers.lock().unwrap().extend(answers);
    }

    /// What it answers whatever comes.
    pub(super) fn answer_always(&self, status: Option<u16>) {
        *self.kept.otherwise.lock().unwrap() = status;
    }

    /// Closes so many connections as they come.
    pub(super) fn close(&self, connections: usize) {
        self.kept.closed.store(connections, Ordering::Release);
    }

    pub(super) fn got(&self) -> Vec<Got> {
        self.kept.got.lock().unwrap().clone()
    }

    /// What it took.
    pub(super) fn taken(&self) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.answered == 204).collect()
    }
}

/// A certificate for this machine by a new authority.
fn identity() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = KeyPair::generate().unwrap();
    let pem = params.self_signed(&own).unwrap().pem();
    let authority = Issuer::new(params, own);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), pem)
}

async fn take(State(kept): State<Arc<Kept>>, headers: HeaderMap, text: String) -> StatusCode {
    let field = |name: &str| headers[name].to_str().unwrap().to_owned();
    let planned = kept.answers.lock().unwrap().pop_front();
    let answered = planned.or(*kept.otherwise.lock().unwrap()).unwrap_or(204);
    let body = serde_json::from_str(&text).unwrap();
    let (id, signature) = (field("rapidlaunch-delivery"), field("rapidlaunch-signature"));
    kept.got.lock().unwrap().push(Got { id, signature, text, body, answered });
    StatusCode::from_u16(answered).unwrap()
}
