//! The database behind a store, whichever it is.
use std::sync::Arc;

use rl_engine::{Journal, JournalError, Lane, Tx, UnixMs};

use crate::commits::Commits;
use crate::error::StoreError;
use crate::pg::{Postgres, Target};
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
    /// A database that other servers may use at the same time.
    Postgres(Postgres),
}

impl Db {
    /// Opens the database of a place, making it when it is missing, and brings its schema up to date.
    pub(crate) async fn open(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(dir) => Ok(Db::Sqlite(Sqlite::open(dir)?)),
            Place::Database(target) => connect(target).await.map(Db::Postgres),
        }
    }

    /// Opens the database of a place where there is one.
    pub(crate) async fn existing(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(dir) => Sqlite::find(dir)?,
            Place::Database(target) => has_store(target).await?,
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
        E: From<JournalError> + From<StoreError> + Send + 'static,
    {
        match self {
            // This process holds the directory, and a reader sees one moment.
            Db::Sqlite(_) => self.read_with(work).await,
            // Every writer takes turns, so that as long as this write lasts there is no other.
            Db::Postgres(_) => {
                self.write_with(Lane::Intake, move |_, db| {
                    no_hurry(db, Dialect::Postgres)?;
                    work(db)
                })
                .await
            }
        }
    }

    /// Whose SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Db::Sqlite(_) => Dialect::Sqlite,
            Db::Postgres(_) => Dialect::Postgres,
        }
    }

    /// The moment that rows are compared with: the database's own where several servers share it.
    pub(crate) fn now(&self, db: &dyn Sql, caller: UnixMs) -> Result<UnixMs, StoreError> {
        match self {
            Db::Sqlite(_) => Ok(caller),
            Db::Postgres(postgres) => postgres.now(db, caller),
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
            Db::Postgres(postgres) => postgres.write_with(lane, work).await,
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
            Db::Postgres(postgres) => postgres.read_with(work).await,
        }
    }

    /// Looks up one row by its key, with a single statement. In a data directory that is done here and now where nobody else does the
    /// same: handing it to another thread and back would take several times as long.
    pub(crate) async fn look_up<T, E>(
        &self,
        work: impl FnOnce(&dyn Sql) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        if let Db::Sqlite(sqlite) = self
            && let Some(connection) = sqlite.near()
        {
            return work(&*connection);
        }
        self.read_with(work).await
    }

    /// The journal for an engine.
    pub(crate) fn journal(&self) -> Arc<dyn Journal> {
        match self {
            Db::Sqlite(sqlite) => Arc::new(sqlite.clone()),
            Db::Postgres(postgres) => Arc::new(postgres.clone()),
        }
    }

    /// Whether writes are refused because another process holds the data directory.
    pub(crate) fn is_looking(&self) -> bool {
        match self {
            Db::Sqlite(sqlite) => sqlite.is_looking(),
            Db::Postgres(_) => false,
        }
    }

    /// Whether a failed commit ended the store. A database that is out of reach may come back.
    pub(crate) fn is_poisoned(&self) -> bool {
        match self {
            Db::Sqlite(sqlite) => sqlite.is_poisoned(),
            Db::Postgres(_) => false,
        }
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commit_times().map_or(0, Commits::count)
    }

    /// The commits, where there is a writer.
    pub(crate) fn commit_times(&self) -> Option<&Commits> {
        match self {
            Db::Sqlite(sqlite) => sqlite.commit_times(),
            Db::Postgres(postgres) => Some(postgres.commit_times()),
        }
    }
}

/// Lifts the limits that keep a session of PostgreSQL from holding others up, for a transaction that must take its time.
pub(crate) fn no_hurry(db: &dyn Sql, dialect: Dialect) -> Result<(), StoreError> {
    if dialect == Dialect::Postgres {
        for setting in ["idle_in_transaction_session_timeout", "statement_timeout"] {
            db.execute(&format!("set local {setting} = 0"), &[], "lifting a time limit")?;
        }
    }
    Ok(())
}

/// Says so when a database holds no store that this release can read as it is.
pub(crate) async fn has_store(target: &Target) -> Result<(), StoreError> {
    let known = target.clone();
    if blocking(move || Postgres::check_schema(&known)).await? {
        return Ok(());
    }
    Err(StoreError::NoStore { place: target.to_string() })
}

async fn connect(target: &Target) -> Result<Postgres, StoreError> {
    let target = target.clone();
    blocking(move || Postgres::open(&target)).await
}

/// Runs what blocks where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(StoreError::Poisoned),
    })
}
