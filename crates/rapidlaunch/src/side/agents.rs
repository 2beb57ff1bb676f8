//! Agents of nodes: listed, invited, revoked.

use reqwest::Method;
use rl_agent::Post;
use rl_agent::server::{JoinToken, Rolls};
use serde_json::{Value, json};

use super::Side;
use crate::env;
use crate::error::CommandError;
use crate::remote::encoded;
use crate::shape::agent::{AgentShape, JoinTokenShape};
use crate::work::accounts::did;
use crate::work::agents::{self, StoreRolls};
use crate::work::data::Data;

/// Most agents that are listed: an installation has fewer nodes.
const AGENTS_MAX: usize = 100_000;

impl Side {
    /// Agents by site and node.
    pub(crate) async fn agents(&self) -> Result<Vec<AgentShape>, CommandError> {
        match self {
            Self::Here(data) => Ok(agents::listed(data).await?.into_iter().map(AgentShape::of).collect()),
            Self::There(remote) => Ok(remote.list("/v1/agents", AGENTS_MAX).await?),
        }
    }

    /// Makes a one-time token with which the agent of a node joins.
    pub(crate) async fn join_token(&self, post: &Post, hours: u32) -> Result<JoinTokenShape, CommandError> {
        match self {
            Self::Here(data) => {
                let note = agents::note(data, &post.site).await?;
                let token = Some(token_here(data, post, hours).await?);
                let (site, node) = (post.site.to_string(), post.node.to_string());
                Ok(JoinTokenShape { site, node, hours, token, note })
            }
            Self::There(remote) => {
                let body = json!({ "site": post.site, "node": post.node, "hours": hours });
                Ok(remote.post("/v1/agents/tokens", &body).await?)
            }
        }
    }

    /// Revokes the agent of a node: its certificate is refused from now on.
    pub(crate) async fn revoke_agent(&self, post: &Post) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => match agents::revoke(data, post, did("", String::new())).await? {
                true => Ok(()),
                false => Err(unknown(post)),
            },
            Self::There(remote) => {
                let path = format!("/v1/agents/{}/{}", encoded(post.site.as_str()), encoded(post.node.as_str()));
                let revoked: Result<Value, _> = remote.send(Method::DELETE, &path, &json!({})).await;
                let missing = |error: crate::remote::RemoteError| {
                    if error.is_not_found() { unknown(post) } else { error.into() }
                };
                revoked.map(drop).map_err(missing)
            }
        }
    }
}

async fn token_here(data: &Data, post: &Post, hours: u32) -> Result<String, CommandError> {
    if data.is_looking() {
        return agents::relay(data).await?.token(post, hours, &env::actor()).await.map_err(agents::relay_error);
    }
    let authority = agents::authority(data)?;
    let token = JoinToken::generate(&authority.fingerprint(), &mut rl_agent::random());
    let rolls = StoreRolls(data.store.clone());
    let added = rolls.add_token(post, &token.id, &token.digest(), hours, &env::actor()).await;
    added.map_err(|error| CommandError::failed("the token cannot be stored").because(error))?;
    Ok(token.text().to_string())
}

fn unknown(post: &Post) -> CommandError {
    CommandError::input(format!("node {post} has no agent")).hinted("`rapidlaunch agent ls` lists them")
}
