//! Who may come in and do what, as commands and the API change it: the rules of what is given, and the text that audits have.

use rand::Rng;
use rl_engine::UnixMs;
use rl_model::{Grant, GrantId, Grantee, SecretValue, TokenId, UserName};
use rl_store::{NewAudit, NewGrant, NewToken, PasswordHash, StoreError, TOKENS_PER_USER_MAX};

use crate::access::{self, AccessError, GOOD_PASSWORD, Token};
use crate::env;
use crate::error::CommandError;
use crate::work::data::store_error;

/// Longest label of a token, in characters: a line of a table.
const LABEL_CHARS_MAX: usize = 100;
/// Most scopes of a token: each is looked at for each request.
const SCOPES_MAX: usize = 50;
/// Things read from the store at once.
const PART: u32 = 1_000;

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

/// Hashes a new password, which must keep to the rules.
pub(crate) async fn hashed(password: SecretValue) -> Result<PasswordHash, CommandError> {
    access::hash(password).await.map_err(|error| match error {
        AccessError::Weak(_) => CommandError::input(error.to_string()).hinted(GOOD_PASSWORD),
        error => CommandError::failed(error.to_string()),
    })
}

/// All things of a list that the store gives in parts; `key` says what the next part comes after.
pub(crate) async fn all<T, K>(
    key: impl Fn(&T) -> K,
    part: impl AsyncFn(Option<K>, u32) -> Result<Vec<T>, StoreError>,
) -> Result<Vec<T>, CommandError> {
    let mut all = Vec::new();
    loop {
        let found = part(all.last().map(&key), PART).await.map_err(store_error)?;
        let is_last = found.len() < PART as usize;
        all.extend(found);
        if is_last {
            return Ok(all);
        }
    }
}

/// There is no such user.
pub(crate) fn unknown_user(name: &UserName) -> CommandError {
    CommandError::input(format!("there is no user {name}")).hinted("`rapidlaunch user ls` lists them")
}

/// The name of a new user is not free.
pub(crate) fn taken(name: &UserName) -> CommandError {
    CommandError::blocked(format!("there is a user {name} already, or no room for another"))
        .hinted(format!("set another password with `rapidlaunch user password {name}`"))
}

/// Nobody can be given a grant by this name.
pub(crate) fn unknown_grantee(to: &Grantee) -> CommandError {
    CommandError::input(format!("there is no such user: {to}"))
        .hinted("`rapidlaunch user ls` lists them; a group needs no user yet")
}

/// A grant was given before.
pub(crate) fn given_before(to: &Grantee, grant: &Grant, id: &GrantId) -> CommandError {
    CommandError::blocked(format!("{to} has the role {} on {} already, by grant {id}", grant.role, grant.path))
}

/// A user can have no more tokens.
pub(crate) fn too_many_tokens(owner: &UserName) -> CommandError {
    CommandError::blocked(format!("{owner} has {TOKENS_PER_USER_MAX} tokens in force, as many as there may be"))
        .hinted("revoke those that are not needed any more")
}

/// A token was revoked before.
pub(crate) fn revoked_before(id: &TokenId) -> CommandError {
    CommandError::blocked(format!("token {id} was revoked before"))
}

/// An entry of the audit about what is done on this machine.
pub(crate) fn did(action: &str, path: String) -> NewAudit {
    NewAudit::local(env::actor(), action, path)
}
