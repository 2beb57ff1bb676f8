//! Stacks and their revisions.
use rl_engine::{Lane, OperationId, UnixMs};
use rl_model::{ResolvedStack, StackName};

use super::rows::{first, listed, open, read_as, seal};
use crate::error::StoreError;
use crate::sql::{CellError, Sql, SqlRow, values};
use crate::store::Store;

/// Kind and version of a stored resolved stack.
pub(crate) const RESOLVED: (&str, u32) = ("resolved-stack", 1);

/// Where a stack stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackState {
    /// An operation changes it, or ended before it was all applied.
    Changing,
    /// What its newest revision says was applied.
    Applied,
    /// It was taken away.
    Destroyed,
}

impl StackState {
    const ALL: [StackState; 3] = [StackState::Changing, StackState::Applied, StackState::Destroyed];

    /// The name in the store and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            StackState::Changing => "changing",
            StackState::Applied => "applied",
            StackState::Destroyed => "destroyed",
        }
    }
}

impl std::str::FromStr for StackState {
    type Err = std::io::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == name);
        found.ok_or_else(|| std::io::Error::other(format!("`{name}` is no state of a stack that this release knows")))
    }
}

/// A stored stack.
#[derive(Debug, Clone, PartialEq)]
pub struct StackRecord {
    /// Its name.
    pub name: StackName,
    /// Counts its operations; a plan is made from one revision and starts only on that.
    pub revision: u64,
    /// The manifest of the newest revision, as the user wrote it.
    pub manifest: String,
    /// Where it stands.
    pub state: StackState,
    /// The revision that was applied last.
    pub applied_revision: Option<u64>,
    /// The stack as it was applied last.
    pub applied: Option<ResolvedStack>,
    /// Last change.
    pub updated_at: UnixMs,
    /// When it was applied last.
    pub applied_at: Option<UnixMs>,
}

/// One revision of a stack: what an operation set out to do.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionRecord {
    /// Its number, from 1.
    pub revision: u64,
    /// The manifest as the user wrote it.
    pub manifest: String,
    /// What it was resolved to.
    pub resolved: ResolvedStack,
    /// The operation.
    pub operation: OperationId,
    /// Who started it.
    pub actor: String,
    /// When.
    pub created_at: UnixMs,
}

/// What starting an operation writes about its stack.
pub(super) struct NewRevision<'a> {
    pub(super) stack: &'a StackName,
    pub(super) revision: u64,
    pub(super) manifest: &'a str,
    pub(super) resolved: &'a ResolvedStack,
    pub(super) operation: OperationId,
    pub(super) actor: &'a str,
    pub(super) now: UnixMs,
}

const COLUMNS: &str = "name, revision, manifest, state, applied_revision, resolved, updated_at, applied_at";

