//! One try of one call at one endpoint, with what is known about a failure.

use std::error::Error as StdError;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use rl_model::Endpoint;
use tokio::time::Instant;

use super::connection::{ConnectError, SiteConnection};
use super::streams::{StreamError, StreamRequest, Streams, chunk};
use super::tls::client_config;
use crate::error::{Refusal, classify};
use crate::request::{Call, Safety};
use crate::{ErrorKind, PveError};

/// pveproxy closes connections that are idle for five seconds; ours are closed earlier, so that none is used that is
/// being closed at the other end.
const POOL_IDLE_LIMIT: Duration = Duration::from_secs(4);
/// Idle connections kept for one endpoint: as many as are busy at once on a node of average size.
const POOL_IDLE_MAX: usize = 16;
/// Largest request: what releases before pve-http-server 5.2.1 take.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Largest answer: the resource list of 100,000 guests has about 50 MB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest body of an error that is read.
const REFUSAL_BYTES_MAX: usize = 256 * 1024;

/// What the parameters of a write are written as.
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// How a try failed.
pub(super) enum Failure {
    /// Nothing was sent.
    NotSent(PveError),
    /// It was sent, and no whole answer came back.
    Lost(PveError),
    /// Proxmox answered.
    Refused(PveError),
}

/// How requests leave.
pub(super) enum Http {
    /// Over TCP and TLS.
    Network(reqwest::Client),
    /// Over streams that a simulation hands in.
    Streams(Streams),
}

/// An answer, not yet judged.
struct Answer {
    status: reqwest::StatusCode,
    reason: Option<Vec<u8>>,
    body: Result<Vec<u8>, BodyFailure>,
}

/// The HTTP client of a site: HTTP/1.1, no proxy, no redirects, nothing repeated behind our back but requests that
/// never left.
pub(super) fn http_client(connection: &SiteConnection) -> Result<reqwest::Client, ConnectError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(&connection.trust)?)
        .dns_resolver(connection.resolver.clone())
        .user_agent(concat!("rapidlaunch/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .no_proxy()
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connection.limits.connect)
        .pool_idle_timeout(POOL_IDLE_LIMIT)
        .pool_max_idle_per_host(POOL_IDLE_MAX)
        .tcp_nodelay(true)
        .build()
        .map_err(ConnectError::Client)
}

/// Sends a call and reads the whole answer.
pub(super) async fn attempt(
    http: &Http,
    endpoint: &Endpoint,
    call: &Call,
    headers: HeaderMap,
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let answer = match http {
        Http::Network(client) => over_network(client, endpoint, call, headers, limit).await?,
        Http::Streams(streams) => over_streams(streams, endpoint, call, headers, limit).await?,
    };
    if answer.status == 200 {
        return answer.body.map_err(|failure| failure.of_answer(call, endpoint));
    }
    let (status, canonical) = (answer.status.as_u16(), answer.status.canonical_reason().unwrap_or("no reason given"));
    let reason =
        answer.reason.map_or_else(|| canonical.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let body = answer.body.unwrap_or_default();
    let (kind, text) = classify(&Refusal { status, reason: &reason, body: &body }, call.safety == Safety::Read);
    let proxied = (595..=599).contains(&status) || status == 502 || status == 504;
    let error = PveError::new(call, kind, &text).at(endpoint).with_status(status);
    Err(if proxied { Failure::Lost(error) } else { Failure::Refused(error) })
}

async fn over_network(
    client: &reqwest::Client,
    endpoint: &Endpoint,
    call: &Call,
    headers: HeaderMap,
    limit: Duration,
) -> Result<Answer, Failure> {
    let request = build(client, endpoint, call, headers, limit).map_err(Failure::NotSent)?;
    let mut response = client.execute(request).await.map_err(|error| sending(call, endpoint, error))?;
    let reason = response.extensions().get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec());
    let (status, announced) = (response.status(), response.content_length().unwrap_or(0));
    let body = read_body(announced, body_limit(status), Parts::Network(&mut response)).await;
    Ok(Answer { status, reason, body })
}

async fn over_streams(
    streams: &Streams,
    endpoint: &Endpoint,
    call: &Call,
    headers: HeaderMap,
    limit: Duration,
) -> Result<Answer, Failure> {
    let form = checked_form(call).map_err(Failure::NotSent)?;
    let (target, body) = match call.method.has_body() {
        true => (format!("/api2/json{}", call.path), form.to_owned()),
        false if form.is_empty() => (format!("/api2/json{}", call.path), String::new()),
        false => (format!("/api2/json{}?{form}", call.path), String::new()),
    };
    let mut request = StreamRequest::new(body);
    *request.method_mut() = method(call);
    *request.uri_mut() = target.parse().map_err(|error| {
        let unusable = PveError::new(call, ErrorKind::Unreachable, "the address cannot be used");
        Failure::NotSent(unusable.at(endpoint).because(error))
    })?;
    if call.method.has_body() {
        request.headers_mut().insert(CONTENT_TYPE, FORM);
    }
    let sent = streams.send(endpoint, request, headers, limit).await;
    let mut answer = sent.map_err(|error| over_stream_failed(call, endpoint, error))?;
    let reason = answer.head.extensions.get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec());
    let (status, until) = (answer.head.status, answer.until);
    let body = read_body(0, body_limit(status), Parts::Stream(&mut answer.body, until)).await;
    Ok(Answer { status, reason, body })
}

