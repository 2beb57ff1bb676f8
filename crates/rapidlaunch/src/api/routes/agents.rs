//! Agents of nodes: which there are, invited and revoked.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use rl_agent::Post;
use rl_agent::server::JoinToken;
use rl_model::{AccessPath, NodeName, Right, SiteName};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::Api;
use crate::api::caller::Caller;
use crate::api::deeds::{Answer, Keyed, audit};
use crate::api::extract::{At, Page, PageQuery, Params, named, parsed};
use crate::api::problem::{Code, Problem};
use crate::shape::agent::{AgentShape, JoinTokenShape};
use crate::work::agents::{self, TOKEN_HOURS, TOKEN_HOURS_MAX};

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(invite)).routes(routes!(revoke))
}

/// The agents that the caller may see.
pub(super) async fn seen(api: &Api, caller: &Caller) -> Result<Vec<AgentShape>, Problem> {
    let mut all = agents::listed(&api.data).await?;
    all.retain(|(agent, _)| caller.may(Right::Read, &[AccessPath::Site(agent.site.clone())]));
    Ok(all.into_iter().map(AgentShape::of).collect())
}

/// Agents by site and node.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", params(PageQuery),
    responses((status = 200, description = "A page of agents", body = Page<AgentShape>)))]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(page): Params<PageQuery>,
) -> Result<Page<AgentShape>, Problem> {
    page.limit()?;
    page.cut(seen(&api, &caller).await?, |agent| format!("{}/{}", agent.site, agent.node))
}

/// A node whose agent shall join.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invitation {
    /// The site.
    site: String,
    /// The node.
    node: String,
    /// Hours until the token ends; 24 when left out.
    #[schema(minimum = 1, maximum = 720)]
    hours: Option<u32>,
}

/// Makes a one-time token with which the agent of a node joins.
#[utoipa::path(post, path = "/v1/agents/tokens", tag = "agents", request_body = Invitation,
    params(("Idempotency-Key" = Option<String>, Header, description = "Names the request; needed with an API token")),
    responses((status = 201, description = "The token, which is not shown again", body = JoinTokenShape)))]
async fn invite(State(api): State<Api>, keyed: Keyed<Invitation>) -> Result<Response, Problem> {
    let Keyed { body, asked } = keyed;
    if let Some(response) = asked.before(&api).await? {
        return Ok(response);
    }
    let site: SiteName = parsed("site", &body.site)?;
    let path = AccessPath::Site(site.clone());
    asked.caller.need(Right::Admin, std::slice::from_ref(&path), "site", site.as_str())?;
    let post = Post { site, node: parsed::<NodeName>("node", &body.node)? };
    let hours = body.hours.unwrap_or(TOKEN_HOURS);
    if !(1..=TOKEN_HOURS_MAX).contains(&hours) {
        return Err(Problem::new(Code::INPUT, format!("`hours` must be from 1 to {TOKEN_HOURS_MAX}")));
    }
    let note = agents::note(&api.data, &post.site).await?;
    let authority = agents::authority(&api.data)?;
    let token = JoinToken::generate(&authority.fingerprint(), &mut rl_agent::random());
    let (site, node) = (&body.site, &body.node);
    let shape = |token| JoinTokenShape { site: site.clone(), node: node.clone(), hours, token, note: note.clone() };
    let answer =
        Answer::new(StatusCode::CREATED, None, &shape(Some(token.text().to_string())))?.keeping(&shape(None))?;
    let new = agents::invitation(&post, token.id.clone(), token.digest(), hours, &asked.caller.name);
    let after = agents::invited(&post, hours);
    let deed = asked.deed("agent.invite", path.to_string(), Some(after), &answer);
    let tried = api.data.store.add_agent_token(new, Some(deed)).await;
    asked.answered(&api, tried, answer).await
}

/// Revokes the agent of a node: its certificate is refused from now on, and its connection ends.
#[utoipa::path(delete, path = "/v1/agents/{site}/{node}", tag = "agents", params(("site" = String, Path), ("node" = String, Path)),
    responses((status = 204, description = "The agent is revoked")))]
async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    At((site, node)): At<(String, String)>,
) -> Result<StatusCode, Problem> {
    let name = format!("{site}/{node}");
    let post = Post { site: named("agent", &site)?, node: named("agent", &node)? };
    let path = AccessPath::Site(post.site.clone());
    caller.need(Right::Admin, std::slice::from_ref(&path), "agent", &name)?;
    let deed = audit(&caller, "agent.revoke", path.to_string(), None);
    match agents::revoke(&api.data, &post, deed).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("agent", name)),
    }
}