impl Store {
    /// A stack by its name.
    pub async fn stack(&self, name: &StackName) -> Result<Option<StackRecord>, StoreError> {
        let name = name.clone();
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from stack where name = ?1");
                first(db, &sql, values![name.as_str()], "reading a stack", read)?.map(finish).transpose()
            })
            .await
    }

    /// The newest revision of a stack, 0 when there is no such stack; without reading what it declares.
    pub async fn newest_revision(&self, name: &StackName) -> Result<u64, StoreError> {
        let name = name.clone();
        self.db().read_with(move |db| current_revision(db, &name)).await
    }

    /// All stacks by name that can be read, also destroyed ones.
    pub async fn stacks(&self) -> Result<Vec<StackRecord>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = format!("select {COLUMNS} from stack order by name");
                listed(db, &sql, "reading stacks", |row| finish(read_as(read(row))?))
            })
            .await
    }

    /// The operations of the newest revisions of stacks that are being changed, or whose change ended and was not written down yet.
    pub async fn changing(&self) -> Result<Vec<OperationId>, StoreError> {
        self.db()
            .read_with(move |db| {
                let sql = "select r.operation from stack s join stack_revision r on r.stack = s.name and r.revision = s.revision
                           where s.state = 'changing' order by s.name";
                listed(db, sql, "reading which stacks are being changed", |row| read_as(row.parsed(0)))
            })
            .await
    }

    /// One revision of a stack.
    pub async fn revision(&self, name: &StackName, revision: u64) -> Result<Option<RevisionRecord>, StoreError> {
        let name = name.clone();
        self.db()
            .read_with(move |db| {
                let sql = "select manifest, resolved, operation, actor, created_at from stack_revision
                           where stack = ?1 and revision = ?2";
                let row = first(db, sql, values![name.as_str(), revision], "reading a revision", |row| {
                    let texts = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
                    Ok((texts, row.parsed(2)?, row.text(3)?.to_owned(), row.ms(4)?))
                })?;
                row.map(|((manifest, resolved), operation, actor, created_at)| {
                    let resolved = open(RESOLVED.0, RESOLVED.1, &resolved)?;
                    Ok(RevisionRecord { revision, manifest, resolved, operation, actor, created_at })
                })
                .transpose()
            })
            .await
    }

    /// Writes down that a revision was carried out, and what it came to. An older revision than the one recorded changes nothing.
    pub async fn record_applied(
        &self,
        name: &StackName,
        revision: u64,
        resolved: ResolvedStack,
        state: StackState,
    ) -> Result<(), StoreError> {
        let (name, now) = (name.clone(), self.now());
        self.db()
            .write_with(Lane::Progress, move |tx, db| {
                let now = tx.at(now).now();
                let sql = "update stack set applied_revision = ?2, resolved = ?3, applied_at = ?5, updated_at = ?5,
                             state = case when revision = ?2 then ?4 else state end
                           where name = ?1 and coalesce(applied_revision, 0) <= ?2";
                let text = seal(RESOLVED.0, RESOLVED.1, &resolved)?;
                let values = values![name.as_str(), revision, text, state.as_str(), now];
                db.execute(sql, values, "recording what was applied")?;
                Ok(())
            })
            .await
    }
}

/// The revision stored, 0 when the stack is new.
pub(super) fn current_revision(db: &dyn Sql, name: &StackName) -> Result<u64, StoreError> {
    let sql = "select revision from stack where name = ?1";
    let revision = first(db, sql, values![name.as_str()], "reading a stack's revision", |row| row.count(0))?;
    Ok(revision.unwrap_or(0))
}

pub(super) fn put_revision(db: &dyn Sql, new: &NewRevision<'_>) -> Result<(), StoreError> {
    let doing = "storing a stack's revision";
    let (revision, now) = (new.revision, new.now);
    db.execute(
        "insert into stack (name, revision, manifest, state, updated_at) values (?1, ?2, ?3, 'changing', ?4)
         on conflict (name) do update set revision = excluded.revision, manifest = excluded.manifest,
           state = excluded.state, updated_at = excluded.updated_at",
        values![new.stack.as_str(), revision, new.manifest, now],
        doing,
    )?;
    db.execute(
        "insert into stack_revision (stack, revision, manifest, resolved, operation, actor, created_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        values![
            new.stack.as_str(),
            revision,
            new.manifest,
            seal(RESOLVED.0, RESOLVED.1, new.resolved)?,
            new.operation.to_string(),
            new.actor,
            now
        ],
        doing,
    )?;
    Ok(())
}

fn read(row: &SqlRow) -> Result<(StackRecord, Option<String>), CellError> {
    let record = StackRecord {
        name: row.parsed(0)?,
        revision: row.count(1)?,
        manifest: row.text(2)?.to_owned(),
        state: row.parsed(3)?,
        applied_revision: row.int_opt(4)?.map(i64::unsigned_abs),
        applied: None,
        updated_at: row.ms(6)?,
        applied_at: row.ms_opt(7)?,
    };
    Ok((record, row.text_opt(5)?.map(str::to_owned)))
}

fn finish((record, resolved): (StackRecord, Option<String>)) -> Result<StackRecord, StoreError> {
    let applied = resolved.map(|text| open(RESOLVED.0, RESOLVED.1, &text)).transpose()?;
    Ok(StackRecord { applied, ..record })
}
