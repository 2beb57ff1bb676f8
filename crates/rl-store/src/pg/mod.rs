//! The PostgreSQL side: one writer thread, a few readers, one watcher, and the rows of the journal.
//!
//! Several servers share one database. Every write of every server locks the one row of `head` first, which puts all writes into
//! one order, so that the rules of the journal, written for one writer, hold for all of them together. A server keeps the rows it
//! works on at hand and writes what changed in a few statements; it follows what others changed by their rows in `change`.
mod alone;
mod cache;
mod columns;
mod conn;
mod connect;
mod error;
mod feed;
mod flush;
mod head;
mod migrate;
mod peer;
mod reader;
mod reader_rows;
mod rows;
mod session;
mod table;
#[cfg(test)]
mod tests;
mod txn;
mod url;
mod watcher;
mod writer;

use std::sync::Arc;

use rl_engine::{Backend, Clock, Hint, JournalError, Lane, RowResult, Rows, Signal, Tx, UnixMs};
use tokio::sync::watch;

use crate::commits::Commits;
use crate::error::StoreError;
use crate::sql::Sql;
pub(crate) use alone::{Looker, past_the_writer};
use conn::Conn;
pub use error::PgError;
pub use peer::plain_claim_complete;
use reader_rows::{ReaderRows, ReaderSql};
use session::TimeSource;
pub use url::{Target, UrlError};

/// An open database: cheap to clone, closed when the last clone goes.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    writer: writer::Writer,
    readers: reader::Readers,
    _watcher: watcher::Watcher,
    known: Arc<watcher::Known>,
    time: TimeSource,
}

impl Postgres {
    /// Connects, brings the schema up to date, and reads what is unfinished. Blocks, so call it where that is allowed.
    pub fn open(target: &Target) -> Result<Self, StoreError> {
        Self::open_with(target, TimeSource::Database)
    }

    /// As [`Postgres::open`], with the callers' clocks in place of the database's: for tests that move time.
    pub fn open_with_callers_clock(target: &Target) -> Result<Self, StoreError> {
        Self::open_with(target, TimeSource::Callers)
    }

    /// As [`Postgres::open`], with a clock that is handed in in place of the database's: for tests.
    pub fn open_with_clock(target: &Target, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with(target, TimeSource::Given(clock))
    }

    fn open_with(target: &Target, time: TimeSource) -> Result<Self, StoreError> {
        let known = Arc::new(watcher::Known::new());
        let writer = writer::Writer::start(target, time.clone(), Arc::clone(&known))?;
        let readers = reader::Readers::start(target).map_err(starting)?;
        let watcher = watcher::Watcher::start(target.clone(), Arc::clone(&known)).map_err(starting)?;
        Ok(Self { inner: Arc::new(Inner { writer, readers, _watcher: watcher, known, time }) })
    }

    /// Checks that the database has the schema that this release needs, without changing it.
    pub fn check_schema(target: &Target) -> Result<bool, StoreError> {
        let check = || -> Result<bool, StoreError> {
            let runtime = conn::runtime().map_err(starting)?;
            migrate::check(&mut Conn::open(&runtime, target)?)
        };
        std::thread::scope(|scope| scope.spawn(check).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs `work` in a transaction and returns after it is on disk. When `work` fails nothing is kept.
    pub(crate) async fn write_with<T, E>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>, &dyn Sql) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.inner.writer.write(lane, Hint::default(), work).await
    }

    /// Runs `work` on a consistent view.
    pub(crate) async fn read_with<T, E>(
        &self,
        work: impl FnOnce(&dyn Sql) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        self.inner.readers.read(move |conn| work(&ReaderSql(conn))).await
    }

    /// The moment that rows are compared with, for a read.
    pub(crate) fn now(&self, db: &dyn Sql, caller: UnixMs) -> Result<UnixMs, StoreError> {
        let doing = "reading the database's clock";
        match &self.inner.time {
            TimeSource::Callers => Ok(caller),
            TimeSource::Given(clock) => Ok(clock.now()),
            TimeSource::Database => {
                let sql = "select cast(extract(epoch from clock_timestamp()) * 1000 as bigint)";
                let rows = db.query(sql, &[], doing)?;
                let now = rows.first().map(|row| row.ms(0)).transpose();
                let wrong = |error| StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) };
                Ok(now.map_err(wrong)?.unwrap_or(caller))
            }
        }
    }

    /// Transactions that were committed since the store was opened: fewer than writes, as concurrent writes share one.
    pub fn commits(&self) -> u64 {
        self.inner.writer.commits().count()
    }

    pub(crate) fn commit_times(&self) -> &Commits {
        self.inner.writer.commits()
    }

    /// Keeps the writer from beginning another transaction, as if the process did not get to run, or lets it go on: for tests.
    pub fn halt(&self, halted: bool) {
        self.inner.writer.halt(halted);
    }
}

fn starting(source: std::io::Error) -> StoreError {
    StoreError::Directory { dir: std::path::PathBuf::new(), doing: "starting the threads of the database", source }
}

impl Backend for Postgres {
    fn exclusive(&self) -> bool {
        false
    }

    async fn write<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.write_with(lane, move |tx, _| work(tx)).await
    }

    async fn write_hinted<T: Send + 'static>(
        &self,
        lane: Lane,
        hint: Hint,
        work: impl FnOnce(&mut Tx<'_>) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.inner.writer.write(lane, hint, move |tx, _| work(tx)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Rows) -> RowResult<T> + Send + 'static,
    ) -> RowResult<T> {
        self.inner.readers.read(move |conn| work(&mut ReaderRows(conn))).await
    }

    fn signals(&self) -> watch::Receiver<Signal> {
        self.inner.known.subscribe()
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").finish_non_exhaustive()
    }
}
