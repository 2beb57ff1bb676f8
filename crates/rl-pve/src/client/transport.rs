//! One try of one call at one endpoint, with what is known about a failure.

use std::error::Error as StdError;
use std::time::Duration;

use hyper::ext::ReasonPhrase;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use rl_model::Endpoint;

use super::connection::{ConnectError, SiteConnection};
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

/// How a try failed.
pub(super) enum Failure {
    /// Nothing was sent.
    NotSent(PveError),
    /// It was sent, and no whole answer came back.
    Lost(PveError),
    /// Proxmox answered.
    Refused(PveError),
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
    http: &reqwest::Client,
    endpoint: &Endpoint,
    call: &Call,
    headers: HeaderMap,
    limit: Duration,
) -> Result<Vec<u8>, Failure> {
    let request = build(http, endpoint, call, headers, limit).map_err(Failure::NotSent)?;
    let mut response = http.execute(request).await.map_err(|error| sending(call, endpoint, error))?;
    let status = response.status().as_u16();
    let reason = response.extensions().get::<ReasonPhrase>().map(|reason| reason.as_bytes().to_vec());
    let limit = if status == 200 { ANSWER_BYTES_MAX } else { REFUSAL_BYTES_MAX };
    let body = read_body(&mut response, limit).await;
    if status == 200 {
        return body.map_err(|failure| failure.of_answer(call, endpoint));
    }
    let canonical = response.status().canonical_reason().unwrap_or("no reason given");
    let reason = reason.map_or_else(|| canonical.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
    let body = body.unwrap_or_default();
    let (kind, text) = classify(&Refusal { status, reason: &reason, body: &body }, call.safety == Safety::Read);
    let proxied = (595..=599).contains(&status) || status == 502 || status == 504;
    let error = PveError::new(call, kind, &text).at(endpoint).with_status(status);
    Err(if proxied { Failure::Lost(error) } else { Failure::Refused(error) })
}

fn build(
    http: &reqwest::Client,
    endpoint: &Endpoint,
    call: &Call,
    headers: HeaderMap,
    limit: Duration,
) -> Result<reqwest::Request, PveError> {
    let form = call.form.expose();
    if form.len() > REQUEST_BYTES_MAX {
        let text = format!("{} bytes, and Proxmox takes {REQUEST_BYTES_MAX}", form.len());
        return Err(PveError::new(call, ErrorKind::RequestTooLarge, &text));
    }
    let mut url = format!("{endpoint}/api2/json{}", call.path);
    let method = match call.method {
        crate::Method::Get => reqwest::Method::GET,
        crate::Method::Post => reqwest::Method::POST,
        crate::Method::Put => reqwest::Method::PUT,
        crate::Method::Delete => reqwest::Method::DELETE,
    };
    let mut builder = if call.method.has_body() {
        // The length is always known: pveproxy refuses chunked bodies.
        http.request(method, url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
            .header(CONTENT_LENGTH, form.len())
            .body(form.to_owned())
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
    Broken(reqwest::Error),
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
                Failure::Lost(PveError::lost(call, text).at(endpoint).because(bare(error)))
            }
        }
    }
}

async fn read_body(response: &mut reqwest::Response, limit: usize) -> Result<Vec<u8>, BodyFailure> {
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(BodyFailure::TooLarge(limit));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyFailure::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyFailure::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
