//! Sign-ins that failed: who fails often waits, longer each time. What is counted is bounded, so that strangers fill no disk.
use std::time::Duration;

use rl_engine::{Lane, UnixMs};
use serde_json::json;

use super::super::deed::{Came, Deed};
use super::super::rows::first;
use super::later;
use crate::error::StoreError;
use crate::sql::{Sql, values};
use crate::store::Store;

/// Most counts that are kept: the oldest make room.
pub const FAILURES_MAX: u64 = 10_000;
/// The first wait.
const WAIT_FIRST: Duration = Duration::from_secs(30);
/// The longest wait.
const WAIT_LONGEST: Duration = Duration::from_secs(3600);
/// A count is forgotten after so long without a failure.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// What failures are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptKey {
    /// Names the count.
    pub key: String,
    /// Failures that cost no wait.
    pub free: u32,
    /// Whether a success wipes the count; otherwise it takes back its own attempt alone.
    pub wiped: bool,
}

/// Whether somebody may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// They may; the attempt counts as failed until it has succeeded.
    Begun,
    /// Not before this moment.
    Wait(UnixMs),
}

struct Count {
    count: u64,
    last_at: UnixMs,
    until: UnixMs,
}

impl Store {
    /// Begins an attempt to sign in, unless one of its counts has to wait. It is counted before it is known to fail: of many
    /// at the same time only as many as are free are tried.
    pub async fn begin_attempt(&self, keys: Vec<AttemptKey>) -> Result<Attempt, StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                let mut counts = Vec::new();
                for key in &keys {
                    counts.push(count_of(db, &key.key, now)?);
                }
                if let Some(until) = counts.iter().flatten().map(|count| count.until).filter(|until| now < *until).max()
                {
                    return Ok(Attempt::Wait(until));
                }
                for (key, count) in keys.iter().zip(counts) {
                    let count = count.map_or(0, |count| count.count) + 1;
                    put(db, key, count, now, later(now, wait(count, key.free)))?;
                }
                make_room(db)?;
                Ok(Attempt::Begun)
            })
            .await
    }

    /// Notes that an attempt has failed, with the deed where it has to be waited from now on; answers until when. Without a wait
    /// nothing is written: strangers fail as often as they like.
    pub async fn attempt_failed(&self, keys: Vec<AttemptKey>, deed: Deed) -> Result<Option<UnixMs>, StoreError> {
        self.try_change(deed, move |db, now| {
            let mut longest: Option<(UnixMs, u64)> = None;
            for key in &keys {
                let count = count_of(db, &key.key, now)?.filter(|count| now < count.until);
                longest = longest.max(count.map(|count| (count.until, count.count)));
            }
            Ok(match longest {
                None => Came::Nothing(None),
                Some((until, failures)) => {
                    let after = json!({ "until_ms": until, "failures": failures });
                    Came::Changed { value: Some(until), before: None, after: Some(after) }
                }
            })
        })
        .await
    }

    /// Takes back what an attempt has counted, after it succeeded.
    pub async fn attempt_succeeded(&self, keys: Vec<AttemptKey>) -> Result<(), StoreError> {
        let now = self.now();
        self.db()
            .write_with(Lane::Intake, move |tx, db| {
                let now = tx.at(now).now();
                for key in &keys {
                    let count = count_of(db, &key.key, now)?.map_or(0, |count| count.count).saturating_sub(1);
                    if key.wiped || count == 0 {
                        db.execute(
                            "delete from access_failure where id = ?1",
                            values![&*key.key],
                            "forgetting failures",
                        )?;
                    } else {
                        put(db, key, count, now, now)?;
                    }
                }
                Ok(())
            })
            .await
    }
}

/// The wait after so many failures.
fn wait(count: u64, free: u32) -> Duration {
    let Some(over) = count.checked_sub(u64::from(free)) else { return Duration::ZERO };
    let doubled = u32::try_from(over).ok().and_then(|over| 2_u32.checked_pow(over)).unwrap_or(u32::MAX);
    WAIT_FIRST.saturating_mul(doubled).min(WAIT_LONGEST)
}

fn count_of(db: &dyn Sql, key: &str, now: UnixMs) -> Result<Option<Count>, StoreError> {
    let sql = "select count, last_at, until_at from access_failure where id = ?1";
    let found = first(db, sql, values![key], "reading failed sign-ins", |row| {
        Ok(Count { count: row.count(0)?, last_at: row.ms(1)?, until: row.ms(2)? })
    })?;
    Ok(found.filter(|count| now < later(count.last_at, FORGET_AFTER)))
}

fn put(db: &dyn Sql, key: &AttemptKey, count: u64, now: UnixMs, until: UnixMs) -> Result<(), StoreError> {
    let sql = "insert into access_failure (id, count, last_at, until_at) values (?1, ?2, ?3, ?4)
               on conflict (id) do update set count = excluded.count, last_at = excluded.last_at,
                 until_at = excluded.until_at";
    db.execute(sql, values![&*key.key, count, now, until], "counting a failed sign-in").map(|_| ())
}

fn make_room(db: &dyn Sql) -> Result<(), StoreError> {
    let sql = "select cast(count(*) as bigint) from access_failure";
    let all = first(db, sql, values![], "counting failed sign-ins", |row| row.count(0))?.unwrap_or(0);
    if let Some(over) = all.checked_sub(FAILURES_MAX).filter(|over| *over > 0) {
        let sql = "delete from access_failure where id in
                     (select id from access_failure order by last_at, id limit ?1)";
        db.execute(sql, values![over], "forgetting old failures")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_half_a_minute_to_an_hour() {
        let seconds: Vec<u64> = (3..16).map(|count| wait(count, 5).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]);
        assert_eq!(wait(u64::MAX, 0), WAIT_LONGEST);
    }
}
