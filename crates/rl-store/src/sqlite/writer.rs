//! The one writer: a thread that joins what waits into one transaction, commits it, and only then answers.
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rl_engine::{Announce, JournalError, Lane, Sched, Signal, Tx, fail_point};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot, watch};

use super::dir::HeldDir;
use super::rows::SqlRows;
use super::{Commit, Pending};
use crate::error::{Doing, StoreError};

/// Most writes that wait in one lane; whoever comes later waits in its own task.
const QUEUE_MAX: usize = 8_192;
/// Most writes in one commit: bounds how long the first of them waits for its answer.
const BATCH_MAX: usize = 4_096;
/// How long the writer is idle before it moves the log into the database.
const IDLE: Duration = Duration::from_millis(500);
/// Log size at which it is moved even when there is no idle moment.
const LOG_BYTES_HIGH: u64 = 32 << 20;
/// Log size at which the file is also cut back.
const LOG_BYTES_CUT: u64 = 256 << 20;
/// Commits between looks at the log's size.
const LOG_LOOK_EVERY: u32 = 64;

type Work = Box<dyn FnOnce(&mut Session) -> Pending + Send>;

/// Handle of the writer thread. Dropping it writes what waits, and lets go of the data directory.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queues: Mutex<Queues>,
    arrived: Condvar,
    progress: Semaphore,
    intake: Semaphore,
    poisoned: AtomicBool,
    commits: AtomicU64,
    signal: watch::Sender<Signal>,
}

#[derive(Default)]
struct Queues {
    progress: VecDeque<Work>,
    intake: VecDeque<Work>,
    closed: bool,
}

/// What the writer thread works with.
struct Session {
    connection: Connection,
    sched: Sched,
    /// A failed write could not be taken back: nothing may be committed any more.
    broken: bool,
}

