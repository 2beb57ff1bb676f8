//! One connection: requests one after another until somebody has had enough.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::http::wire::{Head, Wire};
use crate::http::{After, Request, Response, Service};

/// pveproxy hangs up after this much silence (AnyEvent.pm).
pub(crate) const IDLE: Duration = Duration::from_secs(5);
/// pveproxy closes a connection after this many requests (pveproxy.pm).
pub(crate) const REQUESTS_PER_CONNECTION: usize = 100;
/// pveproxy refuses larger bodies (since pve-http-server 5.2.1).
pub(crate) const MAX_BODY: usize = 512 * 1024;

/// Serves a connection until it ends or `stop` is called; then it is dropped without a word.
pub(crate) async fn serve<S>(stream: S, service: Arc<dyn Service>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut wire = Wire::new(stream);
    let talk = async {
        for served in 1..=REQUESTS_PER_CONNECTION {
            if !serve_one(&mut wire, service.as_ref(), served).await {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        () = talk => wire.close().await,
        () = stop.cancelled() => {}
    }
}

/// Serves one request and says whether the connection stays open.
async fn serve_one<S>(wire: &mut Wire<S>, service: &dyn Service, served: usize) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = match wire.head(IDLE).await {
        Head::Request(request) => request,
        Head::Bad => {
            let _ = wire.answer(&Response::plain(400, "bad request"), false, false).await;
            return false;
        }
        Head::Closed => return false,
    };
    let head_only = request.method == "HEAD";
    let wants_close = wants_close(&request);
    let response = match refuse_transfer(&request) {
        Some(refusal) => refusal,
        None => match service.admit(&request).await {
            Some(early) => early,
            None => match read_body(wire, &mut request).await {
                Ok(()) => service.handle(request).await,
                Err(response) => response,
            },
        },
    };
    if response.after == After::Drop {
        return false;
    }
    let keep = response.status < 400 && !wants_close && served < REQUESTS_PER_CONNECTION;
    wire.answer(&response, keep, head_only).await.is_ok() && keep
}

fn wants_close(request: &Request) -> bool {
    let old = request.header(":version") == Some("HTTP/1.0");
    match request.header("connection").map(str::to_ascii_lowercase) {
        Some(value) if value.contains("close") => true,
        Some(value) if value.contains("keep-alive") => false,
        _ => old,
    }
}

/// What is refused before anybody asks who is calling.
fn refuse_transfer(request: &Request) -> Option<Response> {
    if !matches!(request.method.as_str(), "GET" | "POST" | "PUT" | "DELETE") {
        return Some(Response::bare(501, &format!("method '{}' not available", request.method)));
    }
    let coding = request.header("transfer-encoding")?;
    let what = if coding.eq_ignore_ascii_case("chunked") { "chunked transfer encoding" } else { "transfer encoding" };
    Some(Response::plain(501, &format!("{what} not supported")))
}

async fn read_body<S>(wire: &mut Wire<S>, request: &mut Request) -> Result<(), Response>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length: usize = request.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    if length == 0 {
        return Ok(());
    }
    if !matches!(request.method.as_str(), "POST" | "PUT") {
        return Err(Response::plain(501, &format!("Unexpected content for method '{}'", request.method)));
    }
    let declared = request.header("content-type").map(str::to_owned);
    let plain = declared.as_deref().map(|t| t.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    if let (Some(declared), Some(plain)) = (&declared, &plain)
        && !matches!(plain.as_str(), "application/x-www-form-urlencoded" | "application/json")
    {
        return Err(Response::plain(506, &format!("upload 'Content-Type '{declared}' not implemented")));
    }
    if length > MAX_BODY {
        return Err(Response::plain(501, "for data too large"));
    }
    request.body = wire.body(length, IDLE).await.ok_or_else(Response::hang_up)?;
    Ok(())
}
