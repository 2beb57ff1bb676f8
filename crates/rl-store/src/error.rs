//! What can go wrong in the store, as a person should read it.
use std::path::PathBuf;

use rl_engine::{JournalError, OperationId};
use rl_model::{GuestId, SecretRef, SiteName, StackName, VmidRange, WebhookId};

use crate::domain::{Counted, LeaseKind, Owner, PlanRefusal, StoredPlanId};

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data directory.
    #[error("the data directory {} is in use{}; wait until that process has ended, or choose another with --data", dir.display(), by_pid(*pid))]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, if it said so.
        pid: Option<u32>,
    },
    /// The directory cannot be used.
    #[error("the data directory {} cannot be used: {doing} failed", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database was written by a newer release.
    #[error("the database has schema {found}, this release knows up to {known}; use the newer release that wrote it")]
    Newer {
        /// Schema found.
        found: u32,
        /// Newest schema known.
        known: u32,
    },
    /// The database was written by an older release, and another process holds it, so that it cannot be brought up to date.
    #[error(
        "the database has schema {found}, this release needs {known}; wait until the older release that holds it has ended"
    )]
    Older {
        /// Schema found.
        found: u32,
        /// Schema needed.
        known: u32,
    },
    /// A migration that was applied is not the one this release has.
    #[error(
        "schema change {version} of the database is not the one this release knows; it was made by a modified release"
    )]
    ChangedMigration {
        /// The migration.
        version: u32,
    },
    /// The linked SQLite has a bug that can destroy the database.
    #[error("SQLite {found} is linked; before 3.51.3 a reset of its log can corrupt the database. Use a newer one")]
    OldSqlite {
        /// Version found.
        found: String,
    },
    /// What was asked for collides with what is stored. Nothing was changed.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// No VMID of the range is free.
    #[error(
        "no VMID of {range} is free on site {site}; widen `vmids` in the site file, or remove guests that are no longer needed"
    )]
    NoFreeVmid {
        /// The site.
        site: SiteName,
        /// The range.
        range: VmidRange,
    },
    /// A row that this release cannot read.
    #[error("a stored {what} cannot be read; it is left as it is")]
    Undecodable {
        /// Which row.
        what: String,
        /// What the decoder said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is a database server, but no store in it.
    #[error("{place} holds no store of this release; any command with --database makes or updates it")]
    NoStore {
        /// The database.
        place: String,
    },
    /// The database is the target of a copy that did not end.
    #[error(
        "this store is a copy of {from} that did not end, and cannot be used; run `rapidlaunch store copy` again, it begins anew"
    )]
    UnfinishedCopy {
        /// What was copied.
        from: String,
    },
    /// Whoever took what a copy reads is gone.
    #[error("the copy stopped before its end")]
    CopyStopped,
    /// A column of a kind that this release does not know.
    #[error("column {column} has the type {kind}, which this release does not know; use the release that made it")]
    UnknownColumn {
        /// Table and column.
        column: String,
        /// Its type.
        kind: String,
    },
    /// The database refused.
    #[error("the database failed while {doing}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// The database server cannot be used.
    #[error("the database cannot be used")]
    Postgres(#[source] Box<crate::pg::PgError>),
    /// The disk is full: new work is refused until there is room.
    #[error("the disk that holds the data directory is full; make room and try again. Nothing was stored")]
    Full,
    /// A commit failed: nothing more is acknowledged, the process should end and start again.
    #[error("the store stopped after a failed commit; end the process and start it again")]
    Poisoned,
    /// The journal refused.
    #[error(transparent)]
    Journal(JournalError),
}

