//! The transport of a simulation: HTTP over byte streams that somebody hands in, one for each call.
//!
//! No socket, no TLS, no thread, and no clock but tokio's, so that a whole system runs in one thread under paused time
//! and a run can be repeated exactly. A program that reaches real sites uses the other transport.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reqwest::header::{HOST, HeaderMap};
use rl_model::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// A connection in memory.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for S {}

/// A connection that will be there, or the reason why not.
pub type Dialled = Pin<Box<dyn Future<Output = std::io::Result<Box<dyn ByteStream>>> + Send>>;

/// Makes connections in place of the network.
pub trait Dial: Send + Sync + 'static {
    /// A new connection to an endpoint. An error means that nothing was sent, as when a port is closed.
    fn dial(&self, endpoint: &Endpoint) -> Dialled;
}

/// Why a call over a stream has no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("cannot connect")]
    Dial(#[source] std::io::Error),
    #[error("no connection in time")]
    DialTime,
    #[error("HTTP failed")]
    Http(#[source] hyper::Error),
    #[error("no answer in time")]
    AnswerTime,
}

/// What was answered.
pub(super) struct StreamAnswer {
    pub(super) head: hyper::http::response::Parts,
    pub(super) body: Incoming,
    pub(super) until: Instant,
}

/// A request that is ready to go.
pub(super) type StreamRequest = hyper::Request<String>;

/// See the module.
#[derive(Clone)]
pub(super) struct Streams {
    dial: Arc<dyn Dial>,
    connect: Duration,
}

impl Streams {
    /// `connect` is the longest time a connection may take.
    pub(super) fn new(dial: Arc<dyn Dial>, connect: Duration) -> Self {
        Self { dial, connect }
    }

    /// Sends a request. The whole exchange ends after `limit`; a connection that comes later than that sends nothing.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        mut request: StreamRequest,
        headers: HeaderMap,
        limit: Duration,
    ) -> Result<StreamAnswer, StreamError> {
        let until = Instant::now() + limit;
        request.headers_mut().extend(headers);
        if let Ok(host) = endpoint.to_string().trim_start_matches("https://").parse() {
            request.headers_mut().insert(HOST, host);
        }
        let dialled = tokio::time::timeout(self.connect.min(limit), self.dial.dial(endpoint)).await;
        let stream = dialled.map_err(|_| StreamError::DialTime)?.map_err(StreamError::Dial)?;
        if Instant::now() >= until {
            return Err(StreamError::DialTime);
        }
        let (mut sender, connection) =
            http1::handshake::<_, String>(TokioIo::new(stream)).await.map_err(StreamError::Http)?;
        // Ends with the answer's body, or at once when the caller goes away.
        tokio::spawn(connection);
        let answered = tokio::time::timeout_at(until, sender.send_request(request)).await;
        let (head, body) = answered.map_err(|_| StreamError::AnswerTime)?.map_err(StreamError::Http)?.into_parts();
        Ok(StreamAnswer { head, body, until })
    }
}

/// The next part of a body; `None` at its end.
pub(super) async fn chunk(body: &mut Incoming, until: Instant) -> Result<Option<hyper::body::Bytes>, StreamError> {
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
        match tokio::time::timeout_at(until, frame).await {
            Err(_) => return Err(StreamError::AnswerTime),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(StreamError::Http(error)),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}
