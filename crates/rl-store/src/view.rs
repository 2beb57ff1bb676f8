//! A database that is only read: neither made nor changed, and beside whoever works with it.
use rl_engine::JournalError;

use crate::db::{Dialect, has_store};
use crate::error::StoreError;
use crate::pg::Looker;
use crate::place::Place;
use crate::sql::Sql;
use crate::sqlite::Sqlite;

/// See the module.
pub(crate) enum View {
    /// A data directory, whether another process holds it or not.
    Sqlite(Sqlite),
    /// A database on a server.
    Postgres(Looker),
}

impl View {
    /// Opens the database of a place, where there is one.
    pub(crate) async fn open(place: &Place) -> Result<Self, StoreError> {
        match place {
            Place::Directory(dir) => Ok(View::Sqlite(Sqlite::look(dir)?)),
            Place::Database(target) => {
                has_store(target).await?;
                Ok(View::Postgres(Looker::open(target)?))
            }
        }
    }

    /// Whose SQL it speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            View::Sqlite(_) => Dialect::Sqlite,
            View::Postgres(_) => Dialect::Postgres,
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
            View::Sqlite(sqlite) => sqlite.read_with(move |connection| work(connection)).await,
            View::Postgres(looker) => looker.read_with(work).await,
        }
    }
}
