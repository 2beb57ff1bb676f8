//! `/access`: who the caller is and what the caller may do.

use std::collections::BTreeMap;

use rl_model::SecretValue;
use serde::Deserialize;

use crate::Request;
use crate::wire::{PveBool, PveInt, PveText};

/// What the caller may do: path, privilege, whether it holds below the path too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Permissions(pub BTreeMap<String, BTreeMap<String, PveBool>>);

/// `GET /access/permissions`: the caller's own privileges, on every path that has an entry.
pub fn permissions() -> Request<Permissions> {
    Request::get("/access/permissions")
}

/// `GET /access/permissions?path=`: the caller's privileges on one path, inherited ones included.
pub fn permissions_on(path: &str) -> Request<Permissions> {
    Request::get("/access/permissions").param("path", path)
}

/// What is known about an API token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TokenInfo {
    /// Remark.
    pub comment: Option<PveText>,
    /// End of its life in seconds of Unix time; 0 for never.
    pub expire: Option<PveInt>,
    /// Whether its privileges are cut down by entries of its own; so it is when Proxmox does not say.
    pub privsep: Option<PveBool>,
}

/// `GET /access/users/{userid}/token/{tokenid}`: a user, or a token with `User.Modify`, may read it.
pub fn token_info(user: &str, token: &str) -> Request<TokenInfo> {
    Request::get("/access/users/{userid}/token/{tokenid}").arg("userid", user).arg("tokenid", token)
}

/// What is known about a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// Whether the account is switched on; so it is when Proxmox does not say.
    pub enable: Option<PveBool>,
    /// End of its life in seconds of Unix time; 0 for never.
    pub expire: Option<PveInt>,
    /// Remark.
    pub comment: Option<PveText>,
}

/// `GET /access/users/{userid}`.
pub fn user_info(user: &str) -> Request<UserInfo> {
    Request::get("/access/users/{userid}").arg("userid", user)
}

/// A ticket: proves a user for two hours.
#[derive(Clone, Deserialize)]
pub struct Ticket {
    /// `user@realm`.
    pub username: String,
    ticket: Option<String>,
    #[serde(rename = "CSRFPreventionToken")]
    csrf: Option<String>,
    #[serde(rename = "NeedTFA", default)]
    need_tfa: Option<PveBool>,
}

impl Ticket {
    /// The ticket and the token that writes must carry beside it; `None` when Proxmox wants a second factor first.
    pub fn into_secrets(self) -> Option<(SecretValue, SecretValue)> {
        if self.need_tfa.is_some_and(|need| need.0) {
            return None;
        }
        Some((SecretValue::new(self.ticket?), SecretValue::new(self.csrf?)))
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("username", &self.username).finish_non_exhaustive()
    }
}

/// `POST /access/ticket`: logs in; the password may be a ticket that is still valid.
pub fn login(user: &str, password: SecretValue) -> Request<Ticket> {
    Request::post("/access/ticket").param("username", user).secret("password", password).repeatable()
}
