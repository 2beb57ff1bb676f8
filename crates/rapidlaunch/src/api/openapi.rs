//! The OpenAPI document: made from the routes, with what holds for all of them added in one place.

use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, ResponseBuilder};

use super::problem::{Code, ProblemBody};

/// The parts of the document that are no route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "RapidLaunch",
        description = "Launches and looks after containers on Proxmox VE. Times are Unix milliseconds. Long work answers 202 with an operation. Problems follow RFC 9457, each with a code that has a page.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(ProblemBody)),
    security(("token" = []), ("session" = []))
)]
struct Base;

/// The document before any route.
pub(super) fn base() -> Document {
    Base::openapi()
}

/// Statuses that every route may answer with a problem.
const ANYWHERE: [u16; 15] = [400, 401, 403, 404, 405, 408, 413, 414, 415, 422, 429, 431, 500, 503, 504];

/// Adds what holds for every route: problems, and how callers say who they are.
pub(super) fn finish(mut document: Document) -> Document {
    let components = document.components.get_or_insert_default();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API token")).build();
    components.security_schemes.insert("token".to_owned(), RefOr::T(SecurityScheme::Http(token)));
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "__Host-rapidlaunch",
        "The cookie of a session; requests that change something also send `X-CSRF-Token`",
    ));
    components.security_schemes.insert("session".to_owned(), RefOr::T(SecurityScheme::ApiKey(cookie)));
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
    for status in statuses() {
        let titles: Vec<&str> =
            Code::ALL.iter().filter(|code| code.status.as_u16() == status).map(|code| code.title).collect();
        let title = if titles.is_empty() { "A problem".to_owned() } else { titles.join("; ") };
        let response =
            ResponseBuilder::new().description(title).content("application/problem+json", content.clone()).build();
        components.responses.insert(format!("Problem{status}"), RefOr::T(response));
    }
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            for status in statuses() {
                let known = &mut operation.responses.responses;
                let reference = RefOr::Ref(Ref::new(format!("#/components/responses/Problem{status}")));
                known.entry(status.to_string()).or_insert(reference);
            }
        }
    }
    document
}

/// Every status of a problem.
fn statuses() -> std::collections::BTreeSet<u16> {
    Code::ALL.iter().map(|code| code.status.as_u16()).chain(ANYWHERE).collect()
}
