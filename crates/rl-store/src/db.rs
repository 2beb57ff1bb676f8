//! The database behind a store, whichever it is.
use std::sync::Arc;

use rl_engine::{Journal, JournalError, Lane, Tx};

use crate::error::StoreError;
use crate::place::Place;
use crate::sql::Sql;
use crate::sqlite::Sqlite;

/// Whose SQL it is, where the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// An open database: cheap to clone, closed when the last clone goes.
#[derive(Clone)]
pub(crate) enum Db {
    /// A data directory.
    Sqlite(Sqlite),
}

impl Db {
    /// Opens the database of a place, making it when it is missing, and brings its schema up to date.
    pub(crate) async fn open(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(dir) => Ok(Db::Sqlite(Sqlite::open(dir)?)),
        }
    }

    /// Opens the database of a place for reading alone: it is neither made nor changed.
    pub(crate) async fn look(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(dir) => Ok(Db::Sqlite(Sqlite::look(dir)?)),
        }
    }

    /// Opens the database of a place where there is one.
    pub(crate) async fn existing(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(dir) => Sqlite::find(dir)?,
        }
        Self::open(place).await
    }

    /// Runs `work` while nobody writes.
    pub(crate) async fn hold_still<T, E>(
        &self,
        work: impl FnOnce(&dyn Sql) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        match self {
            // This process holds the directory, and a reader sees one moment.
            Db::Sqlite(_) => self.read_with(work).await,
        }
    }

    /// Whose SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Db::Sqlite(_) => Dialect::Sqlite,
        }
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
