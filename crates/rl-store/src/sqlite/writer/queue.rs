//! The two lanes in which writes wait.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rl_engine::{Lane, Signal};
use tokio::sync::{Semaphore, watch};

use super::session::Session;
use crate::commits::Commits;
use crate::sqlite::Pending;

/// Most writes that wait in one lane; whoever comes later waits in its own task.
const QUEUE_MAX: usize = 8_192;
/// Most writes in one commit: bounds how long the first of them waits for its answer.
const BATCH_MAX: usize = 4_096;
/// How long the writer is idle before it moves the log into the database.
const IDLE: Duration = Duration::from_millis(500);

/// One write. Run without a session it is refused, because the disk is full.
pub(super) struct Work {
    /// It runs statements of its own.
    pub(super) statements: bool,
    pub(super) run: Run,
}

/// What a write does with the session, if there is one.
type Run = Box<dyn FnOnce(Option<&mut Session>) -> Pending + Send>;

/// What the handle and the thread share.
pub(super) struct Shared {
    queues: Mutex<Queues>,
    arrived: Condvar,
    progress: Semaphore,
    intake: Semaphore,
    poisoned: AtomicBool,
    pub(super) commits: Commits,
    pub(super) signal: watch::Sender<Signal>,
}

#[derive(Default)]
struct Queues {
    progress: VecDeque<Work>,
    intake: VecDeque<Work>,
    closed: bool,
    /// The writer waits and must be woken.
    waiting: bool,
}

/// What goes into one commit, running jobs first.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) progress: Vec<Work>,
    pub(super) intake: Vec<Work>,
}

pub(super) enum Next {
    Batch(Batch),
    Idle,
    Closed,
}

impl Shared {
    pub(super) fn new(last_event: u64) -> Self {
        Self {
            queues: Mutex::default(),
            arrived: Condvar::new(),
            progress: Semaphore::new(QUEUE_MAX),
            intake: Semaphore::new(QUEUE_MAX),
            poisoned: AtomicBool::new(false),
            commits: Commits::default(),
            signal: watch::Sender::new(Signal { events: last_event, ..Signal::default() }),
        }
    }

    pub(super) fn room(&self, lane: Lane) -> &Semaphore {
        match lane {
            Lane::Progress => &self.progress,
            Lane::Intake => &self.intake,
        }
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::SeqCst)
    }

    /// Nothing is acknowledged any more.
    pub(super) fn poison(&self) {
        self.poisoned.store(true, Ordering::SeqCst);
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, lane: Lane, work: Work) {
        let mut queues = self.lock();
        match lane {
            Lane::Progress => queues.progress.push_back(work),
            Lane::Intake => queues.intake.push_back(work),
        }
        let wake = std::mem::take(&mut queues.waiting);
        drop(queues);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Waits for work. Progress of running jobs goes before new work, so that overload never starves what runs.
    pub(super) fn next(&self, dirty: bool) -> Next {
        let mut queues = self.lock();
        loop {
            let progress = queues.progress.len().min(BATCH_MAX);
            let intake = queues.intake.len().min(BATCH_MAX - progress);
            if progress + intake > 0 {
                let progress = queues.progress.drain(..progress).collect();
                let intake = queues.intake.drain(..intake).collect();
                return Next::Batch(Batch { progress, intake });
            }
            if queues.closed {
                return Next::Closed;
            }
            queues.waiting = true;
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

    /// Takes the new work that waits, to refuse it.
    pub(super) fn waiting_intake(&self) -> Vec<Work> {
        self.lock().intake.drain(..).collect()
    }

    /// Nothing is written any more: who still waits is told by the end of its channel.
    pub(super) fn refuse_rest(&self) {
        self.progress.close();
        self.intake.close();
        let mut queues = self.lock();
        let rest: Vec<Work> =
            std::mem::take(&mut queues.progress).into_iter().chain(std::mem::take(&mut queues.intake)).collect();
        drop(queues);
        drop(rest);
    }
}