fn over_stream_failed(call: &Call, endpoint: &Endpoint, error: StreamError) -> Failure {
    let never_left = match &error {
        StreamError::Dial(_) | StreamError::DialTime => true,
        StreamError::Http(error) => error.is_canceled(),
        StreamError::AnswerTime => false,
    };
    if never_left {
        let error = PveError::new(call, ErrorKind::Unreachable, "cannot connect").at(endpoint).because(error);
        return Failure::NotSent(error);
    }
    Failure::Lost(PveError::lost(call, "the connection was lost").at(endpoint).because(error))
}

/// The form of a call, unless it is larger than Proxmox takes.
fn checked_form(call: &Call) -> Result<&str, PveError> {
    let form = call.form.expose();
    if form.len() > REQUEST_BYTES_MAX {
        let text = format!("{} bytes, and Proxmox takes {REQUEST_BYTES_MAX}", form.len());
        return Err(PveError::new(call, ErrorKind::RequestTooLarge, &text));
    }
    Ok(form)
}

fn method(call: &Call) -> reqwest::Method {
    match call.method {
        crate::Method::Get => reqwest::Method::GET,
        crate::Method::Post => reqwest::Method::POST,
        crate::Method::Put => reqwest::Method::PUT,
        crate::Method::Delete => reqwest::Method::DELETE,
    }
}

fn build(
    http: &reqwest::Client,
    endpoint: &Endpoint,
    call: &Call,
    headers: HeaderMap,
    limit: Duration,
) -> Result<reqwest::Request, PveError> {
    let form = checked_form(call)?;
    let mut url = format!("{endpoint}/api2/json{}", call.path);
    let method = method(call);
    let mut builder = if call.method.has_body() {
        // The length is always known: pveproxy refuses chunked bodies.
        http.request(method, url).header(CONTENT_TYPE, FORM).header(CONTENT_LENGTH, form.len()).body(form.to_owned())
    } else {
        if !form.is_empty() {
            url.push('?');
            url.push_str(form);
        }
        http.request(method, url)
    };
    builder = builder.headers(headers).timeout(limit);
    builder
        .build()
        .map_err(|e| PveError::new(call, ErrorKind::Unreachable, "the address cannot be used").because(bare(e)))
}

/// The address may hold a query; errors do not repeat it.
fn bare(error: reqwest::Error) -> reqwest::Error {
    error.without_url()
}

fn sending(call: &Call, endpoint: &Endpoint, error: reqwest::Error) -> Failure {
    let never_left = error.is_connect() || error.is_builder() || was_cancelled(&error);
    let text = if error.is_timeout() {
        if never_left { "no connection in time" } else { "no answer in time" }
    } else if never_left {
        connect_text(&error)
    } else {
        "the connection was lost"
    };
    if never_left {
        let kind = ErrorKind::Unreachable;
        return Failure::NotSent(PveError::new(call, kind, text).at(endpoint).because(bare(error)));
    }
    Failure::Lost(PveError::lost(call, text).at(endpoint).because(bare(error)))
}

/// Whether hyper gave the request back unsent, as it does when a kept connection turns out to be closed.
fn was_cancelled(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled))
}

/// Says whether the certificate is at fault: the one failure to connect that a person must mend.
fn connect_text(error: &reqwest::Error) -> &'static str {
    for cause in causes(error) {
        match tls_error(cause) {
            Some(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)) => {
                return "its certificate has another fingerprint than the site's `tls` setting";
            }
            Some(rustls::Error::InvalidCertificate(_)) => {
                return "its certificate is not trusted by the site's `tls` setting";
            }
            Some(_) => return "the TLS handshake failed",
            None => {}
        }
    }
    "cannot connect"
}

/// The TLS error in a cause; I/O errors wrap it, one in another, and do not name it as their source.
fn tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = cause;
    while let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        cause = inner;
    }
    cause.downcast_ref()
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// A body that was not read to its end.
enum BodyFailure {
    TooLarge(usize),
    Broken(BodyError),
}

/// What broke a body off.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error(transparent)]
    Network(#[from] reqwest::Error),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl BodyError {
    fn is_timeout(&self) -> bool {
        match self {
            Self::Network(error) => error.is_timeout(),
            Self::Stream(error) => matches!(error, StreamError::AnswerTime),
        }
    }

    /// The address may hold a query; errors do not repeat it.
    fn bare(self) -> Self {
        match self {
            Self::Network(error) => Self::Network(bare(error)),
            stream => stream,
        }
    }
}

fn body_limit(status: reqwest::StatusCode) -> usize {
    if status == 200 { ANSWER_BYTES_MAX } else { REFUSAL_BYTES_MAX }
}

impl BodyFailure {
    fn of_answer(self, call: &Call, endpoint: &Endpoint) -> Failure {
        match self {
            Self::TooLarge(limit) => {
                let kind = ErrorKind::Decode { field: "body".to_owned() };
                let text = format!("the answer is larger than {limit} bytes");
                Failure::Refused(PveError::new(call, kind, &text).at(endpoint).with_status(200))
            }
            Self::Broken(error) => {
                let text = if error.is_timeout() { "the answer did not end in time" } else { "the answer broke off" };
                Failure::Lost(PveError::lost(call, text).at(endpoint).because(error.bare()))
            }
        }
    }
}

/// Where the parts of a body come from.
enum Parts<'a> {
    Network(&'a mut reqwest::Response),
    Stream(&'a mut Incoming, Instant),
}

impl Parts<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            Self::Network(response) => Ok(response.chunk().await?),
            Self::Stream(body, until) => Ok(chunk(body, *until).await?),
        }
    }
}

/// Reads a body part by part, up to its limit.
async fn read_body(announced: u64, limit: usize, mut parts: Parts<'_>) -> Result<Vec<u8>, BodyFailure> {
    if announced > limit as u64 {
        return Err(BodyFailure::TooLarge(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = parts.next().await.map_err(BodyFailure::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyFailure::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
