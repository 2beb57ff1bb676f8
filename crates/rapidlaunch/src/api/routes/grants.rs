//! Grants: who has which role where. Administrators alone give them and take them back.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rl_model::{Grant, GrantId, Grantee, Right};
use rl_store::Granted;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Keyed, audit};
use crate::api::extract::{At, Page, PageQuery, Params, named, parsed};
use crate::api::problem::Problem;
use crate::shape::access::GivenShape;
use crate::work::{accounts, runner};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(remove))
}

/// Grants, by id.
#[utoipa::path(get, path = "/v1/grants", tag = "access", params(PageQuery),
    responses((status = 200, description = "A page of grants", body = Page<GivenShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<GivenShape>, Problem> {
    caller.need_root(Right::Admin)?;
    let (limit, after) = (page.limit()?, page.after()?);
    let grants = api.gate.store().grants(after, limit as u32 + 1).await?;
    Ok(Page::of(grants, limit, |grant| grant.id.to_string(), GivenShape::of))
}

/// A grant to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AddGrant {
    /// Who gets it: `user:NAME` or `group:NAME`.
    to: String,
    /// `viewer`, `operator`, `deployer`, `approver` or `admin`.
    role: String,
    /// `/`, `/sites`, `/sites/NAME`, `/stacks` or `/stacks/NAME`.
    path: String,
}

/// Gives a grant.
#[utoipa::path(post, path = "/v1/grants", tag = "access", request_body = AddGrant,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 201, description = "The grant", body = GivenShape)))]
async fn add(State(api): State<Api>, keyed: Keyed<AddGrant>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    asked.caller.need_root(Right::Admin)?;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let grantee: Grantee = parsed("to", &body.to)?;
    let grant = Grant::new(parsed("role", &body.role)?, parsed("path", &body.path)?);
    let new = accounts::new_grant(grantee.clone(), grant.clone(), asked.caller.name.clone());
    let id = new.id.clone();
    let shape = GivenShape::of(&new.record(runner::now()));
    let answer = Answer::new(StatusCode::CREATED, Some(format!("/v1/grants/{id}")), &shape)?;
    let deed = asked.deed("grant.create", format!("/grants/{id}"), None, &answer);
    let tried = api.gate.changing(api.gate.store().add_grant(new, deed)).await;
    match tried {
        Ok(Granted::Added) | Err(_) => asked.answered(&api, tried, answer).await,
        Ok(Granted::NoUser) => Err(accounts::unknown_grantee(&grantee).into()),
        Ok(Granted::Before(id)) => Err(Problem::conflict(accounts::given_before(&grantee, &grant, &id))),
    }
}

/// Takes a grant back.
#[utoipa::path(delete, path = "/v1/grants/{id}", tag = "access", params(("id" = String, Path)),
    responses((status = 204, description = "The grant is taken back")))]
async fn remove(State(api): State<Api>, caller: Caller, At(id): At<String>) -> Result<StatusCode, Problem> {
    caller.need_root(Right::Admin)?;
    let id: GrantId = named("grant", &id)?;
    let deed = audit(&caller, "grant.remove", format!("/grants/{id}"), None).into();
    if !api.gate.changing(api.gate.store().remove_grant(&id, deed)).await? {
        return Err(Problem::not_found("grant", id));
    }
    Ok(StatusCode::NO_CONTENT)
}
