//! One's own sessions: where one is signed in, and ending it there.

use axum::extract::State;
use axum::http::StatusCode;
use rl_store::{SessionRecord, session_id};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::audit;
use crate::api::extract::{At, Page, PageQuery, Params};
use crate::api::problem::Problem;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end))
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
struct OpenSession {
    /// What it is called where it is ended.
    id: String,
    /// Whether it is the one that asks.
    current: bool,
    /// How it began: `password` or `oidc`.
    way: String,
    /// From which address.
    remote: String,
    /// With which program, as it calls itself.
    agent: String,
    /// When it began.
    created_at_ms: u64,
    /// When it was used last, to the minute.
    seen_at_ms: u64,
    /// When it ends at the latest.
    expires_at_ms: u64,
}

/// One's own sessions, by id. Whoever comes with a token has none.
#[utoipa::path(get, path = "/v1/sessions", tag = "session", params(PageQuery),
    responses((status = 200, description = "A page of sessions", body = Page<OpenSession>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<OpenSession>, Problem> {
    let (Some(user), Some(own)) = (&caller.user, caller.session.as_ref().map(session_id)) else {
        return page.cut(Vec::new(), |session: &OpenSession| session.id.clone());
    };
    let show = |session: SessionRecord| OpenSession {
        current: session.id == own,
        id: session.id,
        way: session.way,
        remote: session.remote,
        agent: session.agent,
        created_at_ms: session.created_at.0,
        seen_at_ms: session.seen_at.0,
        expires_at_ms: session.expires_at.0,
    };
    let mut all: Vec<OpenSession> = api.gate.store().sessions(user).await?.into_iter().map(show).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    page.cut(all, |session| session.id.clone())
}

/// Ends one of one's own sessions.
#[utoipa::path(delete, path = "/v1/sessions/{id}", tag = "session", params(("id" = String, Path)),
    responses((status = 204, description = "The session has ended")))]
async fn end(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<StatusCode, Problem> {
    let in_person = caller.user.as_ref().filter(|user| caller.is_in_person(user));
    let Some(user) = in_person else { return Err(Problem::not_found("session", id)) };
    let deed = audit(&caller, "session.end", format!("/users/{user}"), None).into();
    match api.gate.changing(api.gate.store().end_session_of(user, &id, deed)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("session", id)),
    }
}
