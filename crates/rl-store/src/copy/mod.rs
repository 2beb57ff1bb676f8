//! Copies a store to another place, from either database to either, with all it holds and nothing else.
//!
//! The source is held still meanwhile: nobody writes to it. The target is marked until every row has been read back and compared
//! by number and checksum; with the mark nobody can open it, and another copy empties it and begins anew.
pub(crate) mod catalog;
pub(crate) mod chunks;
mod error;
mod finish;
mod prepare;
pub(crate) mod sum;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rl_engine::{Clock, Lane};

pub use error::CopyError;

use crate::copy::catalog::Table;
use crate::copy::sum::Sum;
use crate::db::{Db, Dialect};
use crate::error::StoreError;
use crate::mark;
use crate::place::Place;
use crate::sql::{Cell, Sql, SqlRow};

/// Parts of a table on their way from one database to the other: one is written while the next is read.
const PARTS_UNDER_WAY: usize = 1;

/// What a copy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyReport {
    /// Every table, by name.
    pub tables: Vec<Copied>,
}

/// A copied table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Checksum of every row, the same on both sides, in hexadecimal digits.
    pub checksum: String,
}

/// Number and sum of a table's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Count {
    rows: u64,
    sum: Sum,
}

type Counts = BTreeMap<String, Count>;

/// A part of a table on its way.
struct Part {
    table: Arc<Table>,
    rows: Vec<SqlRow>,
}

/// Copies the store at `from` to `to`, which must be empty, and reads it back. `tell` hears of each table and how many of its rows
/// are written.
pub async fn copy(
    from: &Place,
    to: &Place,
    clock: Arc<dyn Clock>,
    tell: impl Fn(&str, u64) + Send + 'static,
) -> Result<CopyReport, CopyError> {
    let source = prepare::source(from, to, &clock).await?;
    let target = prepare::target(from, to, &clock).await?;
    let tables = prepare::common_tables(&source, &target).await?;
    let (dialect, written_to) = (source.dialect(), tables.clone());
    let (sender, receiver) = sync_channel(PARTS_UNDER_WAY);
    let writing = tokio::task::spawn_blocking({
        let target = target.clone();
        move || write_parts(&target, &receiver, &tell)
    });
    let reading = source.hold_still(move |db| read_tables(db, dialect, &tables, &sender));
    let (read, written) = tokio::join!(reading, writing);
    // What stopped the writing is why the reading found nobody to give to.
    written.map_err(|_| CopyError::Stopped)??;
    let (read, last_event) = read?;
    let found = counts(&target, written_to).await?;
    if let Some(table) = read.keys().chain(found.keys()).find(|table| read.get(*table) != found.get(*table)) {
        return Err(CopyError::Differs { table: table.clone() });
    }
    finish::finish(target, to, last_event).await?;
    let copied = |(table, count): (String, Count)| Copied { table, rows: count.rows, checksum: count.sum.to_string() };
    Ok(CopyReport { tables: read.into_iter().map(copied).collect() })
}

/// Reads every table and hands its parts on. Answers what was read, and the number of the last event there ever was.
fn read_tables(
    db: &dyn Sql,
    dialect: Dialect,
    tables: &[Arc<Table>],
    sender: &SyncSender<Part>,
) -> Result<(Counts, i64), StoreError> {
    let mut counts = Counts::new();
    let last_event = prepare::last_event(db, dialect)?;
    for table in tables {
        let count = counts.entry(table.name.clone()).or_default();
        chunks::chunks(db, table, &mut |rows| {
            count.add(&rows);
            let part = Part { table: Arc::clone(table), rows };
            sender.send(part).map_err(|_| StoreError::CopyStopped)
        })?;
    }
    Ok((counts, last_event))
}

/// Writes parts until there are no more. Runs on a thread where blocking is allowed.
fn write_parts(target: &Db, parts: &Receiver<Part>, tell: &dyn Fn(&str, u64)) -> Result<(), StoreError> {
    let runtime = tokio::runtime::Handle::current();
    let dialect = target.dialect();
    let mut written = BTreeMap::<String, u64>::new();
    for Part { table, rows } in parts {
        let count = written.entry(table.name.clone()).or_default();
        *count += rows.len() as u64;
        let name = table.name.clone();
        runtime.block_on(target.write_with(Lane::Intake, move |_, db| write::insert(db, dialect, &table, &rows)))?;
        tell(&name, *count);
    }
    Ok(())
}

/// Reads everything back.
async fn counts(db: &Db, tables: Vec<Arc<Table>>) -> Result<Counts, StoreError> {
    db.read_with(move |db| {
        let mut counts = Counts::new();
        for table in tables {
            let count = counts.entry(table.name.clone()).or_default();
            chunks::chunks(db, &table, &mut |mut rows| {
                // The mark is the copy's own.
                rows.retain(|row| table.name != "meta" || !row.0.iter().any(is_mark));
                count.add(&rows);
                Ok(())
            })?;
        }
        Ok(counts)
    })
    .await
}

fn is_mark(cell: &Cell) -> bool {
    matches!(cell, Cell::Text(text) if text == mark::KEY)
}

impl Count {
    fn add(&mut self, rows: &[SqlRow]) {
        self.rows += rows.len() as u64;
        rows.iter().for_each(|row| self.sum.add(row));
    }
}
