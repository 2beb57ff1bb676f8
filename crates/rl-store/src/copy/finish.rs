//! The end of a copy: what the target counts by itself is set, and the mark taken away, in one transaction.
use rl_engine::Lane;

use crate::db::{Db, Dialect, blocking, no_hurry};
use crate::error::StoreError;
use crate::mark;
use crate::pg::past_the_writer;
use crate::place::Place;
use crate::sql::{Sql, values};

const DOING: &str = "setting what the copy counts by itself";

/// Opens the target for everybody. The next event gets a number after that of the source's last.
pub(super) async fn finish(target: Db, to: &Place, last_event: i64) -> Result<(), StoreError> {
    match to {
        Place::Directory(_) => {
            target
                .write_with(Lane::Intake, move |_, db| {
                    directory(db, last_event)?;
                    mark::clear(db)
                })
                .await
        }
        Place::Database(to) => {
            // The writer keeps the row of `head` in memory, so that it must be gone before another changes the row.
            drop(target);
            let to = to.clone();
            blocking(move || {
                past_the_writer(&to, |db| {
                    database(db, last_event)?;
                    mark::clear(db)
                })
            })
            .await
        }
    }
}

fn directory(db: &dyn Sql, last_event: i64) -> Result<(), StoreError> {
    db.execute("delete from sqlite_sequence where name = 'event'", &[], DOING)?;
    db.execute("insert into sqlite_sequence (name, seq) values ('event', ?1)", values![last_event], DOING)?;
    Ok(())
}

fn database(db: &dyn Sql, last_event: i64) -> Result<(), StoreError> {
    no_hurry(db, Dialect::Postgres)?;
    db.query("select version from head where id = 1 for update", &[], DOING)?;
    let sql = "update head set version = version + 1, epoch = epoch + 1, last_event = ?1,
                 unfinished = (select count(*) from job where finished_at is null) where id = 1";
    db.execute(sql, values![last_event], DOING)?;
    Ok(())
}
