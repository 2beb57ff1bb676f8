//! Who may come in and do what, as commands and the API change it: the rules of what is given, and the text that audits have.

use std::sync::Arc;

use rand::Rng;
use rl_engine::{SystemClock, UnixMs};
use rl_model::{Grant, GrantId, Grantee, SecretValue, UserName};
use rl_store::{NewAudit, NewGrant, NewToken, PasswordHash};

use crate::access::{Gate, Token};
use crate::env;
use crate::error::CommandError;
use crate::work::data::Data;

/// Longest label of a token, in characters: a line of a table.
const LABEL_CHARS_MAX: usize = 100;
/// Most scopes of a token: each is looked at for each request.
const SCOPES_MAX: usize = 50;

/// A token that is wanted.
pub(crate) struct WantedToken {
    /// Whose it is.
    pub(crate) owner: UserName,
    /// What it is for.
    pub(crate) label: String,
    /// What it allows at most.
    pub(crate) scopes: Vec<Grant>,
    /// When it ends.
    pub(crate) expires_at: Option<UnixMs>,
    /// Who makes it.
    pub(crate) actor: String,
}

impl WantedToken {
    /// Makes the token, which is to be kept; what breaks a rule is refused.
    pub(crate) fn made(self, now: UnixMs) -> Result<(Token, NewToken), CommandError> {
        let label = self.label.trim();
        if label.is_empty() || label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
            let text = format!("`label`: it must have 1 to {LABEL_CHARS_MAX} printable characters");
            return Err(CommandError::input(text));
        }
        if self.scopes.is_empty() || self.scopes.len() > SCOPES_MAX {
            return Err(CommandError::input(format!("`scopes`: there must be 1 to {SCOPES_MAX}")));
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(CommandError::input("`expires_at_ms`: that moment is over"));
        }
        let token = Token::new();
        let new = NewToken {
            id: token.id.clone(),
            digest: token.digest(),
            owner: self.owner,
            label: label.to_owned(),
            scopes: self.scopes,
            expires_at: self.expires_at,
            actor: self.actor,
        };
        Ok((token, new))
    }
}

/// A grant under an id of its own.
pub(crate) fn new_grant(grantee: Grantee, grant: Grant, actor: String) -> NewGrant {
    NewGrant { id: GrantId::from_bits(rl_agent::random().random()), grantee, grant, actor }
}

/// Hashes a new password for whoever holds the data directory.
pub(crate) async fn hashed(data: Arc<Data>, password: SecretValue) -> Result<PasswordHash, CommandError> {
    let gate = Gate::new(data, Arc::new(SystemClock::new()));
    gate.hash(password).await.map_err(|error| CommandError::input(error.to_string()))
}

/// An entry of the audit about what is done on this machine.
pub(crate) fn did(action: &str, path: String) -> NewAudit {
    NewAudit::local(env::actor(), action, path)
}
