//! Whether the server lives, whether it is ready, and its figures.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rl_model::Right;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::{Caller, Remote};
use crate::api::problem::Problem;
use crate::telemetry::Health;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(figures))
}

/// Whether the process lives and answers.
#[utoipa::path(get, path = "/healthz", tag = "meta", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
async fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "ok\n").into_response()
}

/// Whether the server can do its work: the store answers, the engine has taken up its work, the sites were read.
#[utoipa::path(get, path = "/readyz", tag = "meta", security(()), responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "It cannot, with the check that failed", body = Health)))]
async fn readyz(State(api): State<Api>) -> Response {
    let health = api.telemetry.health().await;
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(health)).into_response()
}

/// Who may read figures: whoever asks from this machine, and callers who may read everything.
struct Reader;

impl FromRequestParts<Api> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        if parts.extensions.get::<Remote>().is_some_and(|remote| remote.0.is_loopback()) {
            return Ok(Self);
        }
        Caller::from_request_parts(parts, api).await?.need_root(Right::Read).map(|()| Self)
    }
}

/// Figures in the text format of Prometheus, for callers on this machine or with the right to read everything.
#[utoipa::path(get, path = "/metrics", tag = "meta", security((), ("token" = [])),
    responses((status = 200, description = "The figures", body = String, content_type = "text/plain")))]
async fn figures(State(api): State<Api>, _: Reader) -> Response {
    let text = api.telemetry.render().await;
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
