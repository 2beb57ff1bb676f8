//! How a site is reached: endpoints, credentials, trust, limits, pace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rl_model::{Endpoint, SecretValue, Site, TlsTrust};

use super::resolver::NameResolver;
use super::tls::TlsError;

/// An API token, `user@realm!id=secret`.
#[derive(Clone)]
pub struct ApiToken {
    user: String,
    id: String,
    whole: SecretValue,
}

/// Says what is wrong with a token, without showing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API token is not of the form user@realm!id=secret: {0}")]
pub struct TokenError(&'static str);

impl ApiToken {
    /// Reads a token; white space around it, such as the final line break of a file, is dropped.
    pub fn parse(secret: &SecretValue) -> Result<Self, TokenError> {
        let text = secret.expose().trim();
        let text = text.strip_prefix("PVEAPIToken=").unwrap_or(text);
        let (owner, value) = text.split_once('=').ok_or(TokenError("it has no `=`"))?;
        let (user, id) = owner.split_once('!').ok_or(TokenError("it has no `!` before the `=`"))?;
        if !user.contains('@') {
            return Err(TokenError("its user has no `@realm`"));
        }
        if user.is_empty() || id.is_empty() || value.is_empty() {
            return Err(TokenError("a part of it is empty"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError("it has a space or a character outside ASCII"));
        }
        Ok(Self { user: user.to_owned(), id: id.to_owned(), whole: SecretValue::new(text) })
    }

    /// Its user, `user@realm`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its name among the user's tokens.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn header(&self) -> String {
        format!("PVEAPIToken={}", self.whole.expose())
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiToken({}!{})", self.user, self.id)
    }
}

/// Who the client is.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An API token.
    Token(ApiToken),
    /// A user with a password, who gets a ticket; needed only for what root@pam alone may do.
    Password {
        /// `user@realm`.
        user: String,
        /// The password.
        password: SecretValue,
    },
}

/// How quickly a site's clock runs. A simulated site may do an hour's work in a minute; waits shrink with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace(f64);

/// Slowest and quickest clock that is believed: beyond, waits would stand still or spin.
const PACE_RANGE: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;

impl Pace {
    /// A real site.
    pub const REAL: Self = Self(1.0);

    /// A site whose clock runs `factor` times as quickly as ours.
    pub fn times(factor: f64) -> Self {
        if factor.is_finite() { Self(factor.clamp(*PACE_RANGE.start(), *PACE_RANGE.end())) } else { Self::REAL }
    }

    /// How long a span of the site's time is by our clock.
    pub fn local(self, site: Duration) -> Duration {
        site.div_f64(self.0)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::REAL
    }
}

/// How long calls to a site may take; never longer than the class of a call allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Name lookup, TCP and TLS together.
    pub connect: Duration,
    /// From sending a call to the end of its answer.
    pub answer: Duration,
}

/// A node in the next data centre connects within a tenth of it; a dead one costs this much with every first try.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

impl Default for CallLimits {
    fn default() -> Self {
        Self { connect: CONNECT_LIMIT, answer: Duration::MAX }
    }
}

/// All that [`Pve::connect`](super::Pve::connect) needs.
#[derive(Clone)]
pub struct SiteConnection {
    /// API addresses, tried in this order.
    pub endpoints: Vec<Endpoint>,
    /// Who the client is.
    pub credentials: Credentials,
    /// How certificates are verified.
    pub trust: TlsTrust,
    /// Requests under way at once to one node.
    pub requests_per_node: u32,
    /// How quickly the site's clock runs.
    pub pace: Pace,
    /// How long calls may take.
    pub limits: CallLimits,
    /// Looks up the names of endpoints.
    pub resolver: Arc<NameResolver>,
}

impl SiteConnection {
    /// A connection as the site's file describes it, with the token it refers to.
    pub fn of_site(site: &Site, token: ApiToken) -> Self {
        Self {
            endpoints: site.endpoints.clone(),
            credentials: Credentials::Token(token),
            trust: site.tls.clone(),
            requests_per_node: site.limits.requests_per_node,
            pace: Pace::REAL,
            limits: CallLimits::default(),
            resolver: Arc::new(NameResolver::system()),
        }
    }
}

/// A connection that cannot even be prepared. Nothing has been contacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no endpoint.
    #[error("the site has no endpoint: name at least one, as in https://pve1.example:8006")]
    NoEndpoint,
    /// Certificates cannot be verified as asked.
    #[error("the site's `tls` setting cannot be used")]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
}
