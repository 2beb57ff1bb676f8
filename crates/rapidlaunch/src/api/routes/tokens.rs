//! API tokens: made by people in person, for themselves or, by an administrator, for others. The text is shown once.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rl_engine::UnixMs;
use rl_model::{Grant, Right, TokenId, UserName};
use rl_store::{TokenAdded, TokenRecord};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Keyed, audit};
use crate::api::extract::{At, Page, PageQuery, Params, named, parsed};
use crate::api::problem::{Code, Problem};
use crate::shape::access::{GrantShape, MadeToken, TokenShape};
use crate::work::accounts::{self, WantedToken};
use crate::work::runner;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(revoke))
}

/// Whose tokens.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Only of this user.
    owner: Option<String>,
}

/// Tokens: one's own, or for administrators all.
#[utoipa::path(get, path = "/v1/tokens", tag = "access", params(Filter, PageQuery),
    responses((status = 200, description = "A page of tokens", body = Page<TokenShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(filter): Params<Filter>,
    Params(page): Params<PageQuery>,
) -> Result<Page<TokenShape>, Problem> {
    let wanted: Option<UserName> = filter.owner.as_deref().map(|owner| parsed("owner", owner)).transpose()?;
    let (limit, after) = (page.limit()?, page.after()?);
    let owner = match (caller.may_root(Right::Admin), wanted, &caller.user) {
        (true, wanted, _) => wanted,
        (false, None, Some(own)) => Some(own.clone()),
        (false, Some(wanted), Some(own)) if wanted == *own => Some(wanted),
        (false, _, _) => return Ok(Page { items: Vec::new(), next: None }),
    };
    let tokens = api.gate.store().tokens(owner, after, limit as u32 + 1).await?;
    let now = runner::now();
    Ok(Page::of(tokens, limit, |token| token.id.to_string(), |token| TokenShape::of(token, now)))
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddToken {
    /// What it is for.
    label: String,
    /// What it allows at most; never more than its owner may do.
    scopes: Vec<GrantShape>,
    /// Whose it is; oneself when left out.
    owner: Option<String>,
    /// When it ends; null for one that does not end by itself.
    expires_at_ms: Option<u64>,
}

/// Makes a token.
#[utoipa::path(post, path = "/v1/tokens", tag = "access", request_body = AddToken,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 201, description = "The token with its text, which is not shown again", body = MadeToken)))]
async fn add(State(api): State<Api>, keyed: Keyed<AddToken>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    let owner = owner(&asked.caller, body.owner.as_deref())?;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let (label, scopes) = (body.label, scopes(&body.scopes)?);
    let (expires_at, now) = (body.expires_at_ms.map(UnixMs), runner::now());
    let wanted = WantedToken { owner: owner.clone(), label, scopes, expires_at, actor: asked.caller.name.clone() };
    let (token, new) = wanted.made(now)?;
    let (shown, kept) = (MadeToken::shown(&new, &token, now), MadeToken::kept(&new, now));
    let location = format!("/v1/tokens/{}", token.id);
    let answer = Answer::new(StatusCode::CREATED, Some(location), &shown)?.keeping(&kept)?;
    let deed = asked.deed("token.create", format!("/tokens/{}", token.id), None, &answer);
    let tried = api.gate.store().add_token(new, deed).await;
    match tried {
        Ok(TokenAdded::Added) | Err(_) => asked.answered(&api, tried, answer).await,
        Ok(TokenAdded::NoUser) => Err(accounts::unknown_user(&owner).into()),
        Ok(TokenAdded::TooMany) => Err(Problem::conflict(accounts::too_many_tokens(&owner))),
    }
}

/// Revokes a token: it is nobody's at once.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 204, description = "The token is revoked")))]
async fn revoke(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<StatusCode, Problem> {
    let id: TokenId = named("token", &id)?;
    let record = find(&api, &id).await?;
    if caller.user.as_ref() != Some(&record.owner) && !caller.may_root(Right::Admin) {
        return Err(Problem::not_found("token", id));
    }
    let deed = audit(&caller, "token.revoke", format!("/tokens/{id}"), None).into();
    if !api.gate.changing(api.gate.store().revoke_token(&id, deed)).await? {
        return Err(Problem::conflict(accounts::revoked_before(&id)));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Whose token is made. A token makes none, unless it may administer everything: else it could make one that may more than itself.
fn owner(caller: &Caller, wanted: Option<&str>) -> Result<UserName, Problem> {
    let wanted: Option<UserName> = wanted.map(|owner| parsed("owner", owner)).transpose()?;
    let owner = wanted.or_else(|| caller.user.clone()).ok_or_else(|| {
        Problem::new(Code::INPUT, "`owner`: name the user whose token it is; whoever holds the data directory is none")
    })?;
    if !caller.is_in_person(&owner) {
        caller.need_root(Right::Admin)?;
    }
    Ok(owner)
}

fn scopes(given: &[GrantShape]) -> Result<Vec<Grant>, Problem> {
    given.iter().map(|scope| Ok(Grant::new(parsed("role", &scope.role)?, parsed("path", &scope.path)?))).collect()
}

async fn find(api: &Api, id: &TokenId) -> Result<TokenRecord, Problem> {
    api.gate.store().token(id).await?.ok_or_else(|| Problem::not_found("token", id))
}
