//! Rows of a table in the order of its key, a bounded part at a time.
use crate::copy::catalog::{Table, quoted};
use crate::error::StoreError;
use crate::sql::{Cell, Sql, SqlRow, Value};

/// Most rows of a part.
const ROWS_MAX: usize = 1_000;
/// Most bytes of text in a part, unless a single row has more: a part is held in memory on its way.
const BYTES_MAX: i64 = 4 << 20;

/// Gives every row of a table to `each`, in parts. The columns are those of the table, by name.
pub(crate) fn chunks(
    db: &dyn Sql,
    table: &Table,
    each: &mut dyn FnMut(Vec<SqlRow>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Vec<Value<'static>>> = None;
    loop {
        let Some(last) = end_of_part(db, table, after.as_deref())? else { return Ok(()) };
        let (lower, upper) = (bound(table, ">", 0), bound(table, "<=", table.key.len()));
        let (columns, name, key) = (table.list(), quoted(&table.name), table.key_list());
        let rows = match after.take() {
            Some(mut values) => {
                values.extend(last.iter().cloned());
                let sql = format!("select {columns} from {name} where {lower} and {upper} order by {key}");
                db.query(&sql, &values, "reading rows to copy")?
            }
            None => {
                let upper = bound(table, "<=", 0);
                let sql = format!("select {columns} from {name} where {upper} order by {key}");
                db.query(&sql, &last, "reading rows to copy")?
            }
        };
        each(rows)?;
        after = Some(last);
    }
}

/// The key of the last row of the part that begins after a key; `None` when nothing is left. Only keys and sizes are read.
fn end_of_part(
    db: &dyn Sql,
    table: &Table,
    after: Option<&[Value<'static>]>,
) -> Result<Option<Vec<Value<'static>>>, StoreError> {
    let sizes: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.is_text)
        .map(|column| format!("coalesce(octet_length({}), 0)", quoted(&column.name)))
        .collect();
    let size = if sizes.is_empty() { "0".to_owned() } else { sizes.join(" + ") };
    let lower = if after.is_some() { format!("where {}", bound(table, ">", 0)) } else { String::new() };
    let (name, key) = (quoted(&table.name), table.key_list());
    let sql = format!("select {key}, cast({size} as bigint) from {name} {lower} order by {key} limit {ROWS_MAX}");
    let rows = db.query(&sql, after.unwrap_or_default(), "reading the sizes of rows to copy")?;
    let mut bytes = 0i64;
    let mut last = None;
    for row in &rows {
        bytes = bytes.saturating_add(row.int(table.key.len()).unwrap_or(BYTES_MAX));
        if last.is_some() && bytes > BYTES_MAX {
            break;
        }
        last = Some(row);
    }
    last.map(|row| row.0.iter().take(table.key.len()).map(|cell| key_value(table, cell)).collect()).transpose()
}

fn key_value(table: &Table, cell: &Cell) -> Result<Value<'static>, StoreError> {
    match cell {
        Cell::Int(number) => Ok(Value::Int(*number)),
        Cell::Text(text) => Ok(Value::from(text.clone())),
        Cell::Null | Cell::Bytes(_) => Err(StoreError::Undecodable {
            what: format!("key of a row of table `{}`", table.name),
            source: "it is no text".into(),
        }),
    }
}

/// A comparison of the whole key with parameters from `?from + 1` on.
fn bound(table: &Table, operator: &str, from: usize) -> String {
    let marks: Vec<String> = (1..=table.key.len()).map(|at| format!("?{}", from + at)).collect();
    format!("({}) {operator} ({})", table.key_list(), marks.join(", "))
}
