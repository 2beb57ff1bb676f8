//! The one writer of this server: a thread that joins what waits into one transaction, commits it, and only then answers.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::Rng;
use rl_engine::{Announce, Hint, JournalError, Lane, Tx};
use tokio::sync::{Semaphore, oneshot};

use super::error::PgError;
use super::head::Head;
use super::session::{End, Session, TimeSource};
use super::txn::text;
use super::url::Target;
use super::watcher::Known;
use crate::commits::Commits;
use crate::error::StoreError;
use crate::sql::Sql;

/// Most writes that wait in one lane; whoever comes later waits in its own task.
const QUEUE_MAX: usize = 8_192;
/// Most writes in one transaction: bounds how long the first of them waits for its answer, and other servers for their turn.
const BATCH_MAX: usize = 2_048;
/// Longest pause between two tries to reach the database.
const PAUSE_MAX: Duration = Duration::from_millis(1_000);
/// Longest pause before the second try; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(50);

/// What a write does when it is its turn, or when there will be no turn.
type Run = Box<dyn FnOnce(&mut Session) -> Pending + Send>;
type Refuse = Box<dyn FnOnce(Arc<PgError>) + Send>;

/// A write that waits.
struct Work {
    hint: Hint,
    run: Run,
}

/// What one write leaves to be done once the commit is known.
struct Pending {
    announce: Announce,
    answer: Box<dyn FnOnce(Result<(), Arc<PgError>>) + Send>,
}

/// Handle of the writer thread. Dropping it writes what waits, if the database can be reached.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queues: Mutex<Queues>,
    arrived: Condvar,
    progress: Semaphore,
    intake: Semaphore,
    commits: Commits,
    halted: AtomicBool,
    known: Arc<Known>,
}

#[derive(Default)]
struct Queues {
    progress: VecDeque<(Work, Refuse)>,
    intake: VecDeque<(Work, Refuse)>,
    closed: bool,
}

/// An error that several callers are told.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Told(Arc<PgError>);

fn told(error: &Arc<PgError>) -> JournalError {
    if error.is_full() {
        return JournalError::Full { why: "the disk of the database server is full".to_owned(), retry_after: None };
    }
    JournalError::Unavailable { doing: "writing to the database", source: Box::new(Told(Arc::clone(error))) }
}

