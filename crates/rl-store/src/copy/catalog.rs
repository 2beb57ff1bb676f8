//! What tables and columns a database has, as it says itself: a table that a later release adds is copied without a change here.
use std::collections::BTreeMap;

use crate::db::Dialect;
use crate::error::StoreError;
use crate::sql::{CellError, Sql, values};

/// Tables that describe the database, or by which servers tell each other what changed, and hold nothing to keep.
const OWN_TABLES: [&str; 3] = ["migration", "head", "change"];
/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name.
    pub(crate) name: String,
    /// The columns of its primary key, in order.
    pub(crate) key: Vec<String>,
    /// All its columns that are copied, by name.
    pub(crate) columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    /// Its name.
    pub(crate) name: String,
    /// Whether it holds text; whole numbers otherwise.
    pub(crate) is_text: bool,
}

impl Table {
    /// The columns as a list for a statement.
    pub(crate) fn list(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// The primary key as a list for a statement.
    pub(crate) fn key_list(&self) -> String {
        self.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
    }
}

/// A name as both databases take it, whatever word it is.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// The tables of a database that hold something, by name.
pub(crate) fn tables(db: &dyn Sql, dialect: Dialect) -> Result<Vec<Table>, StoreError> {
    let doing = "reading which tables there are";
    let sql = match dialect {
        Dialect::Sqlite => {
            "select t.name, c.name, lower(c.type), c.pk from sqlite_schema t join pragma_table_info(t.name) c
             where t.type = 'table' and t.name not like 'sqlite_%'"
        }
        Dialect::Postgres => {
            "select cast(c.table_name as text), cast(c.column_name as text), cast(c.data_type as text),
               cast(coalesce(k.ordinal_position, 0) as bigint)
             from information_schema.columns c
             join information_schema.tables t
               on t.table_schema = c.table_schema and t.table_name = c.table_name and t.table_type = 'BASE TABLE'
             left join information_schema.table_constraints p
               on p.table_schema = c.table_schema and p.table_name = c.table_name and p.constraint_type = 'PRIMARY KEY'
             left join information_schema.key_column_usage k
               on k.constraint_schema = p.constraint_schema and k.constraint_name = p.constraint_name
                 and k.table_name = c.table_name and k.column_name = c.column_name
             where c.table_schema = current_schema()"
        }
    };
    let mut found: BTreeMap<String, Vec<(i64, Column)>> = BTreeMap::new();
    for row in db.query(sql, values![], doing)? {
        let wrong =
            |error: CellError| StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) };
        let (table, name) = (row.text(0).map_err(wrong)?, row.text(1).map_err(wrong)?);
        let kind = row.text(2).map_err(wrong)?;
        if OWN_TABLES.contains(&table) {
            continue;
        }
        let is_text = match kind {
            "text" => true,
            "integer" | "bigint" | "smallint" => false,
            _ => return Err(StoreError::UnknownColumn { column: format!("{table}.{name}"), kind: kind.to_owned() }),
        };
        let place = row.int(3).map_err(wrong)?;
        found.entry(table.to_owned()).or_default().push((place, Column { name: name.to_owned(), is_text }));
    }
    Ok(found.into_iter().map(|(name, columns)| table(name, columns)).collect())
}

fn table(name: String, columns: Vec<(i64, Column)>) -> Table {
    let mut key: Vec<(i64, String)> =
        columns.iter().filter(|column| column.0 > 0).map(|(place, column)| (*place, column.name.clone())).collect();
    key.sort();
    let mut columns: Vec<Column> = columns.into_iter().map(|(_, column)| column).collect();
    columns.sort();
    Table { name, key: key.into_iter().map(|(_, name)| name).collect(), columns }
}
