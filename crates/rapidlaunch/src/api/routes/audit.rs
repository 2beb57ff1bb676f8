//! The audit: who did what, from where; for whoever administers everything.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use rl_model::Right;
use rl_store::{AuditHash, AuditQuery, Store};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::extract::{Given, Page, PageQuery, Params, parsed};
use crate::api::problem::{Code, Problem};
use crate::shape::audit::{AuditShape, VerdictShape};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(export)).routes(routes!(verify))
}

/// Entries read at once for an export.
const EXPORT_PAGE: usize = 1_000;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only what this person did.
    actor: Option<String>,
    /// Only this action, or every action of a kind: `plan` finds `plan.create`.
    action: Option<String>,
    /// Only this path and those below it.
    path: Option<String>,
}

/// Entries, newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(Filter, PageQuery),
    responses((status = 200, description = "A page of entries", body = Page<AuditShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> Result<Page<AuditShape>, Problem> {
    caller.need_root(Right::Admin)?;
    let before = match page.cursor.as_deref() {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::new(Code::MALFORMED, "`cursor` is none"))?),
    };
    let Filter { actor, action, path } = filter;
    let query = AuditQuery { after: None, before, actor, action, path, limit: page.limit()? };
    let found = api.data.store.audit_page(query).await?;
    let items = found.items.into_iter().map(AuditShape::of).collect();
    Ok(Page { items, next: found.next.map(|next| next.to_string()) })
}

/// Every entry as JSON lines, oldest first.
#[utoipa::path(get, path = "/v1/audit/export", tag = "audit",
    responses((status = 200, description = "One entry a line", body = String, content_type = "application/x-ndjson")))]
async fn export(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    caller.need_root(Right::Admin)?;
    let store = api.data.store.clone();
    let pages = futures::stream::unfold(Some(0), move |after| {
        let store = store.clone();
        async move { page_of(&store, after?).await }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(pages)).into_response())
}

type Next = Option<u64>;

/// A page of the export, with where the next begins. An error breaks the answer off, so that nobody takes it for whole.
async fn page_of(store: &Store, after: u64) -> Option<(Result<Bytes, rl_store::StoreError>, Next)> {
    let query = AuditQuery { after: Some(after), limit: EXPORT_PAGE, ..AuditQuery::default() };
    let page = match store.audit_page(query).await {
        Ok(page) => page,
        Err(error) => return Some((Err(error), None)),
    };
    let last = page.items.last().map(|record| record.seq);
    let text = AuditShape::lines(page.items);
    let next = page.next.or(last).filter(|next| *next > after);
    (!text.is_empty()).then(|| (Ok(text.into()), next))
}

/// What the chain is compared with.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct VerifyBody {
    /// A hash that was kept elsewhere: it must still be there, or something was cut off.
    head: Option<String>,
}

/// Checks every link of the chain.
#[utoipa::path(post, path = "/v1/audit/verify", tag = "audit", request_body = Option<VerifyBody>,
    responses((status = 200, description = "What was found", body = VerdictShape)))]
async fn verify(
    State(api): State<Api>,
    caller: Caller,
    Given(body): Given<VerifyBody>,
) -> Result<axum::Json<VerdictShape>, Problem> {
    caller.need_root(Right::Admin)?;
    let kept: Option<AuditHash> = body.head.as_deref().map(|head| parsed("head", head)).transpose()?;
    let verdict = api.data.store.verify_audit(kept).await?;
    Ok(axum::Json(VerdictShape::of(verdict)))
}
