//! What the writer thread works with: its turn among the servers, the scheduler kept in step with them, and what became of a commit.
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rl_engine::{Announce, Clock, Hint, JobId, JournalError, RowResult, Sched, Tx, UnixMs, fail_point, roll_back_in};
use tokio::runtime::Runtime;

use super::conn::{Conn, runtime};
use super::error::PgError;
use super::feed;
use super::flush::Changes;
use super::head::{Head, seal};
use super::rows::{WriterRows, WriterSql};
use super::txn::{Core, text};
use super::url::Target;
use crate::error::StoreError;
use crate::sql::Sql;

/// Longest wait for this server's turn while others write; then the batch is refused.
const TURN_MAX: Duration = Duration::from_secs(12);
/// Jobs in one batch beyond which the session is given more time: the database waits while they are put together.
const JOBS_MANY: usize = 2_000;
/// Seconds of silence inside a transaction that every session has, as the connection's settings say.
const IDLE_SECONDS: usize = 4;
/// Jobs that even a slow machine puts together in a second.
const JOBS_A_SECOND: usize = 500;
/// Versions whose changes are kept for servers that were away; one that was away for longer reads everything.
pub(super) const CHANGES_KEPT: u64 = 20_000;
/// Commits between two removals of older ones.
const PRUNE_EVERY: u64 = 512;

/// The writer finds rows by their keys and nothing else: the plans made while the tables are small must be those that are right
/// when they are large, and need no second look. A database that does not know one of these settings goes on without it.
const PLANS: [&str; 5] = [
    "set plan_cache_mode = force_generic_plan",
    "set enable_seqscan = off",
    "set enable_hashjoin = off",
    "set enable_mergejoin = off",
    "set jit = off",
];

/// Whose clock decides about leases and waits.
#[derive(Clone)]
pub(super) enum TimeSource {
    /// The database's: the only one that all servers share.
    Database,
    /// The callers', as where one process is alone; for tests that move time.
    Callers,
    /// One that is handed in, for tests.
    Given(Arc<dyn Clock>),
}

/// What this server last saw of the database, and must find again.
#[derive(Debug, Clone, Default)]
struct Seen {
    head: Head,
    /// The database was read at least once.
    any: bool,
    /// Everything at hand is doubtful and is to be read again.
    stale: bool,
}

/// What the session must report beside answers.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Other servers changed something.
    pub(super) foreign: bool,
    /// Among it the cancellation of a running job.
    pub(super) cancels: bool,
    /// Among it a schedule.
    pub(super) schedules: bool,
    /// Commits that were acknowledged and are gone.
    pub(super) lost_versions: Option<u64>,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum End {
    /// On disk, or there was nothing to store.
    Kept,
    /// Nothing was kept.
    NotKept(Arc<PgError>),
    /// The connection was lost while the commit was under way, for the reason given: it is the head if it is there.
    Unknown(Head, String),
}

/// See the module.
pub(super) struct Session {
    runtime: Rc<Runtime>,
    target: Target,
    core: RefCell<Core>,
    sched: Sched,
    seen: Seen,
    /// This process among the servers.
    me: String,
    batch: u64,
    time: TimeSource,
    pub(super) news: News,
}

impl Session {
    /// Connects, brings the schema up to date, and reads what is unfinished.
    pub(super) fn open(target: Target, time: TimeSource) -> Result<Self, StoreError> {
        let mut session = Self {
            runtime: runtime().map_err(super::starting)?,
            target,
            core: RefCell::default(),
            sched: Sched::default(),
            seen: Seen::default(),
            me: format!("{:032x}", super::conn::random().random::<u128>()),
            batch: 0,
            time,
            news: News::default(),
        };
        session.connect()?;
        if let Some(conn) = &mut session.core.get_mut().conn {
            super::migrate::migrate(conn)?;
        }
        session.begin(&Hint::default())?;
        match session.commit(Announce::default()) {
            End::NotKept(error) => Err(JournalError::from(PgError::Ended { why: text(&*error) }).into()),
            End::Kept | End::Unknown(..) => Ok(session),
        }
    }

    /// The head as this server last saw it.
    pub(super) fn head(&self) -> &Head {
        &self.seen.head
    }

