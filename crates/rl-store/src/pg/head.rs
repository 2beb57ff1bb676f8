//! The row that puts all writes of all servers into one order.
use super::conn::{Conn, Param};
use super::error::PgError;
use super::flush::Changes;
use super::table;

/// Locks the row that puts all writes into one order.
const LOCK_HEAD: &str = "select version, epoch, last_event, unfinished, cancels, schedules, writer, batch,
      (extract(epoch from clock_timestamp()) * 1000)::bigint
    from head where id = 1 for update";

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) last_event: u64,
    pub(super) unfinished: u64,
    /// Times a running job was cancelled.
    pub(super) cancels: u64,
    /// Times a schedule changed.
    pub(super) schedules: u64,
    pub(super) writer: String,
    pub(super) batch: u64,
    /// The database's clock when the row was read, in milliseconds of Unix time.
    pub(super) now_ms: u64,
}

/// Begins a transaction and locks the head, in one round trip.
pub(super) fn lock_head(conn: &mut Conn) -> Result<Head, PgError> {
    let doing = "taking the turn to write";
    let statement = conn.prepared(LOCK_HEAD, doing)?;
    let client = conn.client();
    let both = async { Ok(futures::join!(client.batch_execute("begin"), client.query_one(&statement, &[]))) };
    let (begun, row) = conn.wait(doing, both)?;
    begun.map_err(|error| PgError::of(doing, error))?;
    let row = row.map_err(|error| PgError::of(doing, error))?;
    let row = super::conn::read(&row).map_err(|error| PgError::of(doing, error))?;
    let read = || {
        Ok(Head {
            version: row.count(0)?,
            epoch: row.count(1)?,
            last_event: row.count(2)?,
            unfinished: row.count(3)?,
            cancels: row.count(4)?,
            schedules: row.count(5)?,
            writer: row.text(6)?.to_owned(),
            batch: row.count(7)?,
            now_ms: row.count(8)?,
        })
    };
    read().map_err(|error| table::undecodable(doing, error))
}

/// Writes the changed rows, the new head and what other servers must know, and commits, in one round trip. The commit is not
/// under the statement's time limit: a commit that is cancelled while it waits for a standby is kept all the same.
pub(super) fn seal(
    conn: &mut Conn,
    changes: &Changes,
    next: &Head,
    jobs: &str,
    operations: &str,
) -> Result<(), PgError> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let numbers =
        [next.version, next.epoch, next.last_event, next.unfinished, next.cancels, next.schedules, next.batch]
            .map(number);
    let at = number(next.now_ms);
    let head = "update head set version = $1, epoch = $2, last_event = $3, unfinished = $4, cancels = $5,
          schedules = $6, batch = $7, writer = $8
        where id = 1";
    let [version, epoch, last_event, unfinished, cancels, schedules, batch] = &numbers;
    let head_params: Vec<Param<'_>> =
        vec![version, epoch, last_event, unfinished, cancels, schedules, batch, &next.writer];
    let change = "insert into change (version, writer, batch, at, jobs, operations) values ($1, $2, $3, $4, $5, $6)";
    let change_params: Vec<Param<'_>> = vec![version, &next.writer, batch, &at, &jobs, &operations];
    conn.take_doubt();
    let last = [
        (head, head_params),
        (change, change_params),
        ("set local statement_timeout = 0", Vec::new()),
        ("commit", Vec::new()),
    ];
    changes.send(conn, &last, "committing")
}
