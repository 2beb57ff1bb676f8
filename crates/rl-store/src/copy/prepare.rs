//! Makes source and target of a copy ready: nobody works on either, the one can be read, the other is empty and marked.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Clock, Ids, Lane, RegisterRequest};

use crate::copy::catalog::{self, Table, quoted};
use crate::copy::error::CopyError;
use crate::db::{Db, Dialect, no_hurry};
use crate::error::StoreError;
use crate::mark;
use crate::place::Place;
use crate::sql::{Sql, values};

/// How long the copy's own engine run may last: it is ended at once.
const RUN: Duration = Duration::from_secs(60);

/// Opens the source. Jobs of engine runs that have ended are taken back, as any command does, so that nothing is copied as running.
pub(super) async fn source(from: &Place, to: &Place, clock: &Arc<dyn Clock>) -> Result<Db, CopyError> {
    if from.is_same(to) {
        return Err(CopyError::Same { place: from.to_string() });
    }
    let source = Db::existing(from).await?;
    source.read_with(mark::refuse_unfinished).await?;
    take_back(&source, clock).await?;
    refuse_in_use(&source, from).await?;
    Ok(source)
}

/// Opens the target, empties it when an earlier copy did not end, and marks it.
pub(super) async fn target(from: &Place, to: &Place, clock: &Arc<dyn Clock>) -> Result<Db, CopyError> {
    let target = Db::open(to).await?;
    let dialect = target.dialect();
    let filled = target.read_with(move |db| first_filled(db, dialect)).await?;
    if let Some(table) = filled {
        return Err(CopyError::NotEmpty { place: to.to_string(), table });
    }
    take_back(&target, clock).await?;
    refuse_in_use(&target, to).await?;
    let from = from.to_string();
    target
        .write_with(Lane::Intake, move |_, db| {
            no_hurry(db, dialect)?;
            for table in catalog::tables(db, dialect)? {
                db.execute(&format!("delete from {}", quoted(&table.name)), &[], "emptying the target")?;
            }
            mark::set(db, &from)
        })
        .await
        .map_err(CopyError::Store)?;
    Ok(target)
}

/// The tables of the source with their columns, each of which the target must have too.
pub(super) async fn common_tables(source: &Db, target: &Db) -> Result<Vec<Arc<Table>>, CopyError> {
    let tables = async |db: &Db| {
        let dialect = db.dialect();
        db.read_with(move |db| catalog::tables(db, dialect)).await
    };
    let (have, room) = (tables(source).await?, tables(target).await?);
    for table in &have {
        let Some(other) = room.iter().find(|other| other.name == table.name) else {
            return Err(CopyError::NoPlace { what: format!("table `{}`", table.name) });
        };
        let missing = table.columns.iter().find(|column| !other.columns.contains(column));
        if let Some(column) = missing {
            return Err(CopyError::NoPlace { what: format!("column `{}` in table `{}`", column.name, table.name) });
        }
    }
    Ok(have.into_iter().map(Arc::new).collect())
}

/// A table with rows, unless they are those of an unfinished copy.
fn first_filled(db: &dyn Sql, dialect: Dialect) -> Result<Option<String>, StoreError> {
    if mark::read(db)?.is_some() {
        return Ok(None);
    }
    // The identity that a new store gives itself, and engine runs, are no content.
    for table in catalog::tables(db, dialect)?.into_iter().filter(|table| !["meta", "owner"].contains(&&*table.name)) {
        let sql = format!("select 1 from {} limit 1", quoted(&table.name));
        if !db.query(&sql, &[], "looking whether the target is empty")?.is_empty() {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}

/// Registers an engine run that knows no job, which takes back the jobs of ended runs, and ends it.
async fn take_back(db: &Db, clock: &Arc<dyn Clock>) -> Result<(), CopyError> {
    let owner = Ids::from_os(Arc::clone(clock)).owner();
    let now = clock.now();
    let request = RegisterRequest { lease_until: now + RUN, known: Default::default(), takeover_grace: Duration::ZERO };
    let journal = db.journal();
    journal.register(owner, request, now).await?;
    journal.unregister(owner, now).await?;
    Ok(())
}

/// Engine runs that are left after those that ended were taken back are alive.
async fn refuse_in_use(db: &Db, place: &Place) -> Result<(), CopyError> {
    let rows = db.read_with(|db| db.query("select id from owner", values![], "looking for engine runs")).await?;
    if rows.is_empty() { Ok(()) } else { Err(CopyError::InUse { place: place.to_string(), owners: rows.len() }) }
}

/// The number of the last event there ever was: followers must never see it given out again.
pub(super) fn last_event(db: &dyn Sql, dialect: Dialect) -> Result<i64, StoreError> {
    let doing = "reading the number of the last event";
    let sql = match dialect {
        Dialect::Sqlite => "select seq from sqlite_sequence where name = 'event'",
        Dialect::Postgres => "select last_event from head where id = 1",
    };
    let rows = db.query(sql, &[], doing)?;
    let last = rows.first().map(|row| row.int_opt(0)).transpose();
    let last =
        last.map_err(|error| StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) })?;
    Ok(last.flatten().unwrap_or(0))
}