impl Writer {
    /// Starts the thread, which connects and reads what is unfinished before this returns.
    pub(super) fn start(target: &Target, time: TimeSource, known: Arc<Known>) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            arrived: Condvar::new(),
            progress: Semaphore::new(QUEUE_MAX),
            intake: Semaphore::new(QUEUE_MAX),
            commits: Commits::default(),
            halted: AtomicBool::new(false),
            known,
        });
        let (sender, opened) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn({
            let (shared, target) = (Arc::clone(&shared), target.clone());
            move || match Session::open(target, time) {
                Ok(mut session) => {
                    shared.tell_news(&mut session);
                    // Whoever opens the store waits for this.
                    let _ = sender.send(Ok(()));
                    shared.serve(&mut session);
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
        let writer = Self { shared, thread: Some(thread.map_err(super::starting)?) };
        opened.recv().unwrap_or(Err(StoreError::Poisoned)).map(|()| writer)
    }

    pub(super) async fn write<T, E>(
        &self,
        lane: Lane,
        hint: Hint,
        work: impl FnOnce(&mut Tx<'_>, &dyn Sql) -> Result<T, E> + Send + 'static,
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
        let (sender, answer) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let refuse: Refuse = Box::new({
            let sender = Arc::clone(&sender);
            move |error| send(&sender, Err(told(&error).into()))
        });
        let run: Run = Box::new(move |session| {
            let (result, announce) = session.write(work);
            let answer = Box::new(move |end: Result<(), Arc<PgError>>| {
                send(&sender, end.map_err(|error| told(&error).into()).and(result));
            });
            Pending { announce, answer }
        });
        self.shared.push(lane, (Work { hint, run }, refuse));
        answer.await.unwrap_or_else(|_| Err(JournalError::Poisoned.into()))
    }

    pub(super) fn commits(&self) -> &Commits {
        &self.shared.commits
    }

    /// Stops the thread before its next transaction, or lets it go on: as a process that does not get to run.
    pub(super) fn halt(&self, halted: bool) {
        self.shared.halted.store(halted, Ordering::SeqCst);
        self.shared.arrived.notify_one();
    }
}

fn send<T>(sender: &Mutex<Option<oneshot::Sender<T>>>, answer: T) {
    if let Some(sender) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Who asked may be gone.
        let _ = sender.send(answer);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.halted.store(false, Ordering::SeqCst);
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

    fn push(&self, lane: Lane, work: (Work, Refuse)) {
        let mut queues = self.lock();
        match lane {
            Lane::Progress => queues.progress.push_back(work),
            Lane::Intake => queues.intake.push_back(work),
        }
        drop(queues);
        self.arrived.notify_one();
    }

    fn serve(&self, session: &mut Session) {
        let mut failures = 0u32;
        while let Some(batch) = self.next() {
            match self.run(session, batch) {
                true => failures = 0,
                false => {
                    self.pause(failures);
                    failures = failures.saturating_add(1);
                }
            }
        }
        self.progress.close();
        self.intake.close();
        let mut queues = self.lock();
        queues.progress.clear();
        queues.intake.clear();
    }

    /// Waits for work. Progress of running jobs goes before new work, so that overload never starves what runs.
    fn next(&self) -> Option<Vec<(Work, Refuse)>> {
        let mut queues = self.lock();
        loop {
            if !self.halted.load(Ordering::SeqCst) {
                let progress = queues.progress.len().min(BATCH_MAX);
                let mut batch: Vec<_> = queues.progress.drain(..progress).collect();
                let intake = queues.intake.len().min(BATCH_MAX - progress);
                batch.extend(queues.intake.drain(..intake));
                if !batch.is_empty() {
                    return Some(batch);
                }
                if queues.closed {
                    return None;
                }
            }
            queues = self.arrived.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs a batch as one transaction and answers. `false` when the database cannot be reached.
    fn run(&self, session: &mut Session, batch: Vec<(Work, Refuse)>) -> bool {
        let mut hint = Hint::default();
        for (work, _) in &batch {
            hint.jobs.extend(&work.hint.jobs);
            hint.operations.extend(&work.hint.operations);
            hint.keys.extend(work.hint.keys.iter().cloned());
        }
        if let Err(error) = session.begin(&hint) {
            let reachable = !error.is_lost();
            self.refuse(batch, error);
            self.tell_news(session);
            return reachable;
        }
        self.tell_news(session);
        let pending: Vec<Pending> = batch.into_iter().map(|(work, _)| (work.run)(session)).collect();
        let announce = pending.iter().map(|pending| pending.announce).fold(Announce::default(), Announce::and);
        let began = Instant::now();
        let end = session.commit(announce);
        self.commits.took(began);
        let (outcome, reachable) = match end {
            End::Kept => (Ok(()), true),
            End::NotKept(error) => {
                let reachable = !error.is_lost();
                (Err(error), reachable)
            }
            End::Unknown(next, why) => (self.resolve(session, &next, &why), true),
        };
        if outcome.is_ok() {
            self.commits.kept();
            self.known.committed(session.head(), announce);
        }
        for pending in pending {
            (pending.answer)(outcome.clone());
        }
        session.prune();
        reachable
    }

    /// Finds out what became of a commit, however long that takes: nobody is told anything before it is known. Whoever waits for
    /// a turn meanwhile is told that there is none.
    fn resolve(&self, session: &mut Session, next: &Head, why: &str) -> Result<(), Arc<PgError>> {
        let mut tries = 0;
        loop {
            match session.resolve(next) {
                Ok(true) => {
                    tracing::info!("the commit is in the database");
                    return Ok(());
                }
                Ok(false) => {
                    tracing::warn!("the commit is not in the database");
                    return Err(Arc::new(PgError::Ended { why: why.to_owned() }));
                }
                Err(error) => {
                    tracing::warn!(error = text(&error), "what became of a commit is not known yet");
                    if self.lock().closed {
                        // The answers are dropped, which says that nothing is known.
                        return Err(Arc::new(error));
                    }
                    let waiting = self.take_all();
                    self.refuse(waiting, error);
                }
            }
            self.pause(tries);
            tries = tries.saturating_add(1);
        }
    }

    fn take_all(&self) -> Vec<(Work, Refuse)> {
        let mut queues = self.lock();
        let mut all: Vec<_> = queues.progress.drain(..).collect();
        all.extend(queues.intake.drain(..));
        all
    }

    fn refuse(&self, batch: Vec<(Work, Refuse)>, error: PgError) {
        if !batch.is_empty() {
            tracing::warn!(
                error = text(&error),
                writes = batch.len(),
                "the database cannot be written to at the moment"
            );
        }
        let error = Arc::new(error);
        for (_, refuse) in batch {
            refuse(Arc::clone(&error));
        }
    }

    fn tell_news(&self, session: &mut Session) {
        let news = std::mem::take(&mut session.news);
        self.known.followed(session.head(), &news);
    }

    /// Waits before the next try, longer each time, and not to the end when the store is closed.
    fn pause(&self, tries: u32) {
        let longest = PAUSE_MAX.min(PAUSE_FIRST * 2u32.saturating_pow(tries.min(8)));
        let pause = longest.mul_f64(super::conn::random().random_range(0.3..1.0));
        let queues = self.lock();
        let closed = self.arrived.wait_timeout_while(queues, pause, |queues| !queues.closed);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
    }
}
