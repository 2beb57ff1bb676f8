//! The database that all servers share: a journal in memory, its clock, and what may go wrong with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rl_engine::{
    Clock, JobId, JobRecord, Journal, JournalError, MemoryJournal, OperationId, OperationRecord, Signal, SimClock,
    StepRecord, UnixMs,
};

use tokio::sync::watch;

use crate::broken::Broken;
use crate::rules::START_MS;

/// A write, to be made once more on a journal that is built anew.
pub(crate) type Replay = Box<dyn Fn(MemoryJournal) -> BoxFuture<'static, ()> + Send>;

/// See the module.
pub(crate) struct Database {
    journal: Mutex<MemoryJournal>,
    shared: bool,
    pub(crate) broken: Broken,
    clock: SimClock,
    down: Mutex<bool>,
    /// Those who follow the journal, in order. Tokio wakes the waiters of one channel in random order; these each have their
    /// own, so that two runs of a seed are the same.
    followers: Mutex<Vec<watch::Sender<Signal>>>,
    /// All writes; kept only where the last of them are to be lost.
    log: Mutex<Vec<Replay>>,
}

impl Database {
    pub(crate) fn new(shared: bool, broken: Broken) -> Arc<Self> {
        let clock = SimClock::auto(UnixMs(START_MS));
        Arc::new(Self {
            journal: Mutex::new(Self::empty(shared, &clock)),
            shared,
            broken,
            clock,
            down: Mutex::default(),
            followers: Mutex::default(),
            log: Mutex::default(),
        })
    }

    /// A database that several servers share has a clock of its own; one that belongs to a single server has none.
    fn empty(shared: bool, clock: &SimClock) -> MemoryJournal {
        if shared { MemoryJournal::shared_with_clock(Arc::new(clock.clone())) } else { MemoryJournal::new() }
    }

    pub(crate) fn journal(&self) -> MemoryJournal {
        self.journal.lock().unwrap().clone()
    }

    /// The true time.
    pub(crate) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.steady()
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Signal> {
        let now = *self.journal().subscribe().borrow();
        let follower = watch::Sender::new(now);
        let receiver = follower.subscribe();
        self.followers.lock().unwrap().push(follower);
        receiver
    }

    /// Tells followers what a write has changed.
    pub(crate) fn tell(&self) {
        let now = *self.journal().subscribe().borrow();
        let mut followers = self.followers.lock().unwrap();
        followers.retain(|follower| follower.receiver_count() > 0);
        for follower in &*followers {
            follower.send_if_modified(|seen| std::mem::replace(seen, now) != now);
        }
    }

    /// It refuses every write from now on, or takes them again.
    pub(crate) fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    pub(crate) fn refusal(&self) -> Option<JournalError> {
        let refuse = || JournalError::Unavailable { doing: "writing", source: "it is down".into() };
        self.down.lock().unwrap().then(refuse)
    }

    pub(crate) fn keep(&self, write: impl FnOnce() -> Replay) {
        if self.broken == Broken::AnswerBeforeCommit {
            self.log.lock().unwrap().push(write());
        }
    }

    /// Forgets the last writes although they were acknowledged, as a store does that answers before it is on disk.
    pub(crate) fn lose_last(&self, count: usize) {
        let mut log = self.log.lock().unwrap();
        let kept = log.len().saturating_sub(count);
        log.truncate(kept);
        let journal = Self::empty(self.shared, &self.clock);
        for write in log.iter() {
            write(journal.clone()).now_or_never().unwrap();
        }
        *self.journal.lock().unwrap() = journal;
    }

    pub(crate) fn job(&self, id: JobId) -> Option<JobRecord> {
        let journal = self.journal();
        journal.job(id).now_or_never().unwrap().unwrap()
    }

    pub(crate) fn operation(&self, id: OperationId) -> Option<OperationRecord> {
        let journal = self.journal();
        journal.operation(id).now_or_never().unwrap().unwrap()
    }

    pub(crate) fn jobs(&self, id: OperationId) -> Vec<JobRecord> {
        let journal = self.journal();
        journal.jobs(id, 0, 1000).now_or_never().unwrap().unwrap()
    }

    pub(crate) fn steps(&self, id: JobId) -> Vec<StepRecord> {
        let journal = self.journal();
        journal.steps(id).now_or_never().unwrap().unwrap()
    }
}
