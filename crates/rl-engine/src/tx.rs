//! One transaction of the journal: rows, scheduler, and what must be told when it is on disk.
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::id::{JobId, OperationId};
use crate::journal::{JournalError, Signal};
use crate::record::{Event, JobSlot, JobStatus, OperationStatus};
use crate::rows::{RowResult, Rows};
use crate::sched::Sched;
use crate::state::JobState;
use crate::time::UnixMs;

/// See the module. A backend makes one for each closure it runs, calls [`Tx::close`] inside the transaction and
/// [`Announce::apply`] after the commit.
pub struct Tx<'a> {
    /// The rows.
    pub rows: &'a mut dyn Rows,
    /// The scheduler of this process.
    pub sched: &'a mut Sched,
    operations: BTreeMap<OperationId, OperationStatus>,
    moved: BTreeMap<OperationId, UnixMs>,
    announce: Announce,
    store_now: Option<UnixMs>,
}

/// One moment on two clocks: the caller's wall clock and the store's. A store that several servers share has a clock of its own;
/// every comparison and every stored time uses that one, and what is answered is told in the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    caller: UnixMs,
    store: UnixMs,
}

impl Moment {
    /// The moment on the store's clock.
    pub fn now(self) -> UnixMs {
        self.store
    }

    /// A time on the caller's clock, told in the store's.
    pub fn stored(self, caller: UnixMs) -> UnixMs {
        moved(caller, self.caller, self.store)
    }

    /// A time on the store's clock, told in the caller's.
    pub fn told(self, stored: UnixMs) -> UnixMs {
        moved(stored, self.store, self.caller)
    }
}

/// `time`, which lies as far from `from` as the answer from `to`.
fn moved(time: UnixMs, from: UnixMs, to: UnixMs) -> UnixMs {
    match time.0.checked_sub(from.0) {
        Some(later) => UnixMs(to.0.saturating_add(later)),
        None => UnixMs(to.0.saturating_sub(from.0 - time.0)),
    }
}

/// What followers are told once the transaction is on disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Announce {
    last_event: Option<u64>,
    work: bool,
    cancel: bool,
    schedules: bool,
}

impl Announce {
    /// Joins what two transactions of one commit announce.
    pub fn and(self, later: Announce) -> Announce {
        Announce {
            last_event: later.last_event.or(self.last_event),
            work: self.work || later.work,
            cancel: self.cancel || later.cancel,
            schedules: self.schedules || later.schedules,
        }
    }

    /// A running job was cancelled.
    pub fn cancels(self) -> bool {
        self.cancel
    }

    /// A schedule changed.
    pub fn schedules(self) -> bool {
        self.schedules
    }

    /// Tells followers. Answers whether there was anything to tell.
    pub fn apply(self, signal: &mut Signal) -> bool {
        if let Some(seq) = self.last_event {
            signal.events = signal.events.max(seq);
        }
        signal.work += u64::from(self.work);
        signal.cancels += u64::from(self.cancel);
        signal.schedules += u64::from(self.schedules);
        self.last_event.is_some() || self.work || self.cancel || self.schedules
    }
}

impl<'a> Tx<'a> {
    /// Starts a transaction of a store without a clock of its own: callers' wall clocks count.
    pub fn new(rows: &'a mut dyn Rows, sched: &'a mut Sched) -> Self {
        Self {
            rows,
            sched,
            operations: BTreeMap::new(),
            moved: BTreeMap::new(),
            announce: Announce::default(),
            store_now: None,
        }
    }

    /// Gives the transaction the store's own clock. From here on no caller's wall clock decides anything.
    #[must_use]
    pub fn with_clock(mut self, store_now: UnixMs) -> Self {
        self.store_now = Some(store_now);
        self
    }

    /// The moment of the transaction, given the caller's wall clock.
    pub fn at(&self, caller_now: UnixMs) -> Moment {
        Moment { caller: caller_now, store: self.store_now.unwrap_or(caller_now) }
    }

    /// Writes what was held back and says what is to be announced after the commit.
    pub fn close(mut self) -> RowResult<Announce> {
        for (id, now) in std::mem::take(&mut self.moved) {
            self.derive(id, now)?;
        }
        for (id, status) in &self.operations {
            self.rows.put_operation_status(*id, status)?;
        }
        Ok(self.announce)
    }

    pub(crate) fn tell_work(&mut self) {
        self.announce.work = true;
    }

    pub(crate) fn tell_cancel(&mut self) {
        self.announce.cancel = true;
    }

