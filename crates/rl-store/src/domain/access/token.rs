//! API tokens: random texts of which only a digest is kept.
use std::time::Duration;

use rl_engine::{Lane, UnixMs};
use rl_model::{Grant, TokenId, UserName};
use serde_json::{Value, json};

use super::super::deed::{Came, Deed};
use super::super::rows::{all, first};
use super::{Digest, Holder, NOTE_EVERY, holder, later};
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Most tokens of one user that are in force: more than a person can keep apart.
pub const TOKENS_PER_USER_MAX: u64 = 200;
/// How long a token that ended is still listed.
const ENDED_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

const COLUMNS: &str = "id, owner, label, scopes, created_at, created_by, expires_at, used_at, revoked_at";

/// A token, without anything to sign in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// The part that may be shown.
    pub id: TokenId,
    /// Whose it is: it never allows more than they may do.
    pub owner: UserName,
    /// What it is for, in the owner's words.
    pub label: String,
    /// What it allows at most.
    pub scopes: Vec<Grant>,
    /// When it was made.
    pub created_at: UnixMs,
    /// Who made it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Option<UnixMs>,
    /// When it was used last, to the minute.
    pub used_at: Option<UnixMs>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
}

impl TokenRecord {
    /// Whether it is in force.
    pub fn is_live(&self, now: UnixMs) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// A token to be kept.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The part that may be shown.
    pub id: TokenId,
    /// Digest of the whole text.
    pub digest: Digest,
    /// Whose it is.
    pub owner: UserName,
    /// What it is for.
    pub label: String,
    /// What it allows at most.
    pub scopes: Vec<Grant>,
    /// When it ends.
    pub expires_at: Option<UnixMs>,
    /// Who makes it.
    pub actor: String,
}

impl NewToken {
    /// The token as it is once kept.
    pub fn record(&self, now: UnixMs) -> TokenRecord {
        TokenRecord {
            id: self.id.clone(),
            owner: self.owner.clone(),
            label: self.label.clone(),
            scopes: self.scopes.clone(),
            created_at: now,
            created_by: self.actor.clone(),
            expires_at: self.expires_at,
            used_at: None,
            revoked_at: None,
        }
    }
}

/// What came of a token that was to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAdded {
    /// It is kept.
    Added,
    /// There is no such user.
    NoUser,
    /// The user has as many as there may be.
    TooMany,
}

/// A token that was shown, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBearer {
    /// The token.
    pub token: TokenRecord,
    /// Its owner.
    pub holder: Holder,
}

impl Store {
    /// Keeps a new token, and forgets those of the owner that ended long ago.
    pub async fn add_token(&self, new: NewToken, deed: Deed) -> Result<TokenAdded, StoreError> {
        self.try_change(deed, move |db, now| match add(db, &new, now)? {
            TokenAdded::Added => {
                let after = one(db, &new.id)?.as_ref().map(told);
                Ok(Came::Changed { value: TokenAdded::Added, before: None, after })
            }
            refused => Ok(Came::Nothing(refused)),
        })
        .await
    }

