//! The database behind a store, whichever it is.
use std::sync::Arc;

use rl_engine::{Journal, JournalError, Lane, Tx};

use crate::sql::Sql;
use crate::sqlite::Sqlite;

/// An open database: cheap to clone, closed when the last clone goes.
#[derive(Clone)]
pub(crate) enum Db {
    /// A data directory.
    Sqlite(Sqlite),
}

impl Db {
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
        match self {
            Db::Sqlite(sqlite) => sqlite.write_with(lane, move |tx, connection| work(tx, connection)).await,
        }
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
        match self {
            Db::Sqlite(sqlite) => sqlite.read_with(move |connection| work(connection)).await,
        }
    }

    /// The journal for an engine.
    pub(crate) fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Db::Sqlite(sqlite) => Arc::new(sqlite.clone()),
        }
    }

    /// Whether writes are refused because another process holds the data directory.
    pub(crate) fn is_looking(&self) -> bool {
        match self {
            Db::Sqlite(sqlite) => sqlite.is_looking(),
        }
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        match self {
            Db::Sqlite(sqlite) => sqlite.is_poisoned(),
        }
    }

    pub(crate) fn commits(&self) -> u64 {
        match self {
            Db::Sqlite(sqlite) => sqlite.commits(),
        }
    }
}
