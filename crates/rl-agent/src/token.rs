//! Join tokens: good for one agent, once, for a while. They name the authority, so that an agent knows its server before it
//! says anything.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use zeroize::Zeroizing;

use crate::seal::{hex, sha256};

const PREFIX: &str = "rlj1";
/// Bytes of a token's secret part: too many to guess.
const SECRET_LEN: usize = 32;
/// Bytes of a token's name.
const ID_LEN: usize = 8;

/// A token as it is handed to an agent.
#[derive(Clone)]
pub struct JoinToken {
    /// Its name, which may be shown.
    pub id: String,
    secret: Zeroizing<String>,
    /// SHA-256 of the authority's certificate.
    pub authority: String,
}

/// The text is no join token.
#[derive(Debug, Clone, thiserror::Error)]
#[error("this is no join token; `rapidlaunch agent token --site SITE --node NODE` makes one, on one line")]
pub struct NoToken;

impl JoinToken {
    /// A new token for the agents of an authority.
    pub fn generate(authority: &str, random: &mut impl Rng) -> Self {
        let (mut id, mut secret) = ([0; ID_LEN], Zeroizing::new([0; SECRET_LEN]));
        random.fill(&mut id);
        random.fill(&mut secret[..]);
        Self { id: hex(&id), secret: Zeroizing::new(hex(&secret[..])), authority: authority.to_owned() }
    }

    /// The secret part, for the one message that carries it.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// What is stored of it.
    pub fn digest(&self) -> String {
        sha256(self.secret.as_bytes())
    }

    /// The whole token on one line, for the file the agent reads.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}-{}-{}-{}", self.id, self.secret.as_str(), self.authority))
    }
}

impl FromStr for JoinToken {
    type Err = NoToken;
    fn from_str(text: &str) -> Result<Self, NoToken> {
        let parts: Vec<&str> = text.trim().split('-').collect();
        let [PREFIX, id, secret, authority] = parts[..] else { return Err(NoToken) };
        let is_hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
        if !(is_hex(id, 2 * ID_LEN) && is_hex(secret, 2 * SECRET_LEN) && is_hex(authority, 64)) {
            return Err(NoToken);
        }
        let (id, authority) = (id.to_owned(), authority.to_owned());
        Ok(Self { id, secret: Zeroizing::new(secret.to_owned()), authority })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("id", &self.id).finish_non_exhaustive()
    }
}
