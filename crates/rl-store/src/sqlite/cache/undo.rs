//! Taking a write back: each change remembers what was there before, and is exchanged for it.
use rl_engine::{
    Direction, JobId, JobStatus, OperationId, OperationStatus, OwnerId, OwnerRecord, RowResult, StepRecord,
};
use std::collections::BTreeMap;

use super::{Cache, Job, Logged, Operation};
use crate::error::{Doing, StoreError};

/// What was there before one change. Exchanging it with what is there now goes back, exchanging again goes forward.
pub(super) enum Undo {
    Job(JobId, Option<Box<Job>>),
    Status(JobId, Box<JobStatus>),
    Step(JobId, String, Direction, Option<Box<StepRecord>>),
    Operation(OperationId, Option<Box<Operation>>),
    OperationStatus(OperationId, Box<OperationStatus>),
    Owners(BTreeMap<OwnerId, OwnerRecord>),
}

impl Cache {
    /// Takes the current write back. `connection` is inside the transaction.
    pub(in crate::sqlite) fn undo_current(&mut self, connection: &rusqlite::Connection) -> Result<(), StoreError> {
        if std::mem::take(&mut self.savepoint) {
            connection.execute_batch("rollback to cached; release cached").doing("taking a write back")?;
        }
        self.undo_to(self.mark);
        self.cut(self.logged_mark);
        self.changed.early.clear();
        Ok(())
    }

    /// Takes back every write since the last [`Cache::keep`]; nothing of them was sent to the database. Events and deeds are cut
    /// back to the given ones.
    pub(in crate::sqlite) fn undo_all(&mut self, to: Logged) {
        self.undo_to(0);
        self.cut(to);
        self.mark = 0;
    }

    fn cut(&mut self, to: Logged) {
        self.events.truncate(to.events);
        self.deeds.cut(to.deeds);
    }

    /// What waits to be written out.
    pub(in crate::sqlite) fn logged(&self) -> Logged {
        Logged { events: self.events.len(), deeds: self.deeds.waiting() }
    }

    fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            if let Some(undo) = self.undo.pop() {
                self.exchange(undo);
            }
        }
    }

    /// Exchanges what is remembered with what was there before; answers the way back.
    fn exchange(&mut self, undo: Undo) -> Undo {
        match undo {
            Undo::Job(id, other) => {
                let old = match other {
                    Some(job) => self.jobs.insert(id, *job),
                    None => self.jobs.remove(&id),
                };
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.changed = true;
                    self.changed.jobs.push(id);
                }
                Undo::Job(id, old.map(Box::new))
            }
            Undo::Operation(id, other) => {
                let old = match other {
                    Some(operation) => self.operations.insert(id, *operation),
                    None => self.operations.remove(&id),
                };
                if let Some(operation) = self.operations.get_mut(&id) {
                    operation.changed = true;
                    self.changed.operations.push(id);
                }
                Undo::Operation(id, old.map(Box::new))
            }
            Undo::Status(id, mut other) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    std::mem::swap(&mut job.status, &mut other);
                }
                self.touch_job(id);
                Undo::Status(id, other)
            }
            Undo::OperationStatus(id, mut other) => {
                if let Some(operation) = self.operations.get_mut(&id) {
                    std::mem::swap(&mut operation.status, &mut other);
                }
                self.touch_operation(id);
                Undo::OperationStatus(id, other)
            }
            Undo::Step(id, name, direction, other) => {
                let old =
                    self.jobs.get_mut(&id).and_then(|job| job.exchange(&name, direction, other.map(|step| *step)));
                self.touch_job(id);
                Undo::Step(id, name, direction, old.map(Box::new))
            }
            Undo::Owners(other) => {
                self.owners_changed = true;
                Undo::Owners(std::mem::replace(&mut self.owners, other))
            }
        }
    }

    /// Writes everything out in the middle of a write, so that statements see it: first what earlier writes left, then, under a
    /// savepoint, what this one did so far.
    pub(super) fn settle(&mut self, connection: &rusqlite::Connection, direct: bool) -> RowResult<()> {
        self.direct = true;
        if !self.savepoint {
            let mut forward = Vec::new();
            while self.undo.len() > self.mark {
                if let Some(undo) = self.undo.pop() {
                    forward.push(self.exchange(undo));
                }
            }
            let events = self.events.split_off(self.logged_mark.events.min(self.events.len()));
            self.flush(connection)?;
            self.clean();
            let empty = forward.is_empty() && events.is_empty();
            self.events = events;
            while let Some(redo) = forward.pop() {
                let undo = self.exchange(redo);
                self.undo.push(undo);
            }
            if empty && !direct {
                return Ok(());
            }
            connection
                .execute_batch("savepoint cached")
                .doing("starting a write")
                .map_err(rl_engine::JournalError::from)?;
            self.savepoint = true;
        }
        self.flush(connection)?;
        self.clean();
        Ok(())
    }

    /// Writes everything out; the current write is under a savepoint of its caller's, or there is none.
    pub(in crate::sqlite) fn settled(&mut self, connection: &rusqlite::Connection) -> RowResult<()> {
        self.direct = true;
        self.flush(connection)?;
        self.clean();
        Ok(())
    }

    /// The current write stays.
    pub(in crate::sqlite) fn close(&mut self, connection: &rusqlite::Connection) -> Result<(), StoreError> {
        self.changed.early.clear();
        if std::mem::take(&mut self.savepoint) {
            connection.execute_batch("release cached").doing("ending a write")?;
        }
        Ok(())
    }
}
