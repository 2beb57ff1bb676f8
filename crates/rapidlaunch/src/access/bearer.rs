//! Whoever comes with a token or a cookie.
use std::sync::Arc;

use rl_model::{Access, TokenId, UserName};
use rl_store::Digest;

use super::random::{NewSecret, Token};
use super::{AccessError, Gate};

/// Somebody who came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// Who it is.
    pub(crate) user: UserName,
    /// What they came in with.
    pub(crate) via: Via,
    /// What they may do.
    pub(crate) access: Access,
}

/// What somebody came in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// An API token.
    Token(TokenId),
    /// The cookie of a session.
    Session {
        /// Digest of the cookie.
        digest: Digest,
        /// Digest of the text that every change must show beside it.
        csrf: Digest,
    },
}

impl Bearer {
    /// Whether a text is the one that belongs to the session's cookie. Whoever shows a token needs none: no browser sends one
    /// by itself.
    pub(crate) fn takes_csrf(&self, shown: Option<&str>) -> bool {
        match &self.via {
            Via::Token(_) => true,
            // Digests are compared, so that the time it takes tells nothing of the text.
            Via::Session { csrf, .. } => shown.is_some_and(|text| Digest::of(text) == *csrf),
        }
    }
}

impl Gate {
    /// Whoever a token belongs to; `None` when it is no token that is in force.
    pub(crate) async fn by_token(&self, text: &str) -> Result<Option<Arc<Bearer>>, AccessError> {
        let Ok(token) = text.parse::<Token>() else { return Ok(None) };
        let digest = token.digest();
        let round = match self.cache.get(&digest) {
            Ok(bearer) => return Ok(Some(bearer)),
            Err(round) => round,
        };
        let Some(found) = self.store().token_bearer(&token.id, &digest).await? else { return Ok(None) };
        if let Err(error) = self.store().note_token(&token.id).await {
            tracing::warn!(token = %token.id, %error, "that a token was used could not be written down");
        }
        let access = Access::of(found.holder.grants).limited(found.token.scopes);
        let bearer = Arc::new(Bearer { user: found.holder.user.name, via: Via::Token(token.id), access });
        self.cache.put(round, digest, Arc::clone(&bearer));
        Ok(Some(bearer))
    }

    /// Whoever a cookie belongs to; `None` when its session is not there any more.
    pub(crate) async fn by_cookie(&self, text: &str) -> Result<Option<Arc<Bearer>>, AccessError> {
        let Some(cookie) = NewSecret::shown(text) else { return Ok(None) };
        let digest = cookie.digest();
        let round = match self.cache.get(&digest) {
            Ok(bearer) => return Ok(Some(bearer)),
            Err(round) => round,
        };
        let Some(found) = self.store().session_bearer(&digest).await? else { return Ok(None) };
        if let Err(error) = self.store().note_session(&digest).await {
            tracing::warn!(user = %found.holder.user.name, %error, "that a session was used could not be written down");
        }
        let via = Via::Session { digest: digest.clone(), csrf: found.csrf };
        let access = Access::of(found.holder.grants);
        let bearer = Arc::new(Bearer { user: found.holder.user.name, via, access });
        self.cache.put(round, digest, Arc::clone(&bearer));
        Ok(Some(bearer))
    }
}
