//! What tells about the API itself.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::extract::At;
use crate::api::problem::Problem;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi)).routes(routes!(schema)).routes(routes!(error_page))
}

/// The description of the API.
#[utoipa::path(get, path = "/openapi.json", tag = "meta", security(()), responses((status = 200, description = "The OpenAPI document", body = Object)))]
async fn openapi(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document.to_string()).into_response()
}

/// The JSON Schema of stack and site files.
#[utoipa::path(get, path = "/v1/schema", tag = "meta", security(()), responses((status = 200, description = "A JSON Schema", body = Object)))]
async fn schema() -> axum::Json<serde_json::Value> {
    axum::Json(rl_planner::schema::schema())
}

/// Pages of the codes of problems and diagnostics.
#[derive(rust_embed::RustEmbed)]
#[folder = "../../docs/errors"]
struct Pages;

/// The page of a code.
#[utoipa::path(get, path = "/errors/{code}", tag = "meta", security(()), params(("code" = String, Path, description = "Such as RL0503")),
    responses((status = 200, description = "The page, as Markdown", body = String, content_type = "text/markdown")))]
async fn error_page(At(code): At<String>) -> Result<Response, Problem> {
    let page = Pages::get(&format!("{code}.md")).ok_or_else(|| Problem::not_found("page of code", &code))?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], page.data.into_owned()).into_response())
}
