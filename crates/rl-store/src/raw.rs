//! One row of a store as it is stored, for rows that nothing else can read.
use crate::copy::catalog;
use crate::copy::sum::{Plain, plain};
use crate::error::StoreError;
use crate::place::Place;
use crate::sql::{Sql, SqlRow, Value};
use crate::view::View;

/// A stored row: its columns by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Name and value of each column.
    pub columns: Vec<(String, Raw)>,
}

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// No value.
    Null,
    /// A whole number.
    Int(i64),
    /// The bytes of a text, whether they are one or not.
    Bytes(Vec<u8>),
}

/// The row of a table by its key, with `/` between the columns of the key; `None` when there is no such table or row.
pub async fn raw_row(place: &Place, table: &str, key: &str) -> Result<Option<RawRow>, StoreError> {
    let db = View::open(place).await?;
    let (dialect, name, key) = (db.dialect(), table.to_owned(), key.to_owned());
    db.read_with(move |db| {
        let tables = catalog::tables(db, dialect)?;
        let Some(table) = tables.iter().find(|table| table.name == name) else { return Ok(None) };
        Ok(row(db, table, &key)?.map(|row| named(table, &row)))
    })
    .await
}

fn row(db: &dyn Sql, table: &catalog::Table, key: &str) -> Result<Option<SqlRow>, StoreError> {
    // One part of a key may hold a `/` itself: the last, as a path does, or the first, as a secret's name does.
    let first: Vec<&str> = key.splitn(table.key.len(), '/').collect();
    let last: Vec<&str> = key.rsplitn(table.key.len(), '/').collect::<Vec<_>>().into_iter().rev().collect();
    match by_parts(db, table, &first)? {
        None if first != last => by_parts(db, table, &last),
        found => Ok(found),
    }
}

fn by_parts(db: &dyn Sql, table: &catalog::Table, parts: &[&str]) -> Result<Option<SqlRow>, StoreError> {
    let mut values = Vec::new();
    let mut wanted = Vec::new();
    for (name, part) in table.key.iter().zip(parts) {
        let is_text = table.columns.iter().any(|column| column.name == *name && column.is_text);
        match part.parse::<i64>() {
            _ if is_text => values.push(Value::from(*part)),
            Ok(number) => values.push(Value::Int(number)),
            Err(_) => return Ok(None),
        }
        wanted.push(format!("{} = ?{}", catalog::quoted(name), values.len()));
    }
    if values.len() != table.key.len() {
        return Ok(None);
    }
    let (columns, name, wanted) = (table.list(), catalog::quoted(&table.name), wanted.join(" and "));
    let sql = format!("select {columns} from {name} where {wanted}");
    Ok(db.query(&sql, &values, "reading a row as it is stored")?.into_iter().next())
}

fn named(table: &catalog::Table, row: &SqlRow) -> RawRow {
    let columns = table.columns.iter().zip(&row.0).map(|(column, cell)| {
        let value = match plain(cell) {
            Plain::Null => Raw::Null,
            Plain::Int(number) => Raw::Int(number),
            Plain::Bytes(bytes) => Raw::Bytes(bytes.into_owned()),
        };
        (column.name.clone(), value)
    });
    RawRow { columns: columns.collect() }
}
