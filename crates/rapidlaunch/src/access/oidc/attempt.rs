//! An attempt to sign in at a provider, as the browser's cookie holds it.
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rl_store::Digest;
use sha2::Digest as _;

use crate::access::NewSecret;

/// Longest path to come back to.
const NEXT_BYTES_MAX: usize = 512;

/// Where a browser goes after signing in: a path of this server and of no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Next(String);

impl Next {
    /// The path.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Next {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

/// A text that is no path of this server.
#[derive(Debug, thiserror::Error)]
#[error("it must be a path of this server, as `/#/stacks`, of at most {NEXT_BYTES_MAX} printable characters")]
pub(crate) struct NextError;

impl FromStr for Next {
    type Err = NextError;
    fn from_str(text: &str) -> Result<Self, NextError> {
        // `//host` and `/\host` name another server to browsers.
        let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains('\\');
        let is_plain = text.len() <= NEXT_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_path && is_plain { Ok(Self(text.to_owned())) } else { Err(NextError) }
    }
}

/// See the module. All but the cookie's text may be shown: it follows from that by a hash.
pub(crate) struct Attempt {
    secret: NewSecret,
    /// Where the browser goes then.
    pub(crate) next: Next,
}

impl Attempt {
    /// Begins one.
    pub(crate) fn new(next: Next) -> Self {
        Self { secret: NewSecret::new(), next }
    }

    /// Takes the one of a cookie.
    pub(crate) fn shown(cookie: &str) -> Option<Self> {
        let (secret, next) = cookie.split_once('.')?;
        let next = String::from_utf8(URL_SAFE_NO_PAD.decode(next).ok()?).ok()?;
        Some(Self { secret: NewSecret::shown(secret)?, next: next.parse().ok()? })
    }

    /// What the cookie holds.
    pub(crate) fn cookie(&self) -> String {
        format!("{}.{}", self.secret.expose(), URL_SAFE_NO_PAD.encode(self.next.as_str()))
    }

    /// Binds the answer to this browser (RFC 6749, 10.12).
    pub(crate) fn state(&self) -> String {
        self.derived("state")
    }

    /// Whether an answer is to this attempt. Digests are compared, so that the time it takes tells nothing.
    pub(crate) fn is_state(&self, shown: &str) -> bool {
        Digest::of(shown) == Digest::of(&self.state())
    }

    /// Binds the ID token to this attempt (OpenID Connect Core, 3.1.2.1).
    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// Proves to the provider that whoever brings the code is who asked for it (RFC 7636, 4.1): 64 characters.
    pub(super) fn verifier(&self) -> String {
        self.derived("verifier")
    }

    /// What the provider is shown of the verifier before (RFC 7636, 4.2).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(self.verifier().as_bytes()))
    }

    fn derived(&self, what: &str) -> String {
        Digest::of(&format!("rapidlaunch oidc {what} {}", self.secret.expose())).as_str().to_owned()
    }
}
