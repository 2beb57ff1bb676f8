//! The deeds of writes on remembered rows: entries of the audit and kept answers, written out with the rows they belong to.
use std::collections::HashSet;

use rl_engine::UnixMs;
use rusqlite::Connection;

use super::Cache;
use crate::domain::{self, AuditHash, AuditRecord, KeptAnswer, NewAudit};
use crate::error::StoreError;

/// See the module.
#[derive(Default)]
pub(super) struct Deeds {
    entries: Vec<AuditRecord>,
    answers: Vec<(KeptAnswer, UnixMs)>,
    /// Principals and keys of the answers.
    keys: HashSet<(String, String)>,
    /// Number and hash of the newest entry that was written out, as far as it is known.
    head: Option<(u64, AuditHash)>,
}

/// How many deeds wait to be written out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waiting {
    entries: usize,
    answers: usize,
}

fn key(answer: &KeptAnswer) -> (String, String) {
    (answer.principal.clone(), answer.key.clone())
}

impl Deeds {
    pub(super) fn waiting(&self) -> Waiting {
        Waiting { entries: self.entries.len(), answers: self.answers.len() }
    }

    /// Takes back what came after this.
    pub(super) fn cut(&mut self, to: Waiting) {
        self.entries.truncate(to.entries);
        for (answer, _) in self.answers.drain(to.answers.min(self.answers.len())..) {
            self.keys.remove(&key(&answer));
        }
    }

    pub(super) fn flush(&self, connection: &Connection) -> Result<(), StoreError> {
        for (answer, at) in &self.answers {
            // That none is kept under the key was seen when this one was taken.
            domain::insert_answer(connection, answer, *at)?;
        }
        self.entries.iter().try_for_each(|entry| domain::insert_entry(connection, entry))
    }

    /// All of them were written out.
    pub(super) fn clean(&mut self) {
        self.head = self.newest().or(self.head);
        self.cut(Waiting::default());
    }

    /// Number and hash of the newest entry that waits.
    fn newest(&self) -> Option<(u64, AuditHash)> {
        self.entries.last().map(|last| (last.seq, last.hash))
    }

    fn head(&mut self, connection: &Connection) -> Result<(u64, AuditHash), StoreError> {
        let head = match self.newest().or(self.head) {
            Some(head) => return Ok(head),
            None => domain::audit_head(connection)?,
        };
        self.head = Some(head);
        Ok(head)
    }
}

impl Cache {
    /// The current write has statements of its own, which may write into the audit.
    pub(in crate::sqlite) fn forget_head(&mut self) {
        self.deeds.head = None;
    }

    /// Refuses a key under which an answer is kept.
    pub(in crate::sqlite) fn refuse_answered(
        &self,
        connection: &Connection,
        answer: &KeptAnswer,
        now: UnixMs,
    ) -> Result<(), StoreError> {
        match self.deeds.keys.contains(&key(answer)) || domain::is_answered(connection, answer, now)? {
            true => Err(domain::answered(answer)),
            false => Ok(()),
        }
    }

    /// Takes the answer of a deed, whose key is not refused.
    pub(in crate::sqlite) fn keep_answer(&mut self, answer: KeptAnswer, now: UnixMs) {
        self.deeds.keys.insert(key(&answer));
        self.deeds.answers.push((answer, now));
    }

    /// Adds an entry to the chain; answers its number.
    pub(in crate::sqlite) fn append_entry(
        &mut self,
        connection: &Connection,
        new: &NewAudit,
        now: UnixMs,
    ) -> Result<u64, StoreError> {
        let entry = domain::next_entry(self.deeds.head(connection)?, new, now);
        let seq = entry.seq;
        self.deeds.entries.push(entry);
        Ok(seq)
    }
}
