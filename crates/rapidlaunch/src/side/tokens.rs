//! API tokens: listed, made, revoked. The text of a new one is answered once.

use reqwest::Method;
use rl_engine::UnixMs;
use rl_model::{TokenId, UserName};
use rl_store::{TokenAdded, TokenRecord};
use serde_json::{Value, json};

use super::Side;
use crate::error::CommandError;
use crate::remote::{RemoteError, encoded};
use crate::shape::access::{GrantShape, MadeToken, TokenShape};
use crate::work::accounts::{self, WantedToken, did, revoked_before, too_many_tokens, unknown_user};
use crate::work::data::{Data, store_error};
use crate::work::runner;

/// Most tokens that are listed: an installation has fewer.
const TOKENS_MAX: usize = 100_000;

impl Side {
    /// Tokens by id, of one user or of all.
    pub(crate) async fn tokens(&self, owner: Option<&UserName>) -> Result<Vec<TokenShape>, CommandError> {
        match self {
            Self::Here(data) => {
                let part = async |after, limit| data.store.tokens(owner.cloned(), after, limit).await;
                let tokens = accounts::all(|token: &TokenRecord| token.id.clone(), part).await?;
                let now = runner::now();
                Ok(tokens.iter().map(|token| TokenShape::of(token, now)).collect())
            }
            Self::There(remote) => {
                let filter = owner.map(|owner| format!("?owner={}", encoded(owner.as_str()))).unwrap_or_default();
                Ok(remote.list(&format!("/v1/tokens{filter}"), TOKENS_MAX).await?)
            }
        }
    }

    /// Makes a token for a user.
    pub(crate) async fn add_token(&self, wanted: WantedToken) -> Result<MadeToken, CommandError> {
        let made = match self {
            Self::Here(data) => add(data, wanted).await?,
            Self::There(remote) => {
                let WantedToken { owner, label, scopes, expires_at, .. } = &wanted;
                let scopes: Vec<GrantShape> = scopes.iter().map(GrantShape::of).collect();
                let ends = expires_at.map(|UnixMs(at)| at);
                let body = json!({ "owner": owner.as_str(), "label": label, "scopes": scopes, "expires_at_ms": ends });
                remote.post::<MadeToken>("/v1/tokens", &body).await?
            }
        };
        if made.text().is_none() {
            let text = format!("token {} was made, and the answer with its text was lost", made.id());
            return Err(CommandError::failed(text)
                .hinted(format!("revoke it with `rapidlaunch token rm {}`, and make another", made.id())));
        }
        Ok(made)
    }

    /// Revokes a token.
    pub(crate) async fn revoke_token(&self, id: &TokenId) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => {
                data.store.token(id).await.map_err(store_error)?.ok_or_else(|| unknown(id))?;
                let deed = did("token.revoke", format!("/tokens/{id}")).into();
                let revoked = data.store.revoke_token(id, deed).await.map_err(store_error)?;
                revoked.then_some(()).ok_or_else(|| revoked_before(id))
            }
            Self::There(remote) => {
                let path = format!("/v1/tokens/{id}");
                let revoked: Result<Value, RemoteError> = remote.send(Method::DELETE, &path, &json!({})).await;
                revoked.map(drop).map_err(|error| if error.is_not_found() { unknown(id) } else { error.into() })
            }
        }
    }
}

async fn add(data: &Data, wanted: WantedToken) -> Result<MadeToken, CommandError> {
    let (now, owner) = (runner::now(), wanted.owner.clone());
    let (token, new) = wanted.made(now)?;
    let made = MadeToken::shown(&new, &token, now);
    let deed = did("token.create", format!("/tokens/{}", token.id)).into();
    match data.store.add_token(new, deed).await.map_err(store_error)? {
        TokenAdded::Added => Ok(made),
        TokenAdded::NoUser => Err(unknown_user(&owner)),
        TokenAdded::TooMany => Err(too_many_tokens(&owner)),
    }
}

fn unknown(id: &TokenId) -> CommandError {
    CommandError::input(format!("there is no token {id}")).hinted("`rapidlaunch token ls` lists them")
}
