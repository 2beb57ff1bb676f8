//! The audit: who did what, from where, before and after, in a chain of hashes that shows every later change.
mod chain;
mod page;
mod verify;

use std::fmt;
use std::str::FromStr;

use rl_engine::UnixMs;
use serde_json::{Value, json};

use super::deed::Deed;
use super::rows::first;
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;
pub use chain::{AuditHash, AuditHashError};
pub use page::{AuditPage, AuditQuery};
pub(crate) use verify::check as check_chain;
pub use verify::{AuditBreak, AuditFault, AuditVerdict, AuditWalk};

/// Longest text of one field in bytes: who did what is told in less, and a longer one could only be an attempt to fill the disk.
const FIELD_BYTES_MAX: usize = 1024;
/// Longest `before` or `after` in bytes. Of a longer one size and digest are kept, which still tells whether it is the one.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// How somebody came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Via {
    /// With an API token, by its id.
    Token(String),
    /// Signed in.
    Session,
    /// On the machine itself, with access to the store.
    Local,
    /// A schedule, or the server by itself.
    Schedule,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Via::Token(id) => write!(f, "token:{id}"),
            Via::Session => f.write_str("session"),
            Via::Local => f.write_str("local"),
            Via::Schedule => f.write_str("schedule"),
        }
    }
}

impl FromStr for Via {
    type Err = std::io::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match (text, text.strip_prefix("token:")) {
            (_, Some(id)) if !id.is_empty() => Ok(Via::Token(id.to_owned())),
            ("session", _) => Ok(Via::Session),
            ("local", _) => Ok(Via::Local),
            ("schedule", _) => Ok(Via::Schedule),
            _ => Err(std::io::Error::other(format!("`{text}` is no way in that this release knows"))),
        }
    }
}

/// What is to be written into the audit. No secret is ever in it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAudit {
    /// Who.
    pub actor: String,
    /// How they came in.
    pub via: Via,
    /// From where: an address of the network, where there is one.
    pub remote: Option<String>,
    /// What was done, such as `plan.create`.
    pub action: String,
    /// To what, such as `/stacks/shop`.
    pub path: String,
    /// What it was before.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
}

impl NewAudit {
    /// Something done on the machine itself.
    pub fn local(actor: impl Into<String>, action: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            actor: actor.into(),
            via: Via::Local,
            remote: None,
            action: action.into(),
            path: path.into(),
            before: None,
            after: None,
        }
    }

    /// The same with what was before and what is now.
    #[must_use]
    pub fn change(self, before: Option<Value>, after: Option<Value>) -> Self {
        Self { before, after, ..self }
    }
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// When, on the store's clock.
    pub at: UnixMs,
    /// Who.
    pub actor: String,
    /// How they came in.
    pub via: Via,
    /// From where.
    pub remote: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub path: String,
    /// What it was before, as JSON.
    pub before: Option<String>,
    /// What it is now, as JSON.
    pub after: Option<String>,
    /// Hash of the entry before it.
    pub prev: AuditHash,
    /// Hash of this entry, which covers all of the above.
    pub hash: AuditHash,
}

impl AuditRecord {
    /// The hash that this entry should have.
    pub fn computed(&self) -> AuditHash {
        chain::hash(self)
    }
}

impl Store {
    /// Writes an entry; answers its number.
    pub async fn audit(&self, entry: NewAudit) -> Result<u64, StoreError> {
        self.change(Deed::from(entry), |_, _| Ok(())).await.map(|((), seq)| seq)
    }

    /// Number and hash of the newest entry; 0 and a hash of zeros while there is none. Whoever keeps the hash elsewhere can tell
    /// later that nothing was cut off.
    pub async fn audit_head(&self) -> Result<(u64, AuditHash), StoreError> {
        self.db().read_with(head).await
    }
}

const COLUMNS: &str = "seq, at, actor, via, remote, action, path, before, after, prev, hash";

/// Number and hash of the newest entry.
pub(crate) fn head(db: &dyn Sql) -> Result<(u64, AuditHash), StoreError> {
    let sql = "select seq, hash from audit order by seq desc limit 1";
    let found = first(db, sql, &[], "reading the newest audit entry", |row| Ok((row.count(0)?, row.parsed(1)?)))?;
    Ok(found.unwrap_or((0, AuditHash::START)))
}

/// Number of the newest entry; 0 while there is none.
pub(super) fn newest(db: &dyn Sql) -> Result<u64, StoreError> {
    head(db).map(|(seq, _)| seq)
}

/// Adds an entry to the chain; answers its number.
pub(super) fn append(db: &dyn Sql, new: &NewAudit, now: UnixMs) -> Result<u64, StoreError> {
    let entry = next(head(db)?, new, now);
    insert(db, &entry)?;
    Ok(entry.seq)
}

/// The entry that follows the one with this number and hash.
pub(crate) fn next((last, prev): (u64, AuditHash), new: &NewAudit, now: UnixMs) -> AuditRecord {
    let mut entry = AuditRecord {
        seq: last + 1,
        at: now,
        actor: field(&new.actor),
        via: new.via.clone(),
        remote: new.remote.as_deref().map(field),
        action: field(&new.action),
        path: field(&new.path),
        before: new.before.as_ref().map(value),
        after: new.after.as_ref().map(value),
        prev,
        hash: AuditHash::START,
    };
    entry.hash = entry.computed();
    entry
}

/// Writes an entry down that was made by [`next`].
pub(crate) fn insert(db: &dyn Sql, entry: &AuditRecord) -> Result<(), StoreError> {
    let sql = "insert into audit (seq, at, actor, via, remote, action, path, before, after, prev, hash)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let given = values![
        entry.seq,
        entry.at,
        &entry.actor,
        entry.via.to_string(),
        entry.remote.as_deref(),
        &entry.action,
        &entry.path,
        entry.before.as_deref(),
        entry.after.as_deref(),
        entry.prev.to_string(),
        entry.hash.to_string()
    ];
    db.execute(sql, given, "writing into the audit").map(drop)
}

/// A text that both databases can hold, of bounded length.
fn field(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    if text.len() > FIELD_BYTES_MAX {
        let end = (0..=FIELD_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

fn value(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= VALUE_BYTES_MAX {
        return text;
    }
    json!({ "too_large": { "bytes": text.len(), "sha256": AuditHash::of(text.as_bytes()).to_string() } }).to_string()
}

fn read(row: &SqlRow) -> Result<AuditRecord, CellError> {
    Ok(AuditRecord {
        seq: row.count(0)?,
        at: row.ms(1)?,
        actor: row.text(2)?.to_owned(),
        via: row.parsed(3)?,
        remote: row.text_opt(4)?.map(str::to_owned),
        action: row.text(5)?.to_owned(),
        path: row.text(6)?.to_owned(),
        before: row.text_opt(7)?.map(str::to_owned),
        after: row.text_opt(8)?.map(str::to_owned),
        prev: row.parsed(9)?,
        hash: row.parsed(10)?,
    })
}
