//! The web page: built bytes of `ui/dist`, carried in the program. Views are in the URL's hash, so one document is enough.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::compression::CompressionLayer;

use super::Api;
use super::problem::Problem;

/// Nothing but what this server serves runs, is shown or is asked; no page of others may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The names of files stay the same from release to release, so a browser asks each time whether its copy is still good.
const CACHE: &str = "no-cache";

#[derive(rust_embed::RustEmbed)]
#[folder = "../../ui/dist"]
struct Files;

/// The names of the page's files; the document itself is also served at `/`.
pub(crate) fn files() -> impl Iterator<Item = String> {
    Files::iter().map(|name| if name == "index.html" { String::new() } else { name.into_owned() })
}

/// The routes of the page, compressed for whoever can read that.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { answer("index.html", &headers) }))
        .route("/icon.svg", get(|headers: HeaderMap| async move { answer("icon.svg", &headers) }))
        .route("/assets/{file}", get(asset))
        .layer(CompressionLayer::new())
}

async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    answer(&format!("assets/{file}"), &headers)
}

/// One file, or that the browser's copy is still good.
fn answer(name: &str, asked: &HeaderMap) -> Response {
    // Only names of the list: in debug builds the files are read from their folder, out of which `..` would lead.
    let listed = Files::iter().any(|known| known == name);
    let Some(file) = Files::get(name).filter(|_| listed) else {
        return Problem::not_found("file of the page", name).into_response();
    };
    let tag = tag(&file.metadata.sha256_hash());
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fixed = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHE)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ];
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == "*" || tag == one.trim())) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    (fixed, [(header::CONTENT_TYPE, content_type(name))], file.data.into_owned()).into_response()
}

/// A weak tag: the compressed and the plain bytes say the same (RFC 9110, 8.8.3).
fn tag(digest: &[u8; 32]) -> HeaderValue {
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("W/\"{hex}\"")).unwrap_or_else(|_| HeaderValue::from_static("W/\"0\""))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
