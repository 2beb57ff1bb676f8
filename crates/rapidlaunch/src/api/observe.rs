//! Every request is given an id, measured, traced and logged: by its route, never by what a stranger writes into it.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use ulid::Ulid;

use super::caller::Remote;
use crate::telemetry::{names, traces};

/// The header with the id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What requests are counted under that match no route.
const UNMATCHED: &str = "unmatched";

tokio::task_local! {
    static ID: String;
}

/// The id of the request that is answered here.
pub(super) fn id() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// A method as it is told: strangers may send any word.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Answers a request under an id of its own.
pub(super) async fn request(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = Ulid::generate().to_string();
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    let method = method(request.method());
    let span = span(&request, &id, &route, method);
    let mut response = ID.scope(id.clone(), next.run(request).instrument(span.clone())).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.record("status", status);
    let operation = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
    if let Some(operation) = operation.and_then(|place| place.strip_prefix("/v1/operations/")) {
        span.record("operation", operation);
    }
    span.in_scope(|| tracing::info!(took_ms = took.as_secs_f64() * 1000.0, "answered"));
    metrics::histogram!(names::HTTP_SECONDS, "route" => route.clone(), "method" => method).record(took);
    metrics::counter!(names::HTTP, "route" => route, "method" => method, "status" => status.to_string()).increment(1);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn span(request: &Request, id: &str, route: &str, method: &'static str) -> Span {
    let remote = request.extensions().get::<Remote>().map(|remote| remote.0.to_string());
    let span = tracing::info_span!(
        target: "rapidlaunch::telemetry",
        "request",
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
        request = id,
        route,
        method,
        remote,
        status = Empty,
        operation = Empty,
    );
    let carried = request.headers().get(traces::CARRIER).and_then(|text| traces::carried(text.to_str().ok()?));
    if let Some(context) = carried.filter(|_| !span.is_disabled()) {
        // Fails where no traces are sent, which is as well.
        let _ = span.set_parent(context);
    }
    span
}
