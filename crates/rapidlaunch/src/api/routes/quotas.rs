//! Quotas: what all stacks of one owner may have together.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rl_model::Right;
use rl_store::{Owner, QuotaRecord};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::audit;
use crate::api::etag::{IfMatch, etag};
use crate::api::extract::{At, Json, Page, PageQuery, Params, named};
use crate::api::problem::{Code, Problem};
use crate::shape::quota::{LimitsShape, QuotaShape};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show, set, remove))
}

async fn shape(api: &Api, record: &QuotaRecord) -> Result<QuotaShape, Problem> {
    Ok(QuotaShape::of(record, api.data.store.quota_use(&record.owner).await?))
}

async fn find(api: &Api, owner: &Owner) -> Result<QuotaRecord, Problem> {
    api.data.store.quota(owner).await?.ok_or_else(|| Problem::not_found("quota", owner))
}

/// Quotas by owner, with what is used of each.
#[utoipa::path(get, path = "/v1/quotas", tag = "quotas", params(PageQuery),
    responses((status = 200, description = "A page of quotas", body = Page<QuotaShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<QuotaShape>, Problem> {
    caller.need_root(Right::Admin)?;
    page.limit()?;
    let mut records = api.data.store.quotas().await?;
    records.sort_by(|a, b| a.owner.cmp(&b.owner));
    let Page { items: records, next } = page.cut(records, |record| record.owner.to_string())?;
    let mut items = Vec::new();
    for record in &records {
        items.push(shape(&api, record).await?);
    }
    Ok(Page { items, next })
}

/// The quota of an owner.
#[utoipa::path(get, path = "/v1/quotas/{owner}", tag = "quotas", params(("owner" = String, Path)),
    responses((status = 200, description = "The quota", body = QuotaShape, headers(("ETag" = String, description = "Its version")))))]
async fn show(State(api): State<Api>, caller: Caller, At(owner): At<String>) -> Result<Response, Problem> {
    caller.need_root(Right::Admin)?;
    let record = find(&api, &named("quota", &owner)?).await?;
    Ok((etag(record.version), axum::Json(shape(&api, &record).await?)).into_response())
}

/// Sets what the stacks of an owner may have together. What they have already stays, and may shrink.
#[utoipa::path(put, path = "/v1/quotas/{owner}", tag = "quotas", request_body = LimitsShape,
    params(("owner" = String, Path, description = "1 to 128 bytes without spaces and `/`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read, or `*` for any; needed where there is a quota")),
    responses((status = 200, description = "The quota", body = QuotaShape, headers(("ETag" = String, description = "Its version")))))]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    At(owner): At<String>,
    headers: HeaderMap,
    Json(body): Json<LimitsShape>,
) -> Result<Response, Problem> {
    caller.need_root(Right::Admin)?;
    let owner: Owner = named("quota", &owner)?;
    let limits = body.limits().map_err(|why| Problem::new(Code::INPUT, why))?;
    let before = api.data.store.quota(&owner).await?;
    let seen = match &before {
        Some(_) => IfMatch::of(&headers)?,
        None if headers.contains_key(axum::http::header::IF_MATCH) => IfMatch::of(&headers)?,
        None => Some(0),
    };
    let mut entry = audit(&caller, "quota.set", format!("/quotas/{owner}"), Some(json!(body)));
    entry.before = before.map(|before| json!(LimitsShape::from(before.limits)));
    let record = api.data.store.put_quota(&owner, limits, seen, entry.into()).await?;
    Ok((etag(record.version), axum::Json(shape(&api, &record).await?)).into_response())
}

/// Removes the quota of an owner: from now on nothing of theirs is limited.
#[utoipa::path(delete, path = "/v1/quotas/{owner}", tag = "quotas", params(("owner" = String, Path), IfMatch),
    responses((status = 204, description = "It is removed")))]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    At(owner): At<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.need_root(Right::Admin)?;
    let owner: Owner = named("quota", &owner)?;
    let seen = IfMatch::of(&headers)?;
    let before = find(&api, &owner).await?;
    let mut entry = audit(&caller, "quota.remove", format!("/quotas/{owner}"), None);
    entry.before = Some(json!(LimitsShape::from(before.limits)));
    match api.data.store.remove_quota(&owner, seen, entry.into()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("quota", owner)),
    }
}
