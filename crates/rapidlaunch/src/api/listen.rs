//! The listener: TLS, HTTP/1.1 and HTTP/2, with a limit on whatever a stranger could make grow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::caller::Remote;
use super::limits::{self, Limits};
use super::tls::{self, Tls};

/// How long a handshake may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long the head of a request may take to come: a client that sends it byte by byte is let go.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Most fields of a request's head.
const HEAD_FIELDS_MAX: usize = 100;
/// Most requests at once on one connection.
const STREAMS_MAX: u32 = 128;
/// Time between signs of life on a connection, and how long the other side may be silent after one.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted: the process has too many files open, and will have fewer.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests may go on after the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves until `shutdown`.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<Tls>,
    router: Router,
    limits: Arc<Limits>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let mut look = tokio::time::interval(tls::LOOK);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = look.tick() => {
                tls.refresh();
                continue;
            }
            () = shutdown.cancelled() => break,
        };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Beyond the limit a connection is closed at once: the caller sees it, and nobody else does.
        let Some(place) = limits.connect(remote.ip().to_canonical()) else { continue };
        let (acceptor, router, shutdown) = (TlsAcceptor::from(tls.config()), router.clone(), shutdown.clone());
        connections.spawn(async move {
            if let Err(error) = connection(stream, remote, acceptor, router, shutdown).await {
                tracing::debug!(%remote, error, "a connection ended");
            }
            drop(place);
        });
    }
    connections.close();
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
}

async fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
    shutdown: CancellationToken,
) -> Result<(), String> {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await;
    let stream = handshake.map_err(|_| "it took too long".to_owned()).and_then(|done| done.map_err(|e| e.to_string()));
    let stream = stream.map_err(|error| {
        limits::refused("handshake");
        format!("the handshake failed: {error}")
    })?;
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(Remote(remote.ip().to_canonical()));
        router.clone().oneshot(Request::from_parts(parts, Body::new(body)))
    });
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(|error| error.to_string()),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(|error| error.to_string())
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_headers(HEAD_FIELDS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}