impl Writer {
    pub(super) fn start(connection: Connection, held: HeldDir) -> Result<Self, StoreError> {
        let sched = Sched::rebuild(&mut SqlRows::new(&connection)).map_err(StoreError::from)?;
        let last_event = SqlRows::new(&connection).last_event().map_err(StoreError::from)?;
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            arrived: Condvar::new(),
            progress: Semaphore::new(QUEUE_MAX),
            intake: Semaphore::new(QUEUE_MAX),
            poisoned: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            signal: watch::Sender::new(Signal { events: last_event, ..Signal::default() }),
        });
        let mut session = Session { connection, sched, broken: false };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || {
                shared.serve(&mut session, &held.log());
                // The directory is let go of only after the database is closed.
                drop(session);
                drop(held);
            }
        });
        let thread = thread.map_err(|source| StoreError::Directory {
            dir: PathBuf::new(),
            doing: "starting the writer thread",
            source,
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) async fn write<T, E>(
        &self,
        lane: Lane,
        work: impl FnOnce(&mut Tx<'_>, &Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<JournalError> + Send + 'static,
    {
        let lane_room = match lane {
            Lane::Progress => &self.shared.progress,
            Lane::Intake => &self.shared.intake,
        };
        let _room = lane_room.acquire().await.map_err(|_| E::from(JournalError::Poisoned))?;
        if self.is_poisoned() {
            return Err(JournalError::Poisoned.into());
        }
        let (sender, answer) = oneshot::channel();
        let work: Work = Box::new(move |session| {
            let (result, announce) = session.in_savepoint(work);
            let answer = Box::new(move |commit: Commit| {
                let _ = sender.send(match commit {
                    Commit::Kept => result,
                    Commit::TakenBack => Err(JournalError::from(StoreError::Full).into()),
                    Commit::Failed => Err(JournalError::Poisoned.into()),
                });
            });
            Pending { announce, answer }
        });
        self.shared.push(lane, work);
        answer.await.unwrap_or_else(|_| Err(JournalError::Poisoned.into()))
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.shared.poisoned.load(Ordering::SeqCst)
    }

    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    pub(super) fn signals(&self) -> watch::Receiver<Signal> {
        self.shared.signal.subscribe()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lane: Lane, work: Work) {
        let mut queues = self.lock();
        match lane {
            Lane::Progress => queues.progress.push_back(work),
            Lane::Intake => queues.intake.push_back(work),
        }
        drop(queues);
        self.arrived.notify_one();
    }

    fn serve(&self, session: &mut Session, log: &std::path::Path) {
        let mut commits = 0u32;
        let mut dirty = true;
        loop {
            let batch = match self.next(dirty) {
                Next::Batch(batch) => batch,
                Next::Idle => {
                    session.checkpoint("passive");
                    dirty = false;
                    continue;
                }
                Next::Closed => break,
            };
            dirty = true;
            self.commit(session, batch);
            if self.poisoned.load(Ordering::SeqCst) {
                break;
            }
            commits = commits.wrapping_add(1);
            if commits.is_multiple_of(LOG_LOOK_EVERY) {
                session.trim_log(log);
            }
        }
        self.refuse_rest();
    }

    /// Waits for work. Progress of running jobs goes before new work, so that overload never starves what runs.
    fn next(&self, dirty: bool) -> Next {
        let mut queues = self.lock();
        loop {
            let progress = queues.progress.len().min(BATCH_MAX);
            let mut batch: Vec<Work> = queues.progress.drain(..progress).collect();
            let intake = queues.intake.len().min(BATCH_MAX - progress);
            batch.extend(queues.intake.drain(..intake));
            if !batch.is_empty() {
                return Next::Batch(batch);
            }
            if queues.closed {
                return Next::Closed;
            }
            if dirty {
                let (again, waited) = self.arrived.wait_timeout(queues, IDLE).unwrap_or_else(PoisonError::into_inner);
                queues = again;
                if waited.timed_out() && queues.progress.is_empty() && queues.intake.is_empty() && !queues.closed {
                    return Next::Idle;
                }
            } else {
                queues = self.arrived.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn commit(&self, session: &mut Session, batch: Vec<Work>) {
        let mut waiting = batch.into_iter();
        while waiting.len() > 0 && !self.poisoned.load(Ordering::SeqCst) {
            self.commit_some(session, &mut waiting);
        }
    }

    /// One transaction: all that waits, or as much as fits on the disk.
    fn commit_some(&self, session: &mut Session, waiting: &mut std::vec::IntoIter<Work>) {
        let mut pending = Vec::with_capacity(waiting.len());
        let mut outcome = session.begin();
        while outcome == Commit::Kept {
            let Some(work) = waiting.next() else { break };
            pending.push(work(session));
            if session.broken {
                outcome = Commit::Failed;
            } else if session.connection.is_autocommit() {
                // SQLite gave the whole transaction up by itself, as it does when the disk is full.
                outcome = Commit::TakenBack;
            }
        }
        if outcome == Commit::Kept {
            fail_point!("store.commit.before");
            outcome = session.end();
            fail_point!("store.commit.after");
        }
        if outcome == Commit::TakenBack && session.rebuild().is_err() {
            outcome = Commit::Failed;
        }
        if outcome == Commit::Failed {
            self.poisoned.store(true, Ordering::SeqCst);
        }
        let announce = pending.iter().map(|pending| pending.announce).fold(Announce::default(), Announce::and);
        if outcome == Commit::Kept {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.signal.send_if_modified(|signal| announce.apply(signal));
        }
        for pending in pending {
            (pending.answer)(outcome);
        }
    }

    /// Nothing is written any more: who still waits is told by the end of its channel.
    fn refuse_rest(&self) {
        self.progress.close();
        self.intake.close();
        let mut queues = self.lock();
        queues.progress.clear();
        queues.intake.clear();
    }
}

enum Next {
    Batch(Vec<Work>),
    Idle,
    Closed,
}

impl Session {
    fn begin(&mut self) -> Commit {
        match self.connection.execute_batch("begin immediate") {
            Ok(()) => Commit::Kept,
            Err(error) => stop("beginning a transaction", &error),
        }
    }

    fn end(&mut self) -> Commit {
        let committed = self.connection.execute_batch("commit").doing("committing");
        match committed {
            Ok(()) => Commit::Kept,
            // A full disk leaves everything as it was.
            Err(StoreError::Full) if self.connection.is_autocommit() => Commit::TakenBack,
            Err(StoreError::Full) if self.connection.execute_batch("rollback").is_ok() => Commit::TakenBack,
            Err(error) => stop("committing", &error),
        }
    }

    /// Runs one write under a savepoint of its own, so that its failure leaves the others of the batch alone.
    fn in_savepoint<T, E: From<JournalError>>(
        &mut self,
        work: impl FnOnce(&mut Tx<'_>, &Connection) -> Result<T, E>,
    ) -> (Result<T, E>, Announce) {
        if let Err(error) = self.connection.execute_batch("savepoint work").doing("starting a write") {
            return (Err(JournalError::from(error).into()), Announce::default());
        }
        let mut rows = SqlRows::new(&self.connection);
        let mut tx = Tx::new(&mut rows, &mut self.sched);
        let result = work(&mut tx, &self.connection);
        let closed = tx.close().map_err(E::from);
        let result = result.and_then(|value| closed.map(|announce| (value, announce)));
        match result {
            Ok((value, announce)) => {
                if let Err(error) = self.connection.execute_batch("release work").doing("ending a write") {
                    return (self.undo(JournalError::from(error).into()), Announce::default());
                }
                self.sched.take_touched();
                (Ok(value), announce)
            }
            Err(error) => (self.undo(error), Announce::default()),
        }
    }

    fn undo<T, E: From<JournalError>>(&mut self, error: E) -> Result<T, E> {
        if self.connection.is_autocommit() {
            return Err(error);
        }
        let undone = self.connection.execute_batch("rollback to work; release work").doing("taking a write back");
        let rebuilt = match undone {
            Ok(()) if !self.sched.take_touched() => Ok(()),
            Ok(()) => self.rebuild(),
            Err(error) => Err(error),
        };
        match rebuilt {
            Ok(()) => Err(error),
            Err(failed) => {
                tracing::error!(error = %failed, "a failed write could not be taken back; the store stops");
                self.broken = true;
                Err(error)
            }
        }
    }

    /// Builds the scheduler's index anew from what is stored.
    fn rebuild(&mut self) -> Result<(), StoreError> {
        Ok(self.sched.renew(&mut SqlRows::new(&self.connection))?)
    }

    fn checkpoint(&self, mode: &str) {
        let result = self.connection.query_row(&format!("pragma wal_checkpoint({mode})"), (), |_| Ok(()));
        if let Err(error) = result {
            tracing::warn!(%error, mode, "the database log could not be moved into the database; it grows until it can");
        }
    }

    fn trim_log(&self, log: &std::path::Path) {
        match std::fs::metadata(log).map_or(0, |file| file.len()) {
            size if size > LOG_BYTES_CUT => self.checkpoint("truncate"),
            size if size > LOG_BYTES_HIGH => self.checkpoint("passive"),
            _ => {}
        }
    }
}

/// After a failed commit nobody knows what is on disk.
fn stop(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> Commit {
    tracing::error!(error, doing, "the store stops: nothing more is acknowledged");
    Commit::Failed
}