    /// Tokens by id, those after `after`: of one user, or of all.
    pub async fn tokens(
        &self,
        owner: Option<UserName>,
        after: Option<TokenId>,
        limit: u32,
    ) -> Result<Vec<TokenRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!(
                    "select {COLUMNS} from access_token where id > ?1 and (?2 = '' or owner = ?2) order by id limit ?3"
                );
                let after = after.as_ref().map_or("", TokenId::as_str);
                let owner = owner.as_ref().map_or("", UserName::as_str);
                all(db, &sql, values![after, owner, limit], "reading tokens", read)
            })
            .await
    }

    /// A token.
    pub async fn token(&self, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
        let id = id.clone();
        self.db().read_with(move |db| one(db, &id)).await
    }

    /// The token that this is the digest of, if it is in force and its owner may come in, with all that the owner may do.
    pub async fn token_bearer(&self, id: &TokenId, digest: &Digest) -> Result<Option<TokenBearer>, StoreError> {
        let (id, digest, now, clock) = (id.clone(), digest.clone(), self.now(), self.db().clone());
        self.db()
            .read_with(move |db| {
                let now = clock.now(db, now)?;
                let sql = format!("select {COLUMNS} from access_token where id = ?1 and digest = ?2");
                let found = first(db, &sql, values![id.as_str(), digest.as_str()], "reading a token", read)?;
                let Some(token) = found.filter(|token| token.is_live(now)) else { return Ok(None) };
                let holder = holder::read(db, &token.owner)?.filter(|holder| holder.user.disabled_at.is_none());
                Ok(holder.map(|holder| TokenBearer { token, holder }))
            })
            .await
    }

    /// Notes that a token was used, at most once a minute; answers whether it was noted.
    pub async fn note_token(&self, id: &TokenId) -> Result<bool, StoreError> {
        let (id, now) = (id.clone(), self.now());
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let before = UnixMs(now.0.saturating_sub(u64::try_from(NOTE_EVERY.as_millis()).unwrap_or(0)));
                let sql = "update access_token set used_at = ?2 where id = ?1 and (used_at is null or used_at <= ?3)";
                Ok(db.execute(sql, values![id.as_str(), now, before], "noting that a token was used")? > 0)
            })
            .await
    }

    /// Revokes a token; answers whether it was in force.
    pub async fn revoke_token(&self, id: &TokenId, deed: Deed) -> Result<bool, StoreError> {
        let id = id.clone();
        self.try_change(deed, move |db, now| {
            let found = one(db, &id)?.filter(|token| token.revoked_at.is_none());
            let Some(before) = found else { return Ok(Came::Nothing(false)) };
            let sql = "update access_token set revoked_at = ?2 where id = ?1";
            db.execute(sql, values![id.as_str(), now], "revoking a token")?;
            let after = one(db, &id)?.as_ref().map(told);
            Ok(Came::Changed { value: true, before: Some(told(&before)), after })
        })
        .await
    }
}

fn one(db: &dyn Sql, id: &TokenId) -> Result<Option<TokenRecord>, StoreError> {
    let sql = format!("select {COLUMNS} from access_token where id = ?1");
    first(db, &sql, values![id.as_str()], "reading a token", read)
}

/// What the audit tells of a token.
fn told(token: &TokenRecord) -> Value {
    json!({
        "owner": token.owner,
        "label": token.label,
        "scopes": token.scopes,
        "expires_at_ms": token.expires_at,
        "revoked_at_ms": token.revoked_at,
    })
}

fn add(db: &dyn Sql, new: &NewToken, now: UnixMs) -> Result<TokenAdded, StoreError> {
    let owner = new.owner.as_str();
    if super::user::one(db, &new.owner)?.is_none() {
        return Ok(TokenAdded::NoUser);
    }
    let ended = UnixMs(now.0.saturating_sub(later(UnixMs(0), ENDED_KEPT).0));
    let sql = "delete from access_token where owner = ?1 and (revoked_at < ?2 or expires_at < ?2)";
    db.execute(sql, values![owner, ended], "forgetting old tokens")?;
    let sql = "select cast(count(*) as bigint) from access_token
               where owner = ?1 and revoked_at is null and (expires_at is null or expires_at > ?2)";
    let live = first(db, sql, values![owner, now], "counting tokens", |row| row.count(0))?.unwrap_or(0);
    if live >= TOKENS_PER_USER_MAX {
        return Ok(TokenAdded::TooMany);
    }
    let scopes = serde_json::to_string(&new.scopes)
        .map_err(|source| StoreError::Undecodable { what: "list of scopes".to_owned(), source: Box::new(source) })?;
    let sql = "insert into access_token (id, digest, owner, label, scopes, created_at, created_by, expires_at)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (id, digest) = (new.id.as_str(), new.digest.as_str());
    let given = values![id, digest, owner, &*new.label, scopes, now, &*new.actor, new.expires_at];
    db.execute(sql, given, "keeping a token")?;
    Ok(TokenAdded::Added)
}

fn read(row: &SqlRow) -> Result<TokenRecord, CellError> {
    Ok(TokenRecord {
        id: row.parsed(0)?,
        owner: row.parsed(1)?,
        label: row.text(2)?.to_owned(),
        scopes: serde_json::from_str(row.text(3)?).map_err(|error| CellError::new(3, error))?,
        created_at: row.ms(4)?,
        created_by: row.text(5)?.to_owned(),
        expires_at: row.ms_opt(6)?,
        used_at: row.ms_opt(7)?,
        revoked_at: row.ms_opt(8)?,
    })
}
