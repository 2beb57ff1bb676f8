//! The SQLite side: data directory, schema, one writer thread, a few readers, and the rows of the journal.
mod cache;
mod dir;
mod migrate;
mod reader;
mod room;
mod rows;
mod selftest;
mod sql;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, MutexGuard};

use rl_engine::{Announce, Backend, JournalError, Lane, OperationSpec, RowResult, Rows, Signal, Submitted, Tx, UnixMs};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::watch;

use crate::commits::Commits;
use crate::domain::Deed;
use crate::error::{Doing, StoreError};
use rows::SqlRows;

/// Oldest SQLite that is safe: before it a reset of the log could corrupt the database (sqlite.org/changes.html, 3.53.0).
const SQLITE_MIN: i32 = 3_051_003;
/// Memory for cached pages of the writer, in KiB: the pages that running operations touch over and over.
const WRITER_CACHE_KIB: i32 = 4 * 1024;
/// Memory for cached pages of one reader, in KiB: readers page through rows once, and the system caches the file too.
const READER_CACHE_KIB: i32 = 512;
/// Prepared statements kept by one connection: more than the store has.
const STATEMENTS: usize = 128;

/// An open database: cheap to clone, closed when the last clone goes.
#[derive(Clone)]
pub(crate) struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    // Readers go first, so that the writer's last checkpoint is not held up by one.
    readers: reader::Readers,
    /// Absent where the database is only looked into.
    writer: Option<writer::Writer>,
    /// For followers where there is no writer: never changes.
    still: watch::Sender<Signal>,
}

impl Sqlite {
    /// Takes the data directory, opens the database in it and brings its schema up to date.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        check_version(rusqlite::version_number(), rusqlite::version())?;
        let held = dir::hold(dir)?;
        selftest::run(held.path());
        let path = held.database();
        let mut connection = connect(&path, WRITER_CACHE_KIB)?;
        connection
            .execute_batch("pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 0; pragma foreign_keys = on;")
            .doing("setting the database up")?;
        migrate::migrate(&mut connection)?;
        let readers = reader::Readers::start(|| reading(&path))?;
        let writer = writer::Writer::start(connection, held)?;
        let still = watch::Sender::new(Signal::default());
        Ok(Self { inner: Arc::new(Inner { readers, writer: Some(writer), still }) })
    }

    /// Says so when there is no database in a directory.
    pub(crate) fn find(dir: &Path) -> Result<(), StoreError> {
        dir::database(dir).map(drop)
    }

    /// Opens the database for reading alone, while another process may hold and write it. Its schema must be current:
    /// only the holder changes it.
    pub(crate) fn look(dir: &Path) -> Result<Self, StoreError> {
        check_version(rusqlite::version_number(), rusqlite::version())?;
        let path = dir::database(dir)?;
        migrate::check(&connect(&path, READER_CACHE_KIB)?)?;
        let readers = reader::Readers::start(|| reading(&path))?;
        let still = watch::Sender::new(Signal::default());
        Ok(Self { inner: Arc::new(Inner { readers, writer: None, still }) })
    }

    /// Whether writes are refused because another process holds the directory.
    pub(crate) fn is_looking(&self) -> bool {
        self.inner.writer.is_none()
    }

    /// Starts an operation that reserves nothing, together with its deed; answers the number of the audit's entry, 0 where the
    /// operation had been started before.
    pub(crate) async fn start_operation(
        &self,
        spec: OperationSpec,
        deed: Option<Deed>,
        now: UnixMs,
    ) -> Result<(Submitted, u64), StoreError> {
        match &self.inner.writer {
            Some(writer) => writer.start_operation(spec, deed, now).await,
            None => Err(only_looking().into()),
        }
    }

    /// Runs `work` in a transaction and returns after it is on disk. When `work` fails nothing is kept.
    pub(crate) async fn write_with<T, E>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>, &Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        match &self.inner.writer {
            Some(writer) => writer.write(lane, work).await,
            None => Err(only_looking().into()),
        }
    }

    /// Runs `work` on a consistent view.
    pub(crate) async fn read_with<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    /// A connection for a single statement here and now, unless somebody else has it.
    pub(crate) fn near(&self) -> Option<MutexGuard<'_, Connection>> {
        self.inner.readers.near()
    }

    /// The commits, where there is a writer.
    pub(crate) fn commit_times(&self) -> Option<&Commits> {
        self.inner.writer.as_ref().map(writer::Writer::commits)
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.inner.writer.as_ref().is_some_and(writer::Writer::is_poisoned)
    }
}

/// Refuses an SQLite that could destroy the database. `number` is what `sqlite3_libversion_number` says, such as 3051003.
fn check_version(number: i32, found: &str) -> Result<(), StoreError> {
    match number < SQLITE_MIN {
        true => Err(StoreError::OldSqlite { found: found.to_owned() }),
        false => Ok(()),
    }
}

fn reading(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path, READER_CACHE_KIB)?;
    connection.execute_batch("pragma query_only = on;").doing("setting a reader up")?;
    // Only the writer moves the log: one that closes last after a failed commit must leave it alone.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).doing("setting a reader up")?;
    Ok(connection)
}

fn only_looking() -> JournalError {
    let reason = "another process holds the data directory; it is only looked into here".to_owned();
    JournalError::Refused { reason, source: None }
}

fn connect(path: &Path, cache_kib: i32) -> Result<Connection, StoreError> {
    let connection = Connection::open(path).doing("opening the database")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without this guarantee a statement is planned anew whenever another value is bound, because a better plan might be found.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).doing("setting a connection up")?;
    connection.pragma_update(None, "cache_size", -cache_kib).doing("setting a connection up")?;
    // What undoes a write of a shared transaction would otherwise go through a file that is made and removed each time.
    connection.pragma_update(None, "temp_store", "memory").doing("setting a connection up")?;
    Ok(connection)
}

impl Backend for Sqlite {
    fn exclusive(&self) -> bool {
        true
    }

    async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        match &self.inner.writer {
            Some(writer) => writer.write_rows(lane, work).await,
            None => Err(only_looking()),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.read_with(move |connection| work(&mut SqlRows::new(connection))).await
    }

    fn signals(&self) -> watch::Receiver<Signal> {
        self.inner.writer.as_ref().map_or_else(|| self.inner.still.subscribe(), writer::Writer::signals)
    }
}

/// What one write leaves to be done once the commit is known.
pub(crate) struct Pending {
    announce: Announce,
    answer: Box<dyn FnOnce(Commit) + Send>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Commit {
    /// On disk.
    Kept,
    /// The database took the whole transaction back, as it does when the disk is full; nothing was kept.
    TakenBack,
    /// Unknown: nothing more may be acknowledged.
    Failed,
}