    /// Makes a connection unless there is one. A new one may lead to another server, or to the same one restored.
    pub(super) fn connect(&mut self) -> Result<(), PgError> {
        let core = self.core.get_mut();
        if core.conn.as_ref().is_some_and(|conn| !conn.is_closed()) {
            return Ok(());
        }
        core.conn = None;
        let conn = Conn::open(&self.runtime, &self.target)?;
        for setting in PLANS {
            match conn.batch(setting, "setting the writer's session up") {
                Err(error) if error.is_lost() => return Err(error),
                Err(error) => tracing::debug!(error = text(&error), setting, "the database does not know a setting"),
                Ok(()) => {}
            }
        }
        core.conn = Some(conn);
        Ok(())
    }

    fn disconnect(&mut self) {
        self.core.get_mut().conn = None;
    }

    /// Begins a transaction for writes that look at what the hints say. When this fails nothing was begun.
    pub(super) fn begin(&mut self, hint: &Hint) -> Result<(), PgError> {
        let since = Instant::now();
        let mut fresh = false;
        if self.core.get_mut().cache.is_dirty() {
            self.core.get_mut().cache.abandon();
            self.seen.stale = true;
        }
        loop {
            let begun = self.connect().and_then(|()| self.core.get_mut().begin()).and_then(|()| self.prepare(hint));
            let error = match begun {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let again =
                (error.is_again() && since.elapsed() < TURN_MAX) || (error.is_lost() && !fresh && self.seen.any);
            fresh |= error.is_lost();
            self.give_up();
            if !again {
                return Err(error);
            }
            tracing::debug!(error = text(&error), "a transaction is begun again");
            if error.is_again() {
                std::thread::sleep(Duration::from_millis(super::conn::random().random_range(1..20)));
            }
        }
    }

    /// Ends whatever transaction is open, so that the next can begin.
    fn give_up(&mut self) {
        let core = self.core.get_mut();
        if core.cache.is_dirty() {
            core.cache.abandon();
            self.seen.stale = true;
        }
        let ended = core.conn.as_ref().is_some_and(|conn| conn.batch("rollback", "ending a transaction").is_ok());
        if !ended {
            core.conn = None;
        }
    }

    /// Brings everything at hand up to date with what other servers did, and fetches what the hints name.
    fn prepare(&mut self, hint: &Hint) -> Result<(), PgError> {
        self.follow()?;
        let core = self.core.get_mut();
        if hint.jobs.len() > JOBS_MANY {
            let seconds = IDLE_SECONDS + hint.jobs.len() / JOBS_A_SECOND;
            let sql = format!("set local idle_in_transaction_session_timeout = '{seconds}s'");
            let Some(conn) = &core.conn else { return Ok(()) };
            conn.batch(&sql, "beginning a large transaction")?;
        }
        let fetched = core
            .load_jobs(&hint.jobs)
            .and_then(|()| core.load_operations(&hint.operations))
            .and_then(|()| core.load_keys(&hint.keys))
            .and_then(|()| core.load_owners());
        fetched.map_err(|error| ended("fetching what a batch looks at", error))
    }

    /// The time by which this transaction's claims are made, unless only the callers know it.
    fn store_now(&mut self) -> Option<UnixMs> {
        match &self.time {
            TimeSource::Database => Some(UnixMs(self.core.get_mut().head.now_ms)),
            TimeSource::Callers => None,
            TimeSource::Given(clock) => Some(clock.now()),
        }
    }

    fn follow(&mut self) -> Result<(), PgError> {
        let now = self.store_now();
        let core = self.core.get_mut();
        let head = core.head.clone();
        let seen = &self.seen;
        if seen.any
            && !seen.stale
            && (head.version, head.epoch, &head.writer, head.batch)
                == (seen.head.version, seen.head.epoch, &seen.head.writer, seen.head.batch)
        {
            return Ok(());
        }
        let lost = if seen.any { feed::lost_versions(core, &seen.head)? } else { None };
        let near = seen.any && !seen.stale && lost.is_none() && head.epoch == seen.head.epoch;
        self.news.foreign |= head.version != seen.head.version || lost.is_some();
        self.news.cancels |= head.cancels != seen.head.cancels || lost.is_some();
        self.news.schedules |= head.schedules != seen.head.schedules || lost.is_some();
        let followed = near && feed::follow(core, &mut self.sched, seen.head.version, now)?;
        if !followed {
            // A write that fails half way from here on finds nothing at hand that could be believed.
            self.seen.stale = true;
            let known = feed::salvage(core, lost.is_some() || head.epoch != self.seen.head.epoch);
            self.sched = feed::rebuild(core, std::mem::take(&mut self.sched), now)?;
            if let Some(lost) = lost {
                self.roll_back(lost)?;
            }
            self.put_back(known)?;
        }
        let core = self.core.get_mut();
        self.sched.set_unfinished(usize::try_from(core.head.unfinished).unwrap_or(usize::MAX));
        self.seen = Seen { head: core.head.clone(), any: true, stale: false };
        Ok(())
    }

    /// Commits that were acknowledged are gone, as after a fail-over to a standby that was behind: nobody can know what the
    /// engines did meanwhile, so that every engine run is ended and every running step is to be looked at.
    fn roll_back(&mut self, lost: u64) -> Result<(), PgError> {
        tracing::error!(
            lost_versions = lost,
            "the database lost commits that were acknowledged, as after a fail-over to a standby that was behind; \
             every running job is taken back and its steps are looked at before anything is repeated"
        );
        self.news.lost_versions = Some(lost);
        let seen = self.seen.head.clone();
        let core = self.core.get_mut();
        // Numbers that were given away once are not given away again.
        core.head.version = core.head.version.max(seen.version) + 1;
        core.head.last_event = core.head.last_event.max(seen.last_event) + 1;
        core.head.epoch = core.head.epoch.max(seen.epoch) + 1;
        core.cache.last_event = core.head.last_event;
        core.must_write = true;
        let now = UnixMs(core.head.now_ms);
        let (done, _) = self.write(|tx, _| roll_back_in(tx, lost, now));
        done.map(drop).map_err(|error: JournalError| ended("taking back running jobs", error))
    }

    /// Steps that this server had recorded and that the database does not have any more are recorded again, so that whoever
    /// holds their jobs next looks for what they did.
    fn put_back(&mut self, known: Vec<rl_engine::StepRecord>) -> Result<(), PgError> {
        if known.is_empty() {
            return Ok(());
        }
        let ids: Vec<JobId> = known.iter().map(|step| step.job).collect();
        let (done, _) = self.write(move |tx, _| -> RowResult<usize> {
            tx.rows.prefetch(&ids)?;
            feed::put_back(tx, &known)
        });
        let count = done.map_err(|error| ended("recording lost steps again", error))?;
        if count > 0 {
            tracing::warn!(steps = count, "steps that the database had lost were recorded again");
        }
        Ok(())
    }

    /// Runs one write. One that fails leaves nothing, and the others of the batch alone.
    pub(super) fn write<T, E: From<JournalError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>, &dyn Sql) -> Result<T, E>,
    ) -> (Result<T, E>, Announce) {
        self.sched.take_touched();
        let unfinished = self.sched.unfinished();
        self.core.get_mut().start_write();
        let done = self.run(work);
        match done {
            Ok((value, announce)) => (Ok(value), announce),
            Err(error) => {
                self.take_back(unfinished);
                (Err(error), Announce::default())
            }
        }
    }

    fn run<T, E: From<JournalError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>, &dyn Sql) -> Result<T, E>,
    ) -> Result<(T, Announce), E> {
        if let Some(why) = self.core.get_mut().failed() {
            return Err(JournalError::from(PgError::Ended { why: why.to_owned() }).into());
        }
        let store_now = self.store_now();
        let mut rows = WriterRows(&self.core);
        let mut tx = Tx::new(&mut rows, &mut self.sched);
        if let Some(now) = store_now {
            tx = tx.with_clock(now);
        }
        let value = work(&mut tx, &WriterSql(&self.core))?;
        let announce = tx.close()?;
        self.core.get_mut().keep_write()?;
        Ok((value, announce))
    }

    /// Takes the current write back, in the rows and in the scheduler.
    fn take_back(&mut self, unfinished: usize) {
        let now = self.store_now();
        let core = self.core.get_mut();
        let rows_failed = core.rows_failed;
        let touched = core.undo_write();
        if !self.sched.take_touched() || core.failed().is_some() {
            return;
        }
        if rows_failed {
            // Jobs may have been picked that were not touched yet.
            match feed::rebuild(core, std::mem::take(&mut self.sched), now) {
                Ok(sched) => self.sched = sched,
                Err(error) => core.fail_with(&error),
            }
        } else {
            for id in touched {
                match core.cache.jobs.get(&id) {
                    Some(entry) => self.sched.mirror((*entry.slot).clone(), &entry.status, None),
                    None => self.sched.forget(id),
                }
            }
        }
        self.sched.set_unfinished(unfinished);
    }

    /// Ends the transaction. Answers leave only after this.
    pub(super) fn commit(&mut self, announce: Announce) -> End {
        if let Some(why) = self.core.get_mut().failed() {
            let error = PgError::Ended { why: why.to_owned() };
            return self.drop_all(error);
        }
        self.batch += 1;
        let next = self.next_head(announce);
        fail_point!("store.commit.before");
        let committed = self.core.get_mut().commit(next.clone());
        fail_point!("store.commit.after");
        match committed {
            Ok(None) => End::Kept,
            Ok(Some(head)) => {
                self.core.get_mut().cache.committed();
                self.seen.head = head;
                let doubtful = self.core.get_mut().conn.as_ref().is_some_and(Conn::take_doubt);
                if doubtful { End::Unknown(next, "the database gave a warning".to_owned()) } else { End::Kept }
            }
            Err(error) if error.is_lost() => {
                let why = text(&error);
                tracing::warn!(error = why, "the connection was lost while a commit was under way");
                self.disconnect();
                self.seen.stale = true;
                End::Unknown(next, why)
            }
            Err(error) => self.drop_all(error),
        }
    }

    fn next_head(&mut self, announce: Announce) -> Head {
        let unfinished = self.sched.unfinished() as u64;
        let core = self.core.get_mut();
        Head {
            version: core.head.version + 1,
            last_event: core.cache.last_event,
            unfinished,
            cancels: core.head.cancels + u64::from(announce.cancels()),
            schedules: core.head.schedules + u64::from(announce.schedules()),
            writer: self.me.clone(),
            batch: self.batch,
            ..core.head.clone()
        }
    }

    /// Nothing of the transaction was kept: what is at hand is read again.
    fn drop_all(&mut self, error: PgError) -> End {
        tracing::warn!(error = text(&error), "a batch of writes was not kept");
        self.seen.stale = true;
        self.give_up();
        End::NotKept(Arc::new(error))
    }

    /// Finds out whether a commit is there. It is asked under the head's lock, so that a transaction of ours that is still
    /// open has ended; and if it is there, another commit makes sure that it also is where the database's standbys are.
    pub(super) fn resolve(&mut self, next: &Head) -> Result<bool, PgError> {
        self.seen.stale = true;
        if self.core.get_mut().cache.is_dirty() {
            self.core.get_mut().cache.abandon();
        }
        self.connect()?;
        let core = self.core.get_mut();
        let found = core.begin().and_then(|()| feed::is_written(core, next));
        let mut latest = next.clone();
        let found = match found {
            Ok(true) => {
                self.batch += 1;
                let barrier = Head {
                    version: core.head.version + 1,
                    writer: self.me.clone(),
                    batch: self.batch,
                    ..core.head.clone()
                };
                let Some(conn) = &mut core.conn else { return Ok(false) };
                let sealed = seal(conn, &Changes::default(), &barrier, "", "");
                latest = barrier;
                match sealed {
                    Ok(()) if conn.take_doubt() => Err(PgError::TimedOut { doing: "waiting for a standby" }),
                    Ok(()) => Ok(true),
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        if !matches!(found, Ok(true)) {
            self.give_up();
        }
        if matches!(found, Ok(true)) {
            // What was seen last must be found again, and this is the latest.
            self.seen.head = latest;
        }
        found
    }

    /// Removes what other servers no longer need to follow.
    pub(super) fn prune(&mut self) {
        if !self.batch.is_multiple_of(PRUNE_EVERY) {
            return;
        }
        let until = i64::try_from(self.seen.head.version.saturating_sub(CHANGES_KEPT)).unwrap_or(0);
        if let Some(conn) = &mut self.core.get_mut().conn {
            let pruned = conn.execute("delete from change where version < $1", &[&until], "removing old changes");
            if let Err(error) = pruned {
                tracing::debug!(error = text(&error), "old changes stay for now");
            }
        }
    }
}

/// A failure of a row access as one of the database.
fn ended(doing: &'static str, error: JournalError) -> PgError {
    match error {
        JournalError::Unavailable { source, .. } => match source.downcast::<PgError>() {
            Ok(error) => *error,
            Err(source) => PgError::Lost { doing, source },
        },
        JournalError::Undecodable { what, source } => PgError::Undecodable { what, source },
        error => PgError::Ended { why: text(&error) },
    }
}
