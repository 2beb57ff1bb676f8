//! Grants: listed, given, taken back.

use reqwest::Method;
use rl_model::{Grant, GrantId, Grantee};
use rl_store::{GrantRecord, Granted};
use serde_json::{Value, json};

use super::Side;
use crate::env;
use crate::error::CommandError;
use crate::shape::access::{GivenShape, GrantShape};
use crate::work::accounts::{self, did, given_before, new_grant, unknown_grantee};
use crate::work::data::{Data, store_error};

/// Most grants that are listed: an installation has fewer.
const GRANTS_MAX: usize = 100_000;

impl Side {
    /// Grants by id.
    pub(crate) async fn grants(&self) -> Result<Vec<GivenShape>, CommandError> {
        match self {
            Self::Here(data) => {
                let part = async |after, limit| data.store.grants(after, limit).await;
                let grants = accounts::all(|grant: &GrantRecord| grant.id.clone(), part).await?;
                Ok(grants.iter().map(GivenShape::of).collect())
            }
            Self::There(remote) => Ok(remote.list("/v1/grants", GRANTS_MAX).await?),
        }
    }

    /// Gives a user or a group a role on a path.
    pub(crate) async fn give(&self, to: &Grantee, grant: &Grant) -> Result<GivenShape, CommandError> {
        match self {
            Self::Here(data) => give(data, to, grant).await,
            Self::There(remote) => {
                let GrantShape { role, path } = GrantShape::of(grant);
                let body = json!({ "to": to.to_string(), "role": role, "path": path });
                Ok(remote.post("/v1/grants", &body).await?)
            }
        }
    }

    /// Takes a grant back.
    pub(crate) async fn take_back(&self, id: &GrantId) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => {
                let deed = did("grant.remove", format!("/grants/{id}")).into();
                let removed = data.store.remove_grant(id, deed).await.map_err(store_error)?;
                removed.then_some(()).ok_or_else(|| unknown(id))
            }
            Self::There(remote) => {
                let path = format!("/v1/grants/{id}");
                let removed: Result<Value, _> = remote.send(Method::DELETE, &path, &json!({})).await;
                removed.map(drop).map_err(|error| if error.is_not_found() { unknown(id) } else { error.into() })
            }
        }
    }
}

async fn give(data: &Data, to: &Grantee, grant: &Grant) -> Result<GivenShape, CommandError> {
    let new = new_grant(to.clone(), grant.clone(), env::actor());
    let id = new.id.clone();
    let deed = did("grant.create", format!("/grants/{id}")).into();
    match data.store.add_grant(new, deed).await.map_err(store_error)? {
        Granted::Added => {}
        Granted::NoUser => return Err(unknown_grantee(to)),
        Granted::Before(id) => return Err(given_before(to, grant, &id)),
    }
    let given = data.store.grant(&id).await.map_err(store_error)?;
    given.as_ref().map(GivenShape::of).ok_or_else(|| unknown(&id))
}

fn unknown(id: &GrantId) -> CommandError {
    CommandError::input(format!("there is no grant {id}")).hinted("`rapidlaunch grant ls` lists them")
}
