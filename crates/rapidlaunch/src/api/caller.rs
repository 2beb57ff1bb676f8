//! Who asks: found out at the door, before anything else of a request is looked at.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use rl_model::{Access, AccessPath, Right};

use super::Api;
use super::problem::{Code, Problem};

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
}

impl Caller {
    /// Whether a thing under these paths may be dealt with in this way.
    pub(crate) fn may(&self, right: Right, paths: &[AccessPath]) -> bool {
        self.access.may(right, paths)
    }

    /// Refuses what may not be done. What may not even be seen is not found.
    pub(crate) fn need(&self, right: Right, paths: &[AccessPath], what: &str, name: &str) -> Result<(), Problem> {
        if self.may(right, paths) {
            return Ok(());
        }
        if right == Right::Read || !self.may(Right::Read, paths) {
            return Err(Problem::not_found(what, name));
        }
        let place = paths.first().map_or_else(|| "/".to_owned(), ToString::to_string);
        Err(Problem::new(Code::FORBIDDEN, format!("{} may not {right} on {place}", self.name))
            .hint(format!("a grant of a role with the right `{right}` on {place} is needed")))
    }

    /// Refuses whoever has not the right on everything.
    pub(crate) fn need_root(&self, right: Right) -> Result<(), Problem> {
        if self.may(right, &[AccessPath::Root]) {
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
        let remote = parts.extensions.get::<Remote>().map_or(IpAddr::from([0, 0, 0, 0]), |remote| remote.0);
        let Some(token) = bearer(&parts.headers) else {
            return Err(Problem::new(Code::UNAUTHENTICATED, "the request names nobody")
                .hint("send `Authorization: Bearer TOKEN`, or sign in"));
        };
        if api.local.opens(token) {
            return Ok(api.local.caller(remote));
        }
        Err(Problem::new(Code::UNAUTHENTICATED, "the token is not known, has ended, or was revoked"))
    }
}

/// The token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