/// What an operation that was to start collides with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// A value is held by another guest.
    #[error("{kind} {value} on site {site} is held by guest {holder}{}; plan again to get another", quarantine(*quarantined))]
    Reserved {
        /// The site.
        site: SiteName,
        /// What kind of value.
        kind: LeaseKind,
        /// The value.
        value: String,
        /// Who holds it.
        holder: GuestId,
        /// It is free, but not to be handed out yet.
        quarantined: bool,
    },
    /// The stack has an unfinished operation.
    #[error("stack {stack} has the unfinished operation {operation}; resume or cancel it first")]
    Unfinished {
        /// The stack.
        stack: String,
        /// Its operation.
        operation: OperationId,
    },
    /// The stack has changed since the plan was made.
    #[error("stack {stack} is at revision {found}, the plan was made from {expected}; plan again")]
    Revision {
        /// The stack.
        stack: StackName,
        /// Revision the plan was made from.
        expected: u64,
        /// Revision stored.
        found: u64,
    },
    /// Something still lies on a site that is to be removed.
    #[error("site {site} still has {holder}; remove what lies on it first")]
    SiteHeld {
        /// The site.
        site: SiteName,
        /// What, as a person names it.
        holder: String,
    },
    /// A guest of that name exists in the stack under another identity.
    #[error("stack {stack} already has a guest {name} with the id {holder}; plan again")]
    GuestName {
        /// The stack.
        stack: StackName,
        /// The name.
        name: String,
        /// The guest that has it.
        holder: GuestId,
    },
    /// Another version of a secret was stored meanwhile.
    #[error(
        "secret {name} is at version {latest} and does not become version {tried}: somebody else has set it meanwhile"
    )]
    SecretVersion {
        /// The secret.
        name: SecretRef,
        /// Its newest version.
        latest: u64,
        /// The version that was to be stored.
        tried: u64,
    },
    /// There is no such webhook any more.
    #[error("there is no webhook {id}")]
    NoWebhook {
        /// Its id.
        id: WebhookId,
    },
    /// There are as many webhooks as there may be.
    #[error("there are {max} webhooks, as many as there may be; remove one that is not needed any more")]
    Webhooks {
        /// How many.
        max: u64,
    },
    /// A webhook has as many deliveries waiting as it may.
    #[error("{count} deliveries of webhook {id} wait already; they must be taken first")]
    DeliveriesWait {
        /// The webhook.
        id: WebhookId,
        /// How many.
        count: u64,
    },
    /// An answer is kept under the key: the request was carried out before, or is so by another at this moment.
    #[error("{principal} has made a request with the key `{key}` before; the answer to that is given again")]
    Answered {
        /// Whose key it is.
        principal: String,
        /// The key.
        key: String,
    },
    /// The owner of the stack may not have that much.
    #[error(
        "{owner} may have {limit} {what}, has {used}, and would have {wanted}; take something away, or have the quota raised"
    )]
    Quota {
        /// The owner.
        owner: Owner,
        /// What there would be too much of.
        what: Counted,
        /// What the owner may have.
        limit: u64,
        /// What the owner has now, all stacks together.
        used: u64,
        /// What the owner would have.
        wanted: u64,
    },
    /// A plan is not approved, applied or let go.
    #[error("plan {id} {why}")]
    Plan {
        /// The plan.
        id: StoredPlanId,
        /// Why.
        why: PlanRefusal,
    },
    /// Nobody would be left who may administer everything.
    #[error(
        "nobody else may administer everything: give another user, who can sign in, the role admin on / before this one loses it"
    )]
    LastAdministrator,
    /// Somebody else has changed it meanwhile.
    #[error("{what} is at version {found}, and the change was made for version {seen}; read it again")]
    Version {
        /// What is changed.
        what: &'static str,
        /// The version that was seen.
        seen: u64,
        /// The version stored.
        found: u64,
    },
}

fn by_pid(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

fn quarantine(quarantined: bool) -> &'static str {
    if quarantined { ", which gave it back a short while ago" } else { "" }
}

/// How the journal is told of a full disk, and told it again.
const DISK_FULL: &str = "the disk that holds the data directory is full";

impl From<JournalError> for StoreError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Full { why, .. } if why == DISK_FULL => StoreError::Full,
            JournalError::Busy { subject, operation } => Conflict::Unfinished { stack: subject, operation }.into(),
            JournalError::Poisoned => StoreError::Poisoned,
            JournalError::Undecodable { what, source } => StoreError::Undecodable { what, source },
            error => StoreError::Journal(error),
        }
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Journal(error) => error,
            StoreError::Poisoned => JournalError::Poisoned,
            StoreError::Full => JournalError::Full { why: DISK_FULL.to_owned(), retry_after: None },
            StoreError::Undecodable { what, source } => JournalError::Undecodable { what, source },
            error => JournalError::Store { doing: "reading or writing the database", source: Box::new(error) },
        }
    }
}

/// Names what was being done when SQLite refused.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for rusqlite::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => StoreError::Full,
            // The log's index could not grow.
            _ if extended(&source) == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => StoreError::Full,
            _ => StoreError::Sqlite { doing, source },
        })
    }
}

fn extended(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}
