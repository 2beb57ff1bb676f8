//! Users: listed, added, shut out, removed. A password goes in, and never comes out.

use reqwest::Method;
use rl_model::{SecretValue, UserName};
use rl_store::{Changed, Deed, NewUser, USERS_MAX};
use serde_json::{Value, json};

use super::Side;
use crate::env;
use crate::error::CommandError;
use crate::remote::{Remote, RemoteError, encoded};
use crate::shape::access::UserShape;
use crate::work::accounts::{self, did, hashed, taken, unknown_user};
use crate::work::data::{Data, store_error};

impl Side {
    /// Users by name.
    pub(crate) async fn users(&self) -> Result<Vec<UserShape>, CommandError> {
        match self {
            Self::Here(data) => {
                let part = async |after, limit| data.store.users(after, limit).await;
                let users = accounts::all(|user: &rl_store::UserRecord| user.name.clone(), part).await?;
                Ok(users.iter().map(UserShape::of).collect())
            }
            Self::There(remote) => Ok(remote.list("/v1/users", USERS_MAX as usize).await?),
        }
    }

    /// A user, if there is one of this name.
    pub(crate) async fn user(&self, name: &UserName) -> Result<Option<UserShape>, CommandError> {
        match self {
            Self::Here(data) => Ok(data.store.user(name).await.map_err(store_error)?.as_ref().map(UserShape::of)),
            Self::There(remote) => Ok(remote.find(&path(name)).await?),
        }
    }

    /// Adds a user, who may do nothing before they have a grant.
    pub(crate) async fn add_user(
        &self,
        name: &UserName,
        password: Option<SecretValue>,
    ) -> Result<UserShape, CommandError> {
        match self {
            Self::Here(data) => add(data, name, password).await,
            Self::There(remote) => {
                let body = json!({ "name": name, "password": password.as_ref().map(SecretValue::expose) });
                Ok(remote.post("/v1/users", &body).await?)
            }
        }
    }

    /// Sets a user's password, which ends their sessions; answers their new version.
    pub(crate) async fn set_password(&self, name: &UserName, password: SecretValue) -> Result<u64, CommandError> {
        match self {
            Self::Here(data) => {
                let hash = hashed(password).await?;
                let changed = data.store.set_password(name, None, Some(hash), None, deed("user.password", name)).await;
                done(changed.map_err(store_error)?, name)
            }
            Self::There(remote) => change(remote, name, &json!({ "password": password.expose() })).await,
        }
    }

    /// Shuts a user out, which ends their sessions, or lets them in again; answers their new version.
    pub(crate) async fn shut_out(&self, name: &UserName, disabled: bool) -> Result<u64, CommandError> {
        match self {
            Self::Here(data) => {
                let action = if disabled { "user.disable" } else { "user.enable" };
                let changed = data.store.set_disabled(name, None, disabled, deed(action, name)).await;
                done(changed.map_err(store_error)?, name)
            }
            Self::There(remote) => change(remote, name, &json!({ "disabled": disabled })).await,
        }
    }

    /// Removes a user with all their tokens, grants and sessions.
    pub(crate) async fn remove_user(&self, name: &UserName) -> Result<(), CommandError> {
        match self {
            Self::Here(data) => {
                let removed = data.store.remove_user(name, None, deed("user.remove", name)).await;
                done(removed.map_err(store_error)?, name).map(drop)
            }
            Self::There(remote) => {
                let removed: Result<Value, _> = remote.send(Method::DELETE, &path(name), &json!({})).await;
                removed.map(drop).map_err(|error| missing(error, name))
            }
        }
    }
}

/// Has a server change a user; answers their new version.
async fn change(remote: &Remote, name: &UserName, body: &Value) -> Result<u64, CommandError> {
    let changed: Result<UserShape, _> = remote.send(Method::PATCH, &path(name), body).await;
    changed.map(|user| user.version).map_err(|error| missing(error, name))
}

async fn add(data: &Data, name: &UserName, password: Option<SecretValue>) -> Result<UserShape, CommandError> {
    let password = match password {
        Some(password) => Some(hashed(password).await?),
        None => None,
    };
    let new = NewUser { name: name.clone(), password, actor: env::actor() };
    if !data.store.add_user(new, deed("user.create", name)).await.map_err(store_error)? {
        return Err(taken(name));
    }
    let user = data.store.user(name).await.map_err(store_error)?.ok_or_else(|| unknown_user(name))?;
    Ok(UserShape::of(&user))
}

fn deed(action: &str, name: &UserName) -> Deed {
    did(action, format!("/users/{name}")).into()
}

/// The new version, or why there is none.
fn done(changed: Changed, name: &UserName) -> Result<u64, CommandError> {
    match changed {
        Changed::Done(version) => Ok(version),
        Changed::Gone => Err(unknown_user(name)),
        Changed::Moved(_) | Changed::Refused => {
            Err(CommandError::blocked(format!("user {name} was changed at the same moment")).hinted("try again"))
        }
    }
}

fn path(name: &UserName) -> String {
    format!("/v1/users/{}", encoded(name.as_str()))
}

fn missing(error: RemoteError, name: &UserName) -> CommandError {
    if error.is_not_found() { unknown_user(name) } else { error.into() }
}
