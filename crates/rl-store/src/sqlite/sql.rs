//! The common SQL on a connection of SQLite.
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::error::{Doing, StoreError};
use crate::sql::{Cell, Sql, SqlRow, Value};

impl Sql for Connection {
    fn execute(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<u64, StoreError> {
        let changed = self.prepare_cached(sql).doing(doing)?.execute(params_from_iter(values)).doing(doing)?;
        Ok(changed as u64)
    }

    fn query(&self, sql: &str, values: &[Value<'_>], doing: &'static str) -> Result<Vec<SqlRow>, StoreError> {
        let mut statement = self.prepare_cached(sql).doing(doing)?;
        let columns = statement.column_count();
        let rows = statement.query_map(params_from_iter(values), |row| read(row, columns)).doing(doing)?;
        rows.collect::<rusqlite::Result<Vec<SqlRow>>>().doing(doing)
    }
}

fn read(row: &Row<'_>, columns: usize) -> rusqlite::Result<SqlRow> {
    (0..columns).map(|column| Ok(cell(row.get_ref(column)?))).collect::<rusqlite::Result<_>>().map(SqlRow)
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) => Cell::Text(number.to_string()),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Bytes(bytes.to_owned()),
        },
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_owned()),
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
