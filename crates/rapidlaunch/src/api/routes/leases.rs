//! Leases: VMIDs, MACs and addresses that guests hold, and those in quarantine after they were given back.

use axum::extract::State;
use rl_model::{AccessPath, Right, SiteName};
use rl_store::{LeaseKey, LeaseRecord};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::{Page, PageQuery, Params, parsed};
use crate::api::problem::{Code, Problem};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A lease.
#[derive(Debug, Serialize, ToSchema)]
struct LeaseShape {
    /// The site.
    site: String,
    /// `vmid`, `mac` or `address`.
    kind: String,
    /// The value.
    value: String,
    /// `held`, or `quarantined`: given back, and not given to another guest before `until_ms`.
    state: &'static str,
    /// The id of the guest that holds it, or held it last.
    guest_id: String,
    /// Its stack; null where it is known no more.
    stack: Option<String>,
    /// Its name.
    guest: Option<String>,
    /// The NIC.
    nic: Option<String>,
    /// When its quarantine ends; null while it is held.
    until_ms: Option<u64>,
}

impl LeaseShape {
    fn of(lease: &LeaseRecord) -> Self {
        Self {
            site: lease.site.to_string(),
            kind: lease.kind.as_str().to_owned(),
            value: lease.value.clone(),
            state: if lease.until.is_none() { "held" } else { "quarantined" },
            guest_id: lease.guest.to_string(),
            stack: lease.name.as_ref().map(|(stack, _)| stack.to_string()),
            guest: lease.name.as_ref().map(|(_, name)| name.to_string()),
            nic: lease.nic.as_ref().map(ToString::to_string),
            until_ms: lease.until.map(|at| at.0),
        }
    }
}

fn paths(lease: &LeaseRecord) -> Vec<AccessPath> {
    let stack = lease.name.as_ref().map(|(stack, _)| AccessPath::Stack(stack.clone()));
    stack.into_iter().chain([AccessPath::Site(lease.site.clone())]).collect()
}

/// Which leases.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only on this site.
    site: Option<String>,
}

/// A cursor: `SITE/KIND/VALUE`, none of which has a `/` in it.
fn key(text: &str) -> Option<LeaseKey> {
    let mut parts = text.splitn(3, '/');
    let site = parts.next()?.parse().ok()?;
    Some((site, parts.next()?.parse().ok()?, parts.next()?.to_owned()))
}

fn cursor((site, kind, value): LeaseKey) -> String {
    format!("{site}/{}/{value}", kind.as_str())
}

/// Leases by site, kind and value.
#[utoipa::path(get, path = "/v1/leases", tag = "sites", params(Filter, PageQuery),
    responses((status = 200, description = "A page of leases", body = Page<LeaseShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> Result<Page<LeaseShape>, Problem> {
    let limit = page.limit()?;
    let site: Option<SiteName> = filter.site.as_deref().map(|site| parsed("site", site)).transpose()?;
    let wrong = || Problem::new(Code::MALFORMED, "`cursor` is none");
    let mut after = page.cursor.as_deref().map(|text| key(text).ok_or_else(wrong)).transpose()?;
    let mut items = Vec::new();
    loop {
        let leases = api.data.store.held(site.as_ref(), after.clone(), limit + 1).await?;
        let last = leases.len() <= limit;
        for lease in &leases {
            if items.len() == limit {
                return Ok(Page { items, next: after.map(cursor) });
            }
            after = Some(lease.key());
            if caller.may(Right::Read, &paths(lease)) {
                items.push(LeaseShape::of(lease));
            }
        }
        if last {
            return Ok(Page { items, next: None });
        }
    }
}
