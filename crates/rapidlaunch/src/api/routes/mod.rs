//! The routes, one file a family of resources.

mod agents;
mod audit;
mod dns;
mod events;
mod firewall;
mod grants;
mod guests;
mod health;
mod leases;
mod meta;
mod oidc;
mod operations;
mod overview;
mod plans;
mod policy;
mod proofs;
mod quotas;
mod schedules;
mod search;
mod secrets;
mod session;
mod sessions;
mod sites;
mod stacks;
mod tokens;
mod users;
mod webhooks;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;

use super::Api;
use super::extract;
use super::limits;
use super::observe;
use super::openapi;
use super::page;
use super::problem::{Code, Problem};

/// Every route, with the document that describes them.
pub(super) fn router() -> (Router<Api>, String) {
    let routes = OpenApiRouter::with_openapi(openapi::base())
        .merge(meta::routes())
        .merge(health::routes())
        .merge(operations::routes())
        .merge(plans::routes())
        .merge(proofs::routes())
        .merge(overview::routes())
        .merge(search::routes())
        .merge(audit::routes())
        .merge(events::routes())
        .merge(guests::routes())
        .merge(sites::routes())
        .merge(stacks::routes())
        .merge(session::routes())
        .merge(sessions::routes())
        .merge(oidc::routes())
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(grants::routes())
        .merge(secrets::routes())
        .merge(leases::routes())
        .merge(dns::routes())
        .merge(firewall::routes())
        .merge(agents::routes())
        .merge(schedules::routes())
        .merge(quotas::routes())
        .merge(webhooks::routes());
    let (router, document) = routes.split_for_parts();
    let document = openapi::finish(document);
    let text = document.to_pretty_json().unwrap_or_default();
    (router.merge(page::routes()).fallback(no_route).method_not_allowed_fallback(no_method), text)
}

/// The routes with what holds for all of them: every answer has an id and is measured, also one that a limit refuses.
pub(super) fn guarded(router: Router<Api>, api: Api) -> Router {
    let fixed = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn(extract::gathered))
        .layer(axum::middleware::from_fn_with_state(Api::clone(&api), limits::limited))
        .layer(axum::middleware::from_fn(observe::request))
        .layer(fixed(crate::api::RELEASE, env!("CARGO_PKG_VERSION")))
        .layer(fixed("x-content-type-options", "nosniff"))
        .layer(fixed("referrer-policy", "no-referrer"))
        .layer(fixed("strict-transport-security", "max-age=31536000"))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .with_state(api)
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
