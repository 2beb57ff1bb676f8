//! A place of its own for each test: a data directory.
use std::path::Path;
use std::sync::Arc;

use rl_engine::Clock;
use rl_store::{Place, Store, StoreError};

/// Where a test's store is; gone with the value.
pub(crate) struct Home {
    place: Place,
    _dir: Option<tempfile::TempDir>,
}

impl Home {
    /// A data directory.
    pub(crate) fn directory() -> Home {
        let dir = tempfile::tempdir().unwrap();
        Home { place: Place::Directory(dir.path().to_owned()), _dir: Some(dir) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The directory, where it is one.
    pub(crate) fn dir(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(dir) => Some(dir),
        }
    }

    pub(crate) async fn open(&self, clock: Arc<dyn Clock>) -> Result<Store, StoreError> {
        Store::at(&self.place, clock).await
    }

    /// Runs one statement with one parameter on the database, past the store.
    pub(crate) fn change(&self, sql: &str, parameter: &str) {
        match &self.place {
            Place::Directory(dir) => {
                let database = rusqlite::Connection::open(dir.join("rapidlaunch.db")).unwrap();
                assert_eq!(database.execute(sql, [parameter]).unwrap(), 1, "{sql}");
            }
        }
    }

    /// The same without a parameter.
    pub(crate) fn change_any(&self, sql: &str) {
        match &self.place {
            Place::Directory(dir) => {
                let database = rusqlite::Connection::open(dir.join("rapidlaunch.db")).unwrap();
                database.execute(sql, []).unwrap();
            }
        }
    }

    /// The first column of every row, as the bytes it is stored as.
    pub(crate) fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        match &self.place {
            Place::Directory(dir) => {
                let database = rusqlite::Connection::open(dir.join("rapidlaunch.db")).unwrap();
                let mut statement = database.prepare(sql).unwrap();
                let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes()?.to_vec());
                statement.query_map([], read).unwrap().map(Result::unwrap).collect()
            }
        }
    }

    /// Runs a statement that SQLite itself would refuse.
    pub(crate) fn damage(&self, sql: &str) {
        match &self.place {
            Place::Directory(dir) => {
                let database = rusqlite::Connection::open(dir.join("rapidlaunch.db")).unwrap();
                database
                    .execute_batch(&format!("pragma writable_schema = on; {sql}; pragma writable_schema = off;"))
                    .unwrap();
            }
        }
    }
}
