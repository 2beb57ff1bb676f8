//! The schema: numbered changes, each applied once, each remembered with its hash; safe when two servers start at once.
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::conn::Conn;
use super::error::PgError;
use crate::error::StoreError;

/// All changes, oldest first. One that was released is never edited again; its hash is checked.
const CHANGES: &[(u32, &str)] = &[
    (1, include_str!("../../migrations/pg/0001_start.sql")),
    (2, include_str!("../../migrations/pg/0002_secrets.sql")),
    (3, include_str!("../../migrations/pg/0003_agents.sql")),
    (4, include_str!("../../migrations/pg/0004_dns.sql")),
    (5, include_str!("../../migrations/pg/0005_access.sql")),
    (6, include_str!("../../migrations/pg/0006_records.sql")),
];
/// Most tries: two servers that start at once get in each other's way at most once a change.
const TRIES_MAX: u32 = 20;
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(150);

/// Brings the schema up to date. Whoever loses a race against another server looks again.
pub(super) fn migrate(conn: &mut Conn) -> Result<(), StoreError> {
    let mut tries = 0;
    loop {
        let error = match attempt(conn) {
            Ok(()) => return Ok(()),
            Err(StoreError::Postgres(error)) if !error.is_lost() && tries < TRIES_MAX => error,
            Err(error) => return Err(error),
        };
        tracing::debug!(%error, tries, "the schema is looked at again");
        tries += 1;
        // A transaction that failed is still open; one that never began needs no end.
        let _ = conn.batch("rollback", "ending a transaction");
        std::thread::sleep(PAUSE);
    }
}

fn attempt(conn: &mut Conn) -> Result<(), StoreError> {
    let doing = "bringing the schema up to date";
    if check(conn)? {
        return Ok(());
    }
    let run = |conn: &mut Conn, sql: &str| conn.batch(sql, doing).map_err(StoreError::from);
    run(
        conn,
        "create table if not exists migration (version bigint primary key, hash text not null);
         begin;
         lock table migration in exclusive mode",
    )?;
    let applied = applied(conn)?;
    for (version, sql) in CHANGES {
        if applied.iter().any(|(applied, _)| applied == version) {
            continue;
        }
        run(conn, sql)?;
        let hash = hash(sql);
        let sql = "insert into migration (version, hash) values ($1, $2)";
        conn.execute(sql, &[&i64::from(*version), &hash], doing)?;
    }
    run(conn, "commit")
}

/// Whether every change is applied; an error when the schema is not one this release can work with.
pub(super) fn check(conn: &mut Conn) -> Result<bool, StoreError> {
    let sql = "select count(*) from information_schema.tables
               where table_name = 'migration' and table_schema = current_schema()";
    let found = conn.query(sql, &[], "looking for the schema")?;
    if found.first().and_then(|row| row.int(0).ok()).unwrap_or(0) == 0 {
        return Ok(false);
    }
    let applied = applied(conn)?;
    let known = CHANGES.last().map_or(0, |change| change.0);
    if let Some((found, _)) = applied.last().filter(|(found, _)| *found > known) {
        return Err(StoreError::Newer { found: *found, known });
    }
    for (version, sql) in CHANGES {
        match applied.iter().find(|(applied, _)| applied == version) {
            Some((_, found)) if *found == hash(sql) => {}
            Some(_) => return Err(StoreError::ChangedMigration { version: *version }),
            None => return Ok(false),
        }
    }
    Ok(true)
}

fn applied(conn: &mut Conn) -> Result<Vec<(u32, String)>, StoreError> {
    let rows =
        conn.query("select version, hash from migration order by version", &[], "reading the schema's version")?;
    let read = |row: &crate::sql::SqlRow| Ok((row.number(0)?, row.text(1)?.to_owned()));
    rows.iter()
        .map(read)
        .collect::<Result<_, crate::sql::CellError>>()
        .map_err(|error| PgError::Undecodable { what: "schema version".to_owned(), source: Box::new(error) }.into())
}

fn hash(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
