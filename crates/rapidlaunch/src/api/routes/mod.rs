//! The routes, one file a family of resources.

mod meta;
mod operations;

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::openapi;
use super::problem::{Code, Problem};

/// How long a request may take: looking at large sites takes a while, and nothing else takes long.
const REQUEST_LIMIT: Duration = Duration::from_secs(120);

/// Every route, with the document that describes them.
pub(super) fn router() -> (Router<Api>, String) {
    let routes = OpenApiRouter::with_openapi(openapi::base()).merge(meta::routes()).merge(operations::routes());
    let (router, document) = routes.split_for_parts();
    let document = openapi::finish(document);
    let text = document.to_pretty_json().unwrap_or_default();
    let fixed = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let router = router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(fixed("x-content-type-options", "nosniff"))
        .layer(fixed("referrer-policy", "no-referrer"))
        .layer(fixed("strict-transport-security", "max-age=31536000"))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")));
    (router, text)
}

async fn no_route() -> Problem {
    Problem::new(Code::NOT_FOUND, "there is nothing at this path").hint("`/openapi.json` lists what there is")
}

async fn no_method() -> Problem {
    Problem::new(Code::METHOD, "this path does not take that method").hint("`/openapi.json` lists what there is")
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Problem::new(Code::FAILED, "the request ended unexpectedly; nothing that was not answered may be relied on")
        .into_response()
}