    pub(crate) fn tell_schedules(&mut self) {
        self.announce.schedules = true;
    }

    /// The status of an operation, read once and written once per transaction.
    pub(crate) fn operation(&mut self, id: OperationId) -> RowResult<&mut OperationStatus> {
        if !self.operations.contains_key(&id) {
            let status = self.rows.operation_status(id)?.ok_or_else(|| not_found("operation", id))?;
            self.operations.insert(id, status);
        }
        self.operations.get_mut(&id).ok_or_else(|| not_found("operation", id))
    }

    /// The operation's state is derived anew at the end of the transaction.
    pub(crate) fn moved(&mut self, id: OperationId, now: UnixMs) {
        self.moved.insert(id, now);
    }

    pub(crate) fn job_status(&mut self, id: JobId) -> RowResult<(OperationId, JobStatus)> {
        self.rows.job_status(id)?.ok_or_else(|| not_found("job", id))
    }

    /// What the scheduler must know of a job: as it knows it, else from the rows.
    pub(crate) fn slot(&mut self, id: JobId) -> RowResult<Arc<JobSlot>> {
        if let Some(slot) = self.sched.slot(id) {
            return Ok(Arc::clone(slot));
        }
        self.rows.job_slot(id)?.map(Arc::new).ok_or_else(|| not_found("job", id))
    }

    /// Adds an event to the transaction.
    pub fn event(
        &mut self,
        operation: OperationId,
        job: Option<JobId>,
        kind: &str,
        body: Value,
        at: UnixMs,
    ) -> RowResult<()> {
        let at = self.at(at).now();
        let event = Event { seq: 0, operation, job, kind: kind.to_owned(), body, at };
        let seq = self.rows.append_event(&event)?;
        self.announce.last_event = Some(seq);
        Ok(())
    }

    /// Stores a job's new status, keeps the operation's counts and the scheduler in step, and says so when the operation's state changes.
    pub(crate) fn put_job(
        &mut self,
        operation: OperationId,
        id: JobId,
        old: JobState,
        new: &JobStatus,
        now: UnixMs,
    ) -> RowResult<()> {
        self.rows.put_job_status(id, new)?;
        if old != new.state {
            self.move_count(operation, old, new.state, now)?;
        }
        self.reschedule(id, old, new, now)
    }

    /// Keeps the scheduler in step with a job's new status.
    fn reschedule(&mut self, id: JobId, old: JobState, new: &JobStatus, now: UnixMs) -> RowResult<()> {
        if !new.holds_locks {
            self.sched.release_locks(id);
        }
        if old == JobState::Parked || new.state == JobState::Parked {
            self.sched.note_parked(id, new);
            self.announce.work |= new.state == JobState::Parked;
        }
        match new.state {
            JobState::Ready => {
                let slot = self.slot(id)?;
                self.sched.make_ready(slot, Some(now));
            }
            JobState::Backoff => {
                let slot = self.slot(id)?;
                self.sched.set_timer(slot, new.not_before.unwrap_or_default());
            }
            JobState::Running => {
                if let Some(owner) = new.owner.filter(|_| old != JobState::Running) {
                    let slot = self.slot(id)?;
                    self.sched.set_running(slot, owner);
                }
            }
            _ => self.sched.set_idle(id),
        }
        if new.state != JobState::Running {
            self.announce.work |= self.sched.has_ready() || new.state == JobState::Backoff;
        }
        Ok(())
    }

    fn move_count(&mut self, id: OperationId, old: JobState, new: JobState, now: UnixMs) -> RowResult<()> {
        match (old.is_finished(), new.is_finished()) {
            (false, true) => self.sched.count(0, 1),
            (true, false) => self.sched.count(1, 0),
            _ => {}
        }
        let operation = self.operation(id)?;
        operation.counts.remove(old);
        operation.counts.add(new);
        self.moved.insert(id, now);
        Ok(())
    }

    /// Derives the operation's state from its counts once all jobs have moved; an event says so when it changed.
    fn derive(&mut self, id: OperationId, now: UnixMs) -> RowResult<()> {
        let operation = self.operation(id)?;
        operation.updated_at = now;
        let state = operation.counts.operation_state(operation.cancel.is_some());
        if state == operation.state {
            return Ok(());
        }
        operation.state = state;
        operation.finished_at = state.is_finished().then_some(now);
        let body = json!({ "state": state.as_str() });
        self.event(id, None, "operation.state", body, now)
    }
}

pub(crate) fn not_found(what: &'static str, id: impl ToString) -> JournalError {
    JournalError::NotFound { what, id: id.to_string() }
}
