//! The schema: numbered changes, each applied once, each remembered with its hash.
use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::error::{Doing, StoreError};

/// All changes, oldest first. One that was released is never edited again; its hash is checked.
const CHANGES: &[(u32, &str)] = &[
    (1, include_str!("../../migrations/0001_start.sql")),
    (2, include_str!("../../migrations/0002_schedules.sql")),
    (3, include_str!("../../migrations/0003_secrets.sql")),
    (4, include_str!("../../migrations/0004_agents.sql")),
    (5, include_str!("../../migrations/0005_dns.sql")),
    (6, include_str!("../../migrations/0006_access.sql")),
    (7, include_str!("../../migrations/0007_records.sql")),
];

/// Brings the schema up to date, all of it in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let doing = "bringing the schema up to date";
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
    tx.execute_batch(
        "create table if not exists migration (version integer primary key, hash text not null) strict, without rowid",
    )
    .doing(doing)?;
    let applied = applied(&tx).doing(doing)?;
    let known = CHANGES.last().map_or(0, |change| change.0);
    if let Some((found, _)) = applied.last().filter(|(found, _)| *found > known) {
        return Err(StoreError::Newer { found: *found, known });
    }
    for (version, sql) in CHANGES {
        let hash = hash(sql);
        match applied.iter().find(|(applied, _)| applied == version) {
            Some((_, found)) if *found == hash => {}
            Some(_) => return Err(StoreError::ChangedMigration { version: *version }),
            None => {
                tx.execute_batch(sql).doing(doing)?;
                tx.execute("insert into migration (version, hash) values (?1, ?2)", (version, &hash)).doing(doing)?;
            }
        }
    }
    tx.commit().doing(doing)
}

/// Checks that the schema is the one this release knows, without changing it.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let applied = applied(connection).doing("reading the schema's version")?;
    let known = CHANGES.last().map_or(0, |change| change.0);
    match applied.last() {
        Some((found, _)) if *found > known => Err(StoreError::Newer { found: *found, known }),
        Some((found, _)) if *found == known => Ok(()),
        found => Err(StoreError::Older { found: found.map_or(0, |found| found.0), known }),
    }
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<(u32, String)>> {
    let mut statement = connection.prepare("select version, hash from migration order by version")?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn hash(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
