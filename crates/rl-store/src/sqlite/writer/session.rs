//! What the writer thread works with: the connection, what it remembers of it, and the room on its disk.
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rl_engine::{Announce, JournalError, OperationSpec, Sched, Submitted, Tx, UnixMs, submit_in};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::domain::Deed;
use crate::error::{Doing, StoreError};
use crate::sqlite::Commit;
use crate::sqlite::cache::{Cache, CachedRows};
use crate::sqlite::dir::HeldDir;
use crate::sqlite::room::Room;
use crate::sqlite::rows::SqlRows;

/// Log size in bytes at which it is moved into the database even when there is no idle moment.
const LOG_BYTES_HIGH: u64 = 32 << 20;
/// Size of the log's file in bytes at which it is also cut back.
const LOG_BYTES_CUT: u64 = 256 << 20;

pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) sched: Sched,
    pub(super) cache: Cache,
    pub(super) room: Room,
    /// A failed write could not be taken back: nothing may be committed any more.
    pub(super) broken: bool,
    log: PathBuf,
    /// Bytes in the log since it was last moved.
    log_bytes: Arc<AtomicU64>,
}

impl Session {
    pub(super) fn new(mut connection: Connection, held: &HeldDir) -> Result<Self, StoreError> {
        let sched = Sched::rebuild(&mut SqlRows::new(&connection)).map_err(StoreError::from)?;
        let cache = Cache::new(&connection).map_err(StoreError::from)?;
        let page: u64 = connection
            .query_row("pragma page_size", (), |row| row.get::<_, i64>(0))
            .doing("reading the size of a page")?
            .unsigned_abs();
        let log_bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&log_bytes);
        let count = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
            counted.store(u64::from(pages.unsigned_abs()) * page, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(count)).doing("watching the size of the log")?;
        let room = Room::open(held.path());
        Ok(Self { connection, sched, cache, room, broken: false, log: held.log(), log_bytes })
    }

    pub(super) fn last_event(&self) -> Result<u64, StoreError> {
        Ok(SqlRows::new(&self.connection).last_event()?)
    }

    /// Starts a transaction.
    pub(super) fn begin(&mut self) -> Commit {
        match self.connection.execute_batch("begin immediate").doing("beginning a transaction") {
            Ok(()) => Commit::Kept,
            Err(StoreError::Full) => Commit::TakenBack,
            Err(error) => stop(&error),
        }
    }

    /// Writes out what changed and commits. [`Commit::TakenBack`] leaves no transaction open, and what is remembered as it is.
    pub(super) fn end(&mut self) -> Commit {
        let written = self.cache.flush(&self.connection);
        let committed = written.and_then(|()| self.connection.execute_batch("commit").doing("committing"));
        match committed {
            Ok(()) => Commit::Kept,
            Err(StoreError::Full) => self.take_back(),
            Err(error) => stop(&error),
        }
    }

    /// Gives the whole transaction up.
    pub(super) fn take_back(&mut self) -> Commit {
        // SQLite may have done so by itself, as it does when the disk is full.
        if self.connection.is_autocommit() {
            return Commit::TakenBack;
        }
        match self.connection.execute_batch("rollback").doing("taking a transaction back") {
            Ok(()) => Commit::TakenBack,
            Err(error) => stop(&error),
        }
    }

    /// Forgets what is remembered: it is read again from what is stored.
    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
        self.cache = Cache::new(&self.connection)?;
        self.rebuild()
    }

    /// Builds the scheduler's index anew from what is stored.
    pub(super) fn rebuild(&mut self) -> Result<(), StoreError> {
        Ok(self.sched.renew(&mut SqlRows::new(&self.connection))?)
    }

    /// Runs one write on the remembered rows.
    pub(super) fn in_cache<T, E: From<JournalError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> (Result<T, E>, Announce) {
        self.in_cache_then(work, |_, _, value| Ok(value))
    }

    /// Starts an operation on the remembered rows, together with its deed. One that had been started before is no deed, though
    /// it is answered.
    pub(super) fn start_operation(
        &mut self,
        spec: &OperationSpec,
        deed: Option<Deed>,
        now: UnixMs,
    ) -> (Result<(Submitted, u64), StoreError>, Announce) {
        // The key first: whoever comes second with it shall hear that, and not that the stack is being changed.
        let (audit, answer) = deed.map_or((None, None), |deed| (Some(deed.audit), deed.answer));
        if let Some(answer) = &answer
            && let Err(refused) = self.cache.refuse_answered(&self.connection, answer, now)
        {
            return (Err(refused), Announce::default());
        }
        self.in_cache_then(
            |tx| Ok(submit_in(tx, spec, now)?),
            |cache, connection, submitted: Submitted| {
                if let Some(answer) = answer {
                    cache.keep_answer(answer, now);
                }
                match audit.filter(|_| !submitted.existing) {
                    Some(audit) => Ok((submitted, cache.append_entry(connection, &audit, now)?)),
                    None => Ok((submitted, 0)),
                }
            },
        )
    }

    /// Runs one write on the remembered rows, then what belongs to it and is no row of the journal.
    fn in_cache_then<T, U, E: From<JournalError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
        then: impl FnOnce(&mut Cache, &Connection, T) -> Result<U, E>,
    ) -> (Result<U, E>, Announce) {
        self.cache.begin();
        let mut rows = CachedRows::new(&self.connection, &mut self.cache);
        let mut tx = Tx::new(&mut rows, &mut self.sched);
        let result = work(&mut tx);
        let closed = tx.close().map_err(E::from);
        let result = result.and_then(|value| closed.map(|announce| (value, announce)));
        let (cache, connection) = (&mut self.cache, &self.connection);
        match result.and_then(|(value, announce)| Ok((then(cache, connection, value)?, announce))) {
            Ok((value, announce)) => match self.cache.close(&self.connection) {
                Ok(()) => {
                    self.sched.take_touched();
                    (Ok(value), announce)
                }
                Err(error) => (self.undo(JournalError::from(error).into()), Announce::default()),
            },
            Err(error) => (self.undo(error), Announce::default()),
        }
    }

    /// Runs one write that has statements of its own, under a savepoint, so that its failure leaves the others alone.
    pub(super) fn in_savepoint<T, E: From<JournalError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>, &Connection) -> Result<T, E>,
    ) -> (Result<T, E>, Announce) {
        let started = self
            .cache
            .settled(&self.connection)
            .and_then(|()| Ok(self.connection.execute_batch("savepoint work").doing("starting a write")?));
        self.cache.forget_head();
        if let Err(error) = started {
            self.broken |= !self.connection.is_autocommit() && !matches!(error, JournalError::Full { .. });
            return (Err(error.into()), Announce::default());
        }
        self.cache.begin();
        let mut rows = CachedRows::new(&self.connection, &mut self.cache);
        let mut tx = Tx::new(&mut rows, &mut self.sched);
        let result = work(&mut tx, &self.connection);
        let closed = tx.close().map_err(E::from);
        let result = result.and_then(|value| closed.map(|announce| (value, announce)));
        match result {
            Ok((value, announce)) => match self.release() {
                Ok(()) => {
                    self.sched.take_touched();
                    (Ok(value), announce)
                }
                Err(error) => (self.undo_statements(JournalError::from(error).into()), Announce::default()),
            },
            Err(error) => (self.undo_statements(error), Announce::default()),
        }
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.cache.close(&self.connection)?;
        self.cache.settled(&self.connection)?;
        self.connection.execute_batch("release work").doing("ending a write")
    }

    /// Takes the current write back, its statements too.
    fn undo_statements<T, E: From<JournalError>>(&mut self, error: E) -> Result<T, E> {
        let refused = self.undo(error);
        if !self.connection.is_autocommit()
            && let Err(failed) =
                self.connection.execute_batch("rollback to work; release work").doing("taking a write back")
        {
            self.give_up(&failed);
        }
        refused
    }

    /// Takes the current write back.
    fn undo<T, E: From<JournalError>>(&mut self, error: E) -> Result<T, E> {
        if self.connection.is_autocommit() {
            // SQLite took the whole transaction back: whoever ends it sees that.
            return Err(error);
        }
        let mut undone = self.cache.undo_current(&self.connection);
        if self.sched.take_touched() {
            let stored = self.cache.settled(&self.connection).map_err(StoreError::from);
            undone = undone.and(stored).and_then(|()| self.rebuild());
        }
        if let Err(failed) = undone {
            self.give_up(&failed);
        }
        Err(error)
    }

    fn give_up(&mut self, failed: &StoreError) {
        if matches!(failed, StoreError::Full) {
            // The end of the transaction meets it again and takes everything back.
            let _ = self.take_back();
            return;
        }
        tracing::error!(error = %failed, "a failed write could not be taken back; the store stops");
        self.broken = true;
    }

    /// Moves the log into the database, if there is an idle moment or it has grown large.
    pub(super) fn trim_log(&mut self) {
        if self.log_bytes.load(Ordering::Relaxed) <= LOG_BYTES_HIGH {
            return;
        }
        let size = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        self.checkpoint(if size > LOG_BYTES_CUT { "truncate" } else { "passive" });
    }

    pub(super) fn checkpoint(&mut self, mode: &str) {
        self.log_bytes.store(0, Ordering::Relaxed);
        let result = self.connection.query_row(&format!("pragma wal_checkpoint({mode})"), (), |_| Ok(()));
        if let Err(error) = result {
            tracing::warn!(%error, mode, "the database log could not be moved into the database; it grows until it can");
        }
    }

    /// After a failed commit nothing is tried again: closing the database must not move a log that may not be on disk.
    pub(super) fn leave_log(&self) {
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "the log cannot be kept from being moved when the database is closed");
        }
    }
}

/// After a failed commit nobody knows what is on disk.
fn stop(error: &(dyn std::error::Error + 'static)) -> Commit {
    tracing::error!(error, "the store stops: nothing more is acknowledged");
    Commit::Failed
}
