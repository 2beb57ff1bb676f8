//! Who asks: found out at the door, before anything else of a request is looked at.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use rl_model::{Access, AccessPath, Right, UserName};
use rl_store::Digest;

use super::Api;
use super::problem::{Code, Problem};
use crate::access::{Bearer, NewSecret, Via};

/// Name of the session's cookie. The prefix makes browsers refuse it from anywhere but this host, over HTTPS.
pub(crate) const COOKIE: &str = "__Host-rapidlaunch";
/// The field that every change by a session must have.
pub(crate) const CSRF: &str = "x-csrf-token";

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote(pub(crate) IpAddr);

/// Who asks, and what they may.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The user, as audits and operations name them.
    pub(crate) name: String,
    /// By what they came in: `local`, `session` or `token:ID`.
    pub(crate) via: String,
    /// Their address.
    pub(crate) remote: IpAddr,
    /// What they may do.
    pub(crate) access: Access,
    /// The user they are; none for whoever holds the data directory.
    pub(crate) user: Option<UserName>,
    /// The session they came with, if it was one.
    pub(crate) session: Option<Digest>,
}

impl Caller {
    fn of(bearer: &Bearer, remote: IpAddr) -> Self {
        let (via, session) = match &bearer.via {
            Via::Token(id) => (format!("token:{id}"), None),
            Via::Session { digest, .. } => ("session".to_owned(), Some(digest.clone())),
        };
        let (name, access) = (bearer.user.to_string(), bearer.access.clone());
        Self { name, via, remote, access, user: Some(bearer.user.clone()), session }
    }

    /// Whoever sends a request with these fields.
    pub(crate) async fn of_headers(
        api: &Api,
        method: &Method,
        headers: &HeaderMap,
        remote: IpAddr,
    ) -> Result<Self, Problem> {
        if headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(headers).ok_or_else(|| {
                Problem::new(Code::UNAUTHENTICATED, "the field `Authorization` is not understood")
                    .hint("send `Authorization: Bearer TOKEN`")
            })?;
            return by_token(api, token, remote).await;
        }
        let Some(cookie) = cookie(headers) else {
            return Err(Problem::new(Code::UNAUTHENTICATED, "the request names nobody")
                .hint("send `Authorization: Bearer TOKEN`, or sign in"));
        };
        let bearer = api
            .gate
            .by_cookie(cookie.expose())
            .await?
            .ok_or_else(|| Problem::new(Code::UNAUTHENTICATED, "the session has ended").hint("sign in again"))?;
        let shown = headers.get(CSRF).and_then(|value| value.to_str().ok());
        if changes(method) && !bearer.takes_csrf(shown) {
            return Err(Problem::new(Code::CSRF, "the session's cookie alone changes nothing")
                .hint("send `X-CSRF-Token` with the text `csrf` of GET /v1/session"));
        }
        Ok(Self::of(&bearer, remote))
    }

    /// Whether this user asks in a session of their own: a token never stands for the person.
    pub(crate) fn is_in_person(&self, user: &UserName) -> bool {
        self.session.is_some() && self.user.as_ref() == Some(user)
    }

    /// Whether it is whoever may read the data directory.
    pub(crate) fn is_local(&self) -> bool {
        self.via == "local"
    }

    /// Whether a thing under these paths may be dealt with in this way.
    pub(crate) fn may(&self, right: Right, paths: &[AccessPath]) -> bool {
        self.access.may(right, paths)
    }

    /// Whether a right is held on everything.
    pub(crate) fn may_root(&self, right: Right) -> bool {
        self.may(right, &[AccessPath::Root])
    }

    /// Refuses what may not be done. What may not even be seen is not found.
    pub(crate) fn need(&self, right: Right, paths: &[AccessPath], what: &str, name: &str) -> Result<(), Problem> {
        if self.may(right, paths) {
            return Ok(());
        }
        tracing::info!(caller = self.name, via = self.via, remote = %self.remote, %right, what, name, "refused");
        if right == Right::Read || !self.may(Right::Read, paths) {
            return Err(Problem::not_found(what, name));
        }
        let place = paths.first().map_or_else(|| "/".to_owned(), ToString::to_string);
        Err(Problem::new(Code::FORBIDDEN, format!("{} may not {right} on {place}", self.name))
            .hint(format!("a grant of a role with the right `{right}` on {place} is needed")))
    }

    /// Refuses whoever has not the right on everything.
    pub(crate) fn need_root(&self, right: Right) -> Result<(), Problem> {
        if self.may_root(right) {
            return Ok(());
        }
        Err(Problem::new(Code::FORBIDDEN, format!("{} may not {right} on /", self.name))
            .hint(format!("a grant of a role with the right `{right}` on / is needed")))
    }

    /// Refuses whoever has the right nowhere at all.
    pub(crate) fn need_somewhere(&self, right: Right) -> Result<(), Problem> {
        if self.access.may_somewhere(right) {
            return Ok(());
        }
        Err(Problem::new(Code::FORBIDDEN, format!("{} may not {right} anywhere", self.name)))
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Self::of_headers(api, &parts.method, &parts.headers, remote(parts)).await
    }
}

async fn by_token(api: &Api, token: &str, remote: IpAddr) -> Result<Caller, Problem> {
    if api.local.opens(token) {
        return Ok(api.local.caller(remote));
    }
    match api.gate.by_token(token).await? {
        Some(bearer) => Ok(Caller::of(&bearer, remote)),
        None => Err(Problem::new(Code::UNAUTHENTICATED, "the token is not known, has ended, or was revoked")),
    }
}

/// The address that a request came from.
fn remote(parts: &Parts) -> IpAddr {
    parts.extensions.get::<Remote>().map_or(IpAddr::from([0, 0, 0, 0]), |remote| remote.0)
}

/// Whether a request may change something.
fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Where a request comes from, for whoever is not signed in yet.
pub(crate) struct Stranger(pub(crate) crate::access::Remote);

impl<S: Send + Sync> FromRequestParts<S> for Stranger {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self(crate::access::Remote { address: remote(parts), agent: agent.to_owned() }))
    }
}

/// The token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie, the first where there are several.
pub(crate) fn cookie_named<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The session's cookie, if it could be one.
pub(crate) fn cookie(headers: &HeaderMap) -> Option<NewSecret> {
    NewSecret::shown(cookie_named(headers, COOKIE)?)
}
