//! Users, grants, API tokens, sessions, the link of the first set-up, and failed sign-ins. Nothing here can sign anybody in:
//! passwords are hashes, tokens and cookies digests, and the keys of second factors are encrypted.
mod credential;
mod failure;
mod grant;
mod holder;
mod session;
mod setup;
mod subject;
mod token;
mod user;

pub use credential::{Credentials, PasswordHash, Totp};
pub use failure::{Attempt, AttemptKey, FAILURES_MAX};
pub use grant::{GrantRecord, Granted, NewGrant};
pub use holder::Holder;
pub use session::{
    NewSession, SESSION_IDLE, SESSION_LIFE, SESSIONS_PER_USER_MAX, SessionBearer, SessionRecord, session_id,
};
pub use setup::SetUp;
pub use subject::{Met, Subject};
pub use token::{NewToken, TOKENS_PER_USER_MAX, TokenAdded, TokenBearer, TokenRecord};
pub use user::{Changed, NewUser, TotpState, USERS_MAX, UserRecord};

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rl_engine::UnixMs;
use sha2::{Digest as _, Sha256};

/// Shortest time between two notes that a token or a session was used: what is read often is not written often.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// SHA-256 of a random text that is too long to be guessed, in hexadecimal: what is kept of tokens and cookies.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of a text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

impl FromStr for Digest {
    type Err = std::io::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if good { Ok(Self(text.to_owned())) } else { Err(std::io::Error::other("it is no SHA-256 in lower case")) }
    }
}

/// A moment later by some time.
fn later(at: UnixMs, by: Duration) -> UnixMs {
    UnixMs(at.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}
