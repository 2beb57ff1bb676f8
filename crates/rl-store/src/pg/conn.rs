//! A connection used from a thread that may block: each call runs to its end on the thread's own small runtime.
use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Row, Statement};

use super::connect::{Link, open};
use super::error::PgError;
use super::url::Target;
use crate::sql::{Cell, SqlRow, Value};

/// Longest wait for one answer. Above the session's own limits, so that a server that lives answers first.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// Most prepared statements of one connection: more than the store has.
const STATEMENTS_MAX: usize = 256;

/// A parameter of a statement.
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// See the module.
pub(super) struct Conn {
    runtime: Rc<Runtime>,
    link: Link,
    statements: HashMap<String, Statement>,
}

/// The runtime of a thread that holds connections.
pub(super) fn runtime() -> std::io::Result<Rc<Runtime>> {
    Ok(Rc::new(Builder::new_current_thread().enable_all().build()?))
}

/// Randomness for names and pauses.
pub(super) fn random() -> SmallRng {
    SmallRng::from_os_rng()
}

impl Conn {
    pub(super) fn open(runtime: &Rc<Runtime>, target: &Target) -> Result<Self, PgError> {
        let link = runtime.block_on(open(target, None))?;
        Ok(Self { runtime: Rc::clone(runtime), link, statements: HashMap::new() })
    }

    /// Waits for an answer, but not for ever.
    pub(super) fn wait<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, PgError> {
        let limited = async { tokio::time::timeout(ANSWER_MAX, answer).await };
        match self.runtime.block_on(limited) {
            Ok(answer) => answer.map_err(|error| PgError::of(doing, error)),
            Err(_) => Err(PgError::TimedOut { doing }),
        }
    }

    pub(super) fn client(&self) -> &tokio_postgres::Client {
        &self.link.client
    }

    pub(super) fn is_closed(&self) -> bool {
        self.link.client.is_closed()
    }

    /// Lowers the flag that a warning raises; answers whether it was up.
    pub(super) fn take_doubt(&self) -> bool {
        self.link.doubt.swap(false, Ordering::SeqCst)
    }

    /// The prepared form of a statement.
    pub(super) fn prepared(&mut self, sql: &str, doing: &'static str) -> Result<Statement, PgError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let statement = self.wait(doing, self.link.client.prepare(sql))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(super) fn batch(&self, sql: &str, doing: &'static str) -> Result<(), PgError> {
        self.wait(doing, self.link.client.batch_execute(sql))
    }

    pub(super) fn execute(&mut self, sql: &str, params: &[Param<'_>], doing: &'static str) -> Result<u64, PgError> {
        let statement = self.prepared(sql, doing)?;
        self.wait(doing, self.link.client.execute(&statement, params))
    }

    pub(super) fn query(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        doing: &'static str,
    ) -> Result<Vec<SqlRow>, PgError> {
        let statement = self.prepared(sql, doing)?;
        let rows = self.wait(doing, self.link.client.query(&statement, params))?;
        rows.iter().map(|row| read(row).map_err(|error| PgError::of(doing, error))).collect()
    }
}

/// A row as the store reads it.
pub(super) fn read(row: &Row) -> Result<SqlRow, tokio_postgres::Error> {
    (0..row.len())
        .map(|column| Ok(row.try_get::<_, Option<Read>>(column)?.map_or(Cell::Null, |read| read.0)))
        .collect::<Result<_, _>>()
        .map(SqlRow)
}

/// A cell of any type the store has.
struct Read(Cell);

impl<'a> FromSql<'a> for Read {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Read(match *kind {
            Type::INT8 => Cell::Int(i64::from_sql(kind, raw)?),
            Type::INT4 => Cell::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Cell::Int(i16::from_sql(kind, raw)?.into()),
            Type::BOOL => Cell::Int(bool::from_sql(kind, raw)?.into()),
            _ => std::str::from_utf8(raw)
                .map_or_else(|_| Cell::Bytes(raw.to_owned()), |text| Cell::Text(text.to_owned())),
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(number), &Type::INT8) => number.to_sql(kind, out),
            (Value::Int(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, out),
            (Value::Int(number), &Type::INT2) => i16::try_from(*number)?.to_sql(kind, out),
            (Value::Int(number), &Type::BOOL) => (*number != 0).to_sql(kind, out),
            (Value::Int(number), _) => number.to_string().to_sql(kind, out),
            (Value::Text(text), &Type::INT8) => text.parse::<i64>()?.to_sql(kind, out),
            (Value::Text(text), _) => text.as_ref().to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
