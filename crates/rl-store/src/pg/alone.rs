//! Connections beside the writer: for whoever only reads a database, and for the end of a copy.
use std::cell::RefCell;
use std::sync::Arc;

use rl_engine::JournalError;

use super::conn::{Conn, runtime};
use super::error::PgError;
use super::reader::Readers;
use super::reader_rows::ReaderSql;
use super::starting;
use super::txn::params;
use super::url::Target;
use crate::error::StoreError;
use crate::sql::{Sql, SqlRow, Value, dollars};

/// A database that is only read: nothing of it has to be well for that, and nothing is changed.
#[derive(Clone)]
pub(crate) struct Looker {
    readers: Arc<Readers>,
}

impl Looker {
    /// Starts the readers, which connect with their first read.
    pub(crate) fn open(target: &Target) -> Result<Self, StoreError> {
        Ok(Self { readers: Arc::new(Readers::start(target).map_err(starting)?) })
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
        self.readers.read(move |conn| work(&ReaderSql(conn))).await
    }
}

/// Runs `work` in one transaction on a connection of its own, past the writer: for rows that the writer keeps for itself. Blocks.
pub(crate) fn past_the_writer<T>(
    target: &Target,
    work: impl FnOnce(&dyn Sql) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let runtime = runtime().map_err(starting)?;
    let conn = RefCell::new(Conn::open(&runtime, target)?);
    conn.borrow().batch("begin", "beginning a transaction")?;
    // What fails ends with its connection, and with it its transaction.
    let value = work(&AloneSql(&conn))?;
    conn.borrow().batch("commit", "committing")?;
    Ok(value)
}

struct AloneSql<'a>(&'a RefCell<Conn>);

impl Sql for AloneSql<'_> {
    fn execute(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<u64, StoreError> {
        Ok(self.0.borrow_mut().execute(&dollars(sql), &params(values), doing)?)
    }

    fn query(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<Vec<SqlRow>, StoreError> {
        let rows: Result<Vec<SqlRow>, PgError> = self.0.borrow_mut().query(&dollars(sql), &params(values), doing);
        Ok(rows?)
    }
}
