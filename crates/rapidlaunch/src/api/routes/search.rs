//! Search over everything that the caller may see.

use axum::extract::State;
use rl_model::{AccessPath, Right, Site};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{guests, operations};
use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::Params;
use crate::api::problem::{Code, Problem};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Most things that a search finds of each kind: a person types on.
const FOUND_MAX: usize = 20;
/// Longest text that is searched for.
const QUERY_CHARS_MAX: usize = 200;

/// What is searched for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// A part of a name, an address, a VMID or an id.
    #[param(max_length = 200)]
    q: String,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
struct Found {
    /// The things, sites first.
    items: Vec<Hit>,
}

/// A thing that was found.
#[derive(Debug, Serialize, ToSchema)]
struct Hit {
    /// `site`, `stack`, `guest` or `operation`.
    kind: &'static str,
    /// Its name.
    name: String,
    /// Its path in the API.
    path: String,
    /// A few words about it.
    text: String,
}

/// Searches sites, stacks, guests and operations.
#[utoipa::path(get, path = "/v1/search", tag = "overview", params(Query),
    responses((status = 200, description = "What was found", body = Found)))]
async fn search(
    State(api): State<Api>,
    caller: Caller,
    Params(Query { q }): Params<Query>,
) -> Result<axum::Json<Found>, Problem> {
    if q.chars().count() > QUERY_CHARS_MAX {
        return Err(Problem::new(Code::MALFORMED, format!("`q` has more than {QUERY_CHARS_MAX} characters")));
    }
    let q = q.to_lowercase();
    let mut items = Vec::new();
    let sites = api.data.sites().await?.into_iter();
    let sites = sites.filter(|site| caller.may(Right::Read, &[AccessPath::Site(site.name.clone())]));
    let site = |site: Site| Hit {
        kind: "site",
        path: format!("/v1/sites/{}", site.name),
        text: site.datacenter.as_ref().map(ToString::to_string).unwrap_or_default(),
        name: site.name.to_string(),
    };
    items.extend(sites.filter(|site| site.name.as_str().contains(&q)).take(FOUND_MAX).map(site));
    let stacks = api.data.store.stacks().await?.into_iter();
    let stacks = stacks.filter(|stack| caller.may(Right::Read, &[AccessPath::Stack(stack.name.clone())]));
    let stack = |stack: rl_store::StackRecord| Hit {
        kind: "stack",
        path: format!("/v1/stacks/{}", stack.name),
        text: stack.state.as_str().to_owned(),
        name: stack.name.to_string(),
    };
    items.extend(stacks.filter(|stack| stack.name.as_str().contains(&q)).take(FOUND_MAX).map(stack));
    let guests = guests::seen(&api, &caller).await?.into_iter();
    let fits = |guest: &crate::shape::guest::GuestShape| {
        let vmid = guest.vmid.to_string();
        let texts = [&guest.name, &guest.id, &vmid];
        texts.into_iter().chain(&guest.addresses).any(|text| text.contains(&q))
    };
    items.extend(guests.filter(fits).take(FOUND_MAX).map(|guest| Hit {
        kind: "guest",
        path: format!("/v1/guests/{}", guest.id),
        text: format!("{} on {}/{}, VMID {}, {}", guest.stack, guest.site, guest.node, guest.vmid, guest.state),
        name: guest.name,
    }));
    if let Ok(id) = q.to_ascii_uppercase().parse::<rl_engine::OperationId>()
        && let Some(record) = api.data.journal().operation(id).await?
        && caller.may(Right::Read, &operations::paths(&record.info.subject))
    {
        let path = format!("/v1/operations/{id}");
        items.push(Hit { kind: "operation", name: id.to_string(), path, text: record.info.summary });
    }
    Ok(axum::Json(Found { items }))
}
