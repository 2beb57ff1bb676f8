//! Rows into the table of another database.
use crate::copy::catalog::{Table, quoted};
use crate::copy::sum::{Plain, hex, is_text, plain, wrap};
use crate::db::Dialect;
use crate::error::StoreError;
use crate::sql::{Sql, SqlRow, Value};

/// Most parameters of one statement: SQLite takes 32,766, PostgreSQL 65,535.
const PARAMETERS_MAX: usize = 16_000;
/// Most rows of one statement: beyond it a statement costs more to prepare than it saves.
const ROWS_MAX: usize = 200;

/// Adds rows.
pub(crate) fn insert(db: &dyn Sql, dialect: Dialect, table: &Table, rows: &[SqlRow]) -> Result<(), StoreError> {
    let most = (PARAMETERS_MAX / table.columns.len().max(1)).clamp(1, ROWS_MAX);
    for part in rows.chunks(most) {
        let mut values = Vec::with_capacity(part.len() * table.columns.len());
        let mut marks = Vec::with_capacity(part.len());
        for row in part {
            let of_row: Vec<String> = row.0.iter().map(|cell| push(&mut values, dialect, plain(cell))).collect();
            marks.push(format!("({})", of_row.join(", ")));
        }
        let sql = format!("insert into {} ({}) values {}", quoted(&table.name), table.list(), marks.join(", "));
        db.execute(&sql, &values, "writing copied rows")?;
    }
    Ok(())
}

/// Adds a parameter and gives what stands for it in the statement.
fn push<'a>(values: &mut Vec<Value<'a>>, dialect: Dialect, cell: Plain<'a>) -> String {
    let place = values.len() + 1;
    let mut mark = format!("?{place}");
    values.push(match cell {
        Plain::Null => Value::Null,
        Plain::Int(number) => Value::Int(number),
        Plain::Bytes(bytes) if is_text(&bytes) => Value::Text(text(bytes)),
        Plain::Bytes(bytes) => match dialect {
            Dialect::Postgres => Value::from(wrap(&bytes)),
            Dialect::Sqlite => {
                mark = format!("cast(unhex(?{place}) as text)");
                Value::from(hex(&bytes))
            }
        },
    });
    mark
}

fn text(bytes: std::borrow::Cow<'_, [u8]>) -> std::borrow::Cow<'_, str> {
    match bytes {
        std::borrow::Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        std::borrow::Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    }
}
