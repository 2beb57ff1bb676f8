//! Whether the chain is whole.
use std::fmt;

use super::{AuditHash, AuditRecord, COLUMNS, read};
use crate::error::StoreError;
use crate::sql::{Sql, values};
use crate::store::Store;

/// Entries read at once.
const PART: u64 = 1_000;

/// What looking at the whole chain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// Entries that are as they should be, from the first on.
    pub count: u64,
    /// Hash of the last of them.
    pub head: AuditHash,
    /// What is wrong first.
    pub broken: Option<AuditBreak>,
}

/// Where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBreak {
    /// Number of the entry that should be there and is not as it should be.
    pub seq: u64,
    /// What is wrong with it.
    pub fault: AuditFault,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFault {
    /// It is not there, and later ones are.
    Missing,
    /// It follows on another entry than the one before it.
    Unlinked,
    /// It is not what it was when it was written.
    Changed,
    /// It cannot be read.
    Unreadable,
    /// No entry has the hash that was kept: the end was cut off, or everything was written anew.
    HeadGone,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuditFault::Missing => "is missing, and later entries are there",
            AuditFault::Unlinked => "does not follow on the entry before it: one was put in, taken out or moved",
            AuditFault::Changed => "is not what it was when it was written",
            AuditFault::Unreadable => "cannot be read",
            AuditFault::HeadGone => {
                "is not there: no entry has the hash that was kept; the end was cut off, or everything was written anew"
            }
        })
    }
}

/// A chain on its way from the first entry on: entries are taken one by one, from wherever they were read.
#[derive(Debug)]
pub struct AuditWalk {
    verdict: AuditVerdict,
    kept: Vec<AuditHash>,
}

impl AuditWalk {
    /// Before the first entry. Each of the `kept` hashes must be met on the way.
    pub fn new(kept: impl IntoIterator<Item = AuditHash>) -> Self {
        let verdict = AuditVerdict { count: 0, head: AuditHash::START, broken: None };
        Self { verdict, kept: kept.into_iter().filter(|hash| *hash != AuditHash::START).collect() }
    }

    /// Takes the next entry, under the number it was found with; none for one that cannot be read. Answers whether the chain is
    /// whole up to here; what comes after a break is not looked at.
    pub fn take(&mut self, number: u64, entry: Option<&AuditRecord>) -> bool {
        if self.verdict.broken.is_some() {
            return false;
        }
        let seq = self.verdict.count + 1;
        let fault = match entry {
            _ if number != seq => AuditFault::Missing,
            None => AuditFault::Unreadable,
            Some(entry) if entry.prev != self.verdict.head => AuditFault::Unlinked,
            Some(entry) if entry.hash != entry.computed() => AuditFault::Changed,
            Some(entry) => {
                (self.verdict.count, self.verdict.head) = (seq, entry.hash);
                self.kept.retain(|kept| *kept != entry.hash);
                return true;
            }
        };
        self.verdict.broken = Some(AuditBreak { seq, fault });
        false
    }

    /// After the last entry: what was found.
    pub fn end(mut self) -> AuditVerdict {
        if self.verdict.broken.is_none() && !self.kept.is_empty() {
            self.verdict.broken = Some(AuditBreak { seq: self.verdict.count + 1, fault: AuditFault::HeadGone });
        }
        self.verdict
    }

    /// Looks at the next entries of a store. Answers whether there may be more worth looking at.
    fn part(&mut self, db: &dyn Sql) -> Result<bool, StoreError> {
        let sql = format!("select {COLUMNS} from audit where seq > ?1 order by seq limit {PART}");
        let rows = db.query(&sql, values![self.verdict.count], "looking at the audit")?;
        // No entry has the number 0: one whose number cannot be read is as good as missing.
        let whole = rows.iter().all(|row| self.take(row.count(0).unwrap_or(0), read(row).ok().as_ref()));
        Ok(whole && rows.len() as u64 == PART)
    }
}

impl Store {
    /// Goes through every entry. `kept` is the hash of an entry that somebody kept elsewhere: one must have it, or the end was
    /// cut off. Each part is read by itself, so that a long chain holds nobody up.
    pub async fn verify_audit(&self, kept: Option<AuditHash>) -> Result<AuditVerdict, StoreError> {
        let mut walk = AuditWalk::new(kept);
        loop {
            let (back, more) = self
                .db()
                .read_with(move |db| {
                    let more = walk.part(db)?;
                    Ok::<_, StoreError>((walk, more))
                })
                .await?;
            walk = back;
            if !more {
                return Ok(walk.end());
            }
        }
    }
}

/// The whole chain on one view.
pub(crate) fn check(db: &dyn Sql) -> Result<AuditVerdict, StoreError> {
    let mut walk = AuditWalk::new(None);
    while walk.part(db)? {}
    Ok(walk.end())
}
