//! Looks whether a store is whole, without changing anything: what is stored can be read, and says nowhere two different things.
mod access;
mod dns;
mod jobs;
mod leases;
mod payloads;
mod records;
mod report;
mod secrets;

use std::collections::BTreeMap;

pub use report::{CheckReport, Finding, Level};

use crate::copy::catalog;
use crate::db::Dialect;
use crate::error::StoreError;
use crate::mark;
use crate::place::Place;
use crate::sql::{CellError, Sql, SqlRow};
use crate::view::View;
use report::Findings;

/// Most faults of the file that SQLite is asked for.
const INTEGRITY_MAX: usize = 100;

/// Checks the store at a place. It is only read, on one view of it, also while servers work on it.
pub async fn check(place: &Place) -> Result<CheckReport, StoreError> {
    let db = View::open(place).await?;
    let dialect = db.dialect();
    db.read_with(move |db| {
        let mut findings = Findings::default();
        let mut tables = BTreeMap::new();
        if let Some(from) = mark::read(db)? {
            let text = format!("the store is a copy of {from} that did not end, and opens for nobody; copy again");
            findings.fault("meta", mark::KEY, text);
        }
        if dialect == Dialect::Sqlite {
            integrity(db, &mut findings)?;
        }
        for table in catalog::tables(db, dialect)? {
            let rows = payloads::check(db, &table, &mut findings)?;
            tables.insert(table.name, rows);
        }
        jobs::check(db, &mut findings)?;
        leases::check(db, &mut findings)?;
        secrets::check(db, &mut findings)?;
        dns::check(db, &mut findings)?;
        access::check(db, &mut findings)?;
        records::check(db, &mut findings)?;
        Ok(findings.report(tables))
    })
    .await
}

/// Asks SQLite to go through its file.
fn integrity(db: &dyn Sql, findings: &mut Findings) -> Result<(), StoreError> {
    let rows = db.query(&format!("pragma integrity_check({INTEGRITY_MAX})"), &[], "going through the database file")?;
    for row in rows {
        let text = row.text(0).unwrap_or("a fault that is no text");
        if text != "ok" {
            findings.fault("database", "file", text.to_owned());
        }
    }
    Ok(())
}

/// Runs a statement whose rows are faults: the first column names the row.
fn faults(
    db: &dyn Sql,
    findings: &mut Findings,
    table: &str,
    sql: &str,
    say: impl Fn(&SqlRow) -> Result<String, CellError>,
) -> Result<(), StoreError> {
    let doing = "checking the store";
    let sql = format!("{sql} limit {}", report::FINDINGS_MAX);
    for row in db.query(&sql, &[], doing)? {
        let text = say(&row).and_then(|text| Ok((row.text(0)?.to_owned(), text)));
        let (key, text) =
            text.map_err(|error| StoreError::Undecodable { what: format!("row ({doing})"), source: Box::new(error) })?;
        findings.fault(table, &key, text);
    }
    Ok(())
}
