//! One transaction of the writer: the connection, the rows at hand, and what it takes to run the transaction again.
use std::time::Duration;

use rand::Rng;
use rl_engine::{JobId, JournalError, OperationId, RowResult};

use super::cache::Cache;
use super::conn::{Conn, Param};
use super::error::PgError;
use super::flush::{Changes, changed_ids};
use super::head::{Head, lock_head, seal};
use super::table;
use crate::sql::Value;

/// Most times one transaction is run again because the database asked for it.
const AGAIN_MAX: u32 = 20;
/// Longest pause before the first repetition; it doubles.
const PAUSE: Duration = Duration::from_millis(5);

/// A statement of the domain, kept so that it can be run again.
type Recorded = (String, Vec<Value<'static>>);

/// See the module.
#[derive(Default)]
pub(super) struct Core {
    pub(super) conn: Option<Conn>,
    pub(super) cache: Cache,
    /// The row as this transaction found it.
    pub(super) head: Head,
    replay: Vec<Recorded>,
    /// Where the statements of the current write begin.
    replay_from: usize,
    savepoint: bool,
    /// The head is to be written even if no row changed.
    pub(super) must_write: bool,
    /// The transaction is lost: nothing of it will be kept.
    failed: Option<String>,
    /// The current write failed in the database and must be taken back, whatever it answers.
    write_failed: bool,
    /// A row could not be read during the current write.
    pub(super) rows_failed: bool,
}

impl Core {
    /// Begins a transaction and takes its turn among all servers.
    pub(super) fn begin(&mut self) -> Result<(), PgError> {
        debug_assert!(!self.cache.is_dirty(), "what an earlier transaction left undone is still at hand");
        let Some(conn) = &mut self.conn else { return Err(no_connection()) };
        self.head = lock_head(conn)?;
        self.replay.clear();
        self.must_write = false;
        (self.replay_from, self.savepoint, self.write_failed) = (0, false, false);
        self.failed = None;
        self.cache.last_event = self.head.last_event;
        Ok(())
    }

    pub(super) fn fail_with(&mut self, error: &PgError) {
        self.failed = Some(text(error));
    }

    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Runs something on the connection, in this transaction.
    pub(super) fn call<T>(&mut self, mut run: impl FnMut(&mut Conn) -> Result<T, PgError>) -> RowResult<T> {
        let mut tries = 0;
        loop {
            if let Some(why) = self.ended() {
                return Err(PgError::Ended { why }.into());
            }
            let Some(conn) = &mut self.conn else { return Err(no_connection().into()) };
            let error = match run(conn) {
                Ok(value) => return Ok(value),
                Err(error) if error.is_again() && tries < AGAIN_MAX => match self.restart() {
                    Ok(()) => {
                        tries += 1;
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            return Err(self.fail(error));
        }
    }

    fn ended(&self) -> Option<String> {
        let refused = || self.write_failed.then(|| "an earlier statement of this write was refused".to_owned());
        self.failed.clone().or_else(refused)
    }

    /// What an error means for the write and the transaction it happened in.
    fn fail(&mut self, error: PgError) -> JournalError {
        self.rows_failed = true;
        match &error {
            PgError::Undecodable { .. } => {}
            PgError::Refused { .. } if self.savepoint => self.write_failed = true,
            error => self.failed = Some(text(error)),
        }
        error.into()
    }

    pub(super) fn start_write(&mut self) {
        self.cache.start();
        self.replay_from = self.replay.len();
        self.write_failed = false;
        self.rows_failed = false;
    }

    /// Ends a write that is kept. An error when the database had refused a part of it.
    pub(super) fn keep_write(&mut self) -> RowResult<()> {
        if let Some(why) = self.ended() {
            return Err(PgError::Ended { why }.into());
        }
        if self.savepoint {
            self.call(|conn| conn.batch("release savepoint write", "ending a write"))?;
            self.savepoint = false;
        }
        Ok(())
    }

    /// Takes the current write back; answers the jobs it had touched.
    pub(super) fn undo_write(&mut self) -> Vec<JobId> {
        self.replay.truncate(self.replay_from);
        let touched = self.cache.take_back();
        self.write_failed = false;
        if std::mem::take(&mut self.savepoint) && self.failed.is_none() {
            let sql = "rollback to savepoint write; release savepoint write";
            // Not through `call`: a repetition would repeat what is taken back.
            let undone = match &self.conn {
                Some(conn) => conn.batch(sql, "taking a write back"),
                None => Err(no_connection()),
            };
            if let Err(error) = undone {
                self.failed = Some(text(&error));
            }
        }
        touched
    }

    /// Makes everything so far visible to statements of this transaction, the current write under a savepoint of its own.
    pub(super) fn expose(&mut self) -> RowResult<()> {
        if !self.savepoint {
            self.cache.swap();
            let marked = self.tell(true);
            self.cache.swap();
            marked?;
            self.savepoint = true;
        }
        self.tell(false)
    }

    /// Tells the database what changed, and then sets the savepoint if asked to.
    pub(super) fn tell(&mut self, savepoint: bool) -> RowResult<()> {
        let mut tries = 0;
        loop {
            if let Some(why) = self.ended() {
                return Err(PgError::Ended { why }.into());
            }
            let changes = Changes::take(&mut self.cache);
            let Some(conn) = &mut self.conn else { return Err(no_connection().into()) };
            let mut told = changes.send(conn, &[], "storing changed rows");
            if savepoint && told.is_ok() {
                told = conn.batch("savepoint write", "starting a write");
            }
            let error = match told {
                Ok(()) => return Ok(()),
                Err(error) if error.is_again() && tries < AGAIN_MAX => match self.restart() {
                    Ok(()) => {
                        tries += 1;
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            return Err(self.fail(error));
        }
    }

    /// Runs a statement that changes rows other than those at hand.
    pub(super) fn change(&mut self, sql: &str, values: &[Value<'_>], doing: &'static str) -> RowResult<u64> {
        self.expose()?;
        let owned: Vec<Value<'static>> = values.iter().map(owned).collect();
        let changed = self.call(|conn| conn.execute(sql, &params(&owned), doing))?;
        self.replay.push((sql.to_owned(), owned));
        Ok(changed)
    }

    /// Runs a query that sees everything so far.
    pub(super) fn look<T>(&mut self, read: impl FnMut(&mut Conn) -> Result<T, PgError>) -> RowResult<T> {
        self.expose()?;
        self.call(read)
    }

    /// Runs the transaction again as far as it had come, if no other server has written meanwhile.
    fn restart(&mut self) -> Result<(), PgError> {
        let mut tries = 0;
        loop {
            match self.restart_once() {
                Err(error) if error.is_again() && tries < AGAIN_MAX => {
                    let pause = PAUSE * 2u32.saturating_pow(tries.min(6));
                    std::thread::sleep(pause.mul_f64(super::conn::random().random_range(0.1..1.0)));
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    fn restart_once(&mut self) -> Result<(), PgError> {
        let Some(conn) = &mut self.conn else { return Err(no_connection()) };
        conn.batch("rollback", "running a transaction again")?;
        let head = lock_head(conn)?;
        if (head.version, head.epoch) != (self.head.version, self.head.epoch) {
            return Err(PgError::Overtaken { doing: "running a transaction again" });
        }
        self.cache.rolled_back();
        let before = self.replay_from.min(self.replay.len());
        run_again(conn, &self.replay[..before])?;
        if self.savepoint {
            self.cache.swap();
            let told = Changes::take(&mut self.cache).send(conn, &[], "storing changed rows again");
            self.cache.swap();
            told?;
            conn.batch("savepoint write", "starting a write again")?;
            Changes::take(&mut self.cache).send(conn, &[], "storing changed rows again")?;
        }
        run_again(conn, &self.replay[before..])
    }

    /// Fetches jobs with their steps and followers, those that are not at hand.
    pub(super) fn load_jobs(&mut self, ids: &[JobId]) -> RowResult<()> {
        let wanted: Vec<JobId> = ids.iter().filter(|id| !self.cache.knows_job(**id)).copied().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let texts = table::texts(&wanted);
        let jobs = self.call(|conn| table::load(conn, &texts))?;
        let found: Vec<String> = jobs.iter().map(|job| job.0.id.to_string()).collect();
        jobs.into_iter().for_each(|job| self.cache.loaded(job));
        if !found.is_empty() {
            let followers = self.call(|conn| table::followers_of(conn, &found))?;
            for (before, id) in followers {
                if let Some(entry) = self.cache.jobs.get_mut(&before) {
                    entry.followers.push(id);
                }
            }
            for (job, step) in self.call(|conn| table::steps_of_jobs(conn, &found))? {
                self.cache.loaded_step(job, step.ok());
            }
        }
        let absent = wanted.into_iter().filter(|id| !self.cache.jobs.contains_key(id)).collect::<Vec<_>>();
        self.cache.absent_jobs.extend(absent);
        Ok(())
    }

    pub(super) fn load_operations(&mut self, ids: &[OperationId]) -> RowResult<()> {
        let wanted: Vec<OperationId> = ids.iter().filter(|id| !self.cache.knows_operation(**id)).copied().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let texts = table::texts(&wanted);
        for (id, status) in self.call(|conn| table::operations_of(conn, &texts))? {
            self.cache.loaded_operation(id, status);
        }
        let absent = wanted.into_iter().filter(|id| !self.cache.operations.contains_key(id)).collect::<Vec<_>>();
        self.cache.absent_operations.extend(absent);
        Ok(())
    }

    pub(super) fn load_keys(&mut self, keys: &[String]) -> RowResult<()> {
        let wanted: Vec<String> = keys.iter().filter(|key| !self.cache.keys.contains_key(*key)).cloned().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let found = self.call(|conn| table::by_keys(conn, &wanted))?;
        self.cache.keys.extend(wanted.into_iter().map(|key| (key, None)));
        self.cache.keys.extend(found.into_iter().map(|(key, id)| (key, Some(id))));
        Ok(())
    }

    pub(super) fn load_owners(&mut self) -> RowResult<()> {
        if self.cache.owners.is_none() {
            let owners = self.call(table::owners)?;
            self.cache.owners = Some(owners.into_iter().map(|owner| (owner.id, owner)).collect());
        }
        Ok(())
    }

    /// Stores all that changed and ends the transaction. `Ok(None)` when nothing had changed; else the row as it is now.
    /// An error that is not [`PgError::is_lost`] means for sure that nothing was kept.
    pub(super) fn commit(&mut self, next: Head) -> Result<Option<Head>, PgError> {
        if !self.cache.is_dirty() && self.replay.is_empty() && !self.must_write {
            let Some(conn) = &self.conn else { return Err(no_connection()) };
            // Nothing depends on how an empty transaction ends.
            let _ = conn.batch("rollback", "ending an empty transaction");
            self.cache.committed();
            return Ok(None);
        }
        let mut tries = 0;
        loop {
            match self.commit_once(&next) {
                Err(error) if error.is_again() && tries < AGAIN_MAX => {
                    self.restart()?;
                    tries += 1;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(Some(next)),
            }
        }
    }

    fn commit_once(&mut self, next: &Head) -> Result<(), PgError> {
        let (jobs, operations) = changed_ids(&self.cache);
        let changes = Changes::take(&mut self.cache);
        let Some(conn) = &mut self.conn else { return Err(no_connection()) };
        seal(conn, &changes, next, &jobs, &operations)
    }
}

fn run_again(conn: &mut Conn, recorded: &[Recorded]) -> Result<(), PgError> {
    for (sql, values) in recorded {
        conn.execute(sql, &params(values), "running a statement again")?;
    }
    Ok(())
}

pub(super) fn params<'a>(values: &'a [Value<'_>]) -> Vec<Param<'a>> {
    values.iter().map(|value| value as Param<'a>).collect()
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Int(number) => Value::Int(*number),
        Value::Text(text) => Value::Text(text.clone().into_owned().into()),
    }
}

fn no_connection() -> PgError {
    PgError::Ended { why: "there is no connection to the database".to_owned() }
}

/// An error with its causes on one line.
pub(super) fn text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
