//! The scheduler of one process: what is ready, what waits for a lock domain, a node or a time, who holds what.
//!
//! It is an index over the rows and can be rebuilt from them at any time. A job that finds a lock domain full waits at that
//! domain; whoever frees a place wakes the one job there whose turn it is, so a change costs the logarithm of the jobs, not their number.
mod breaker;
mod domain;
mod fair;
mod newer;
mod pick;
mod queue;
mod site;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::id::{JobId, OwnerId};
use crate::journal::{NEEDS_TO_KNOW, WAIT_MAX};
use crate::record::{JobSlot, JobStatus};
use crate::rows::{RowResult, Rows};
use crate::state::JobState;
use crate::time::UnixMs;
use breaker::Breakers;
use domain::Domains;
use fair::FairQueue;
use newer::Newer;
pub(crate) use pick::{Held, Pick};
pub use queue::Queue;
use site::Aside;

/// See the module.
#[derive(Debug, Default)]
pub struct Sched {
    jobs: HashMap<JobId, Entry>,
    ready: FairQueue,
    /// Woken jobs for which places are kept, by seniority: they go before all others.
    seniors: BTreeSet<(u64, JobId)>,
    next_seniority: u64,
    /// Until when places are kept, for which seniority of which job.
    kept: BTreeSet<(UnixMs, u64, JobId)>,
    domains: Domains,
    breakers: Breakers,
    aside: Aside,
    newer: Newer,
    timers: BTreeSet<(UnixMs, JobId)>,
    running: HashMap<OwnerId, BTreeSet<JobId>>,
    cancelled: HashMap<OwnerId, BTreeSet<JobId>>,
    unfinished: usize,
    touched: bool,
    /// How long the job handed out last had been ready, and when that was.
    last_wait: Option<(Duration, UnixMs)>,
}

#[derive(Debug)]
struct Entry {
    slot: Arc<JobSlot>,
    at: At,
    holds: bool,
    /// Since when it could have been handed out; unknown after a rebuild until somebody asks.
    ready_since: Option<UnixMs>,
    /// Times it found a lock domain full since it became ready.
    overtaken: u32,
    /// Places are kept for it.
    seniority: Option<u64>,
}

/// Where a job is in the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Ready,
    /// Ready, before all others.
    Senior(u64),
    Domain(String),
    Breaker(Arc<str>),
    Aside(UnixMs),
    /// Left to servers that know its kind.
    Newer,
    Timer(UnixMs),
    Running(OwnerId),
    /// Known only because it holds lock domains.
    Idle,
}

impl Sched {
    /// Builds the index from the rows.
    pub fn rebuild(rows: &mut dyn Rows) -> RowResult<Sched> {
        let mut sched = Sched::default();
        for (slot, status) in rows.unfinished_jobs()? {
            sched.unfinished += 1;
            sched.place(slot, &status);
        }
        sched.touched = false;
        Ok(sched)
    }

    /// Builds the index anew from the rows, as after a transaction that was taken back. What is not in the rows (which nodes did not
    /// answer) is kept.
    pub fn renew(&mut self, rows: &mut dyn Rows) -> RowResult<()> {
        let mut renewed = Sched::rebuild(rows)?;
        renewed.breakers = std::mem::take(&mut self.breakers).known();
        renewed.last_wait = self.last_wait;
        *self = renewed;
        Ok(())
    }

    /// An index without jobs that keeps what is not in the rows: which nodes did not answer.
    #[must_use]
    pub fn emptied(self) -> Sched {
        Sched { breakers: self.breakers.known(), last_wait: self.last_wait, ..Sched::default() }
    }

    /// Puts a job where its stored status says it belongs, wherever it was before: for changes that another server made, and for
    /// a write of this one that was taken back. The number of unfinished jobs is not touched: see [`Sched::set_unfinished`].
    ///
    /// `noticed` is the time now, by the clock of claims, when another server made the change: a job that did not wait here before
    /// has been ready since then at least. `None` when a write of this server was taken back, or when the time is not known: then
    /// the job has been ready since when it was.
    pub fn mirror(&mut self, slot: JobSlot, status: &JobStatus, noticed: Option<UnixMs>) {
        let id = slot.id;
        let known = self.jobs.get(&id);
        let held = known.is_some_and(|entry| entry.holds);
        let waits = |entry: &&Entry| !matches!(entry.at, At::Idle | At::Running(_) | At::Timer(_));
        let known = known.filter(|entry| noticed.is_none() || waits(entry));
        let since = known.and_then(|entry| entry.ready_since).or(noticed);
        self.leave(id);
        let slot = Arc::new(slot);
        if held && !status.holds_locks {
            self.release_locks(id);
        }
        if !held && status.holds_locks {
            self.hold(Arc::clone(&slot));
        }
        self.note_parked(id, status);
        match status.state {
            JobState::Ready => self.make_ready(slot, since),
            JobState::Backoff => self.set_timer(slot, status.not_before.unwrap_or_default()),
            JobState::Running => self.set_held(slot, status),
            _ => self.forget_if_idle(id),
        }
    }

    /// Forgets a job that is not stored any more, and gives back what it held.
    pub fn forget(&mut self, job: JobId) {
        self.leave(job);
        self.release_locks(job);
        self.forget_if_idle(job);
    }

    /// Sets the number of unfinished jobs, as a store that is shared counts it for all its servers.
    pub fn set_unfinished(&mut self, unfinished: usize) {
        self.unfinished = unfinished;
    }

    fn place(&mut self, slot: JobSlot, status: &JobStatus) {
        let slot = Arc::new(slot);
        if status.holds_locks {
            self.hold(Arc::clone(&slot));
        }
        self.note_parked(slot.id, status);
        match status.state {
            JobState::Ready => self.make_ready(slot, None),
            JobState::Backoff => self.set_timer(slot, status.not_before.unwrap_or_default()),
            JobState::Running => self.set_held(slot, status),
            _ => {}
        }
    }

    /// Remembers which jobs wait for a release that knows them.
    pub(crate) fn note_parked(&mut self, job: JobId, status: &JobStatus) {
        let unknown = status.reason.as_deref().is_some_and(|reason| reason.starts_with(NEEDS_TO_KNOW));
        self.newer.set_parked(job, status.state == JobState::Parked && unknown);
    }

    /// Whether jobs were parked for a release that knows them since this owner last looked.
    pub(crate) fn look_at_parked(&mut self, owner: OwnerId) -> bool {
        self.newer.look(owner)
    }

    pub(crate) fn forget_owner(&mut self, owner: OwnerId) {
        self.newer.forget_owner(owner);
    }

    fn set_held(&mut self, slot: impl Into<Arc<JobSlot>>, status: &JobStatus) {
        let Some(owner) = status.owner else { return };
        let slot = slot.into();
        let id = slot.id;
        self.set_running(slot, owner);
        if status.cancel {
            self.flag_cancelled(owner, id);
        }
    }

    /// Jobs that are not finished, as counted by [`Sched::count`].
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    pub(crate) fn count(&mut self, added: usize, finished: usize) {
        self.touched = true;
        self.unfinished = (self.unfinished + added).saturating_sub(finished);
    }

    /// Whether anything changed since the last call: after a transaction that failed the index must then be rebuilt.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Whether a claim could find something.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.seniors.is_empty()
    }

    /// Jobs that wait for a claim, not counting those that wait at a lock domain, for a node, or for the servers of their site.
    pub fn ready_len(&self) -> usize {
        self.ready.len() + self.seniors.len()
    }

    /// How many hold a lock domain.
    pub fn held(&self, domain: &str) -> u32 {
        self.domains.held(domain)
    }

    /// The next moment a job in back-off, a probe or a job of another site is due.
    pub fn next_due(&self) -> Option<UnixMs> {
        let timer = self.timers.first().map(|timer| timer.0);
        [timer, self.breakers.next_due(), self.aside.next_due(), self.newer.next_due()].into_iter().flatten().min()
    }

    /// The jobs an owner runs.
    pub fn running_of(&self, owner: OwnerId) -> Vec<JobId> {
        self.running.get(&owner).into_iter().flatten().copied().collect()
    }

    /// Nodes and sites that do not answer, and how many jobs wait for each.
    pub fn unreachable(&self) -> Vec<(Arc<str>, usize)> {
        self.breakers.open()
    }

    pub(crate) fn slot(&self, job: JobId) -> Option<&Arc<JobSlot>> {
        self.jobs.get(&job).map(|entry| &entry.slot)
    }

    pub(crate) fn cancelled_of(&self, owner: OwnerId) -> Vec<JobId> {
        self.cancelled.get(&owner).into_iter().flatten().copied().collect()
    }

    pub(crate) fn flag_cancelled(&mut self, owner: OwnerId, job: JobId) {
        self.touched = true;
        self.cancelled.entry(owner).or_default().insert(job);
    }

    pub(crate) fn make_ready(&mut self, slot: impl Into<Arc<JobSlot>>, since: Option<UnixMs>) {
        let slot = slot.into();
        self.leave(slot.id);
        self.ready.push(&slot);
        let id = slot.id;
        self.enter(slot, At::Ready);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.ready_since = since;
            entry.overtaken = 0;
        }
    }

    pub(crate) fn set_timer(&mut self, slot: impl Into<Arc<JobSlot>>, due: UnixMs) {
        let slot = slot.into();
        self.leave(slot.id);
        self.timers.insert((due, slot.id));
        self.enter(slot, At::Timer(due));
    }

    pub(crate) fn set_running(&mut self, slot: impl Into<Arc<JobSlot>>, owner: OwnerId) {
        let slot = slot.into();
        self.leave(slot.id);
        self.running.entry(owner).or_default().insert(slot.id);
        self.enter(slot, At::Running(owner));
    }

    /// The job waits for nothing the scheduler could give; it is known only as long as it holds lock domains.
    pub(crate) fn set_idle(&mut self, job: JobId) {
        self.leave(job);
        self.forget_if_idle(job);
    }

    /// Takes the lock domains of a job without asking whether they have room: they were taken before.
    fn hold(&mut self, slot: Arc<JobSlot>) {
        self.touched = true;
        self.domains.hold(&slot);
        let id = slot.id;
        self.enter(slot, At::Idle);
        if let Some(entry) = self.jobs.get_mut(&id) {
            entry.holds = true;
        }
    }

    /// Gives back the lock domains of a job and wakes who waited for them.
    pub(crate) fn release_locks(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        if !std::mem::take(&mut entry.holds) {
            return;
        }
        self.touched = true;
        let slot = Arc::clone(&entry.slot);
        for lock in &slot.locks {
            self.domains.let_go(&lock.name);
            self.wake_one(&lock.name);
        }
        self.forget_if_idle(job);
    }

    /// Jobs whose back-off is over, at most `max`. They are still in back-off until [`Sched::make_ready`].
    pub(crate) fn due(&mut self, now: UnixMs, max: usize) -> Vec<JobId> {
        self.clamp_timers(now);
        self.timers.iter().take_while(|timer| timer.0 <= now).take(max).map(|timer| timer.1).collect()
    }

    /// A timer further ahead than any back-off can only come from a wall clock that went back.
    fn clamp_timers(&mut self, now: UnixMs) {
        let latest = now + WAIT_MAX;
        while let Some(&(due, job)) = self.timers.last() {
            if due <= latest {
                return;
            }
            let Some(slot) = self.slot(job).cloned() else {
                self.timers.remove(&(due, job));
                continue;
            };
            self.set_timer(slot, latest);
        }
    }

    fn enter(&mut self, slot: Arc<JobSlot>, at: At) {
        self.touched = true;
        match self.jobs.get_mut(&slot.id) {
            Some(entry) => entry.at = at,
            None => {
                let entry = Entry { slot, at, holds: false, ready_since: None, overtaken: 0, seniority: None };
                self.jobs.insert(entry.slot.id, entry);
            }
        }
    }

    /// Takes a job out of whatever it waits in.
    fn leave(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        self.touched = true;
        let slot = Arc::clone(&entry.slot);
        let was = std::mem::replace(&mut entry.at, At::Idle);
        let senior = entry.seniority.take();
        match &was {
            At::Ready => {
                self.ready.remove(&slot);
            }
            At::Senior(seniority) => {
                self.seniors.remove(&(*seniority, job));
            }
            At::Domain(name) => self.domains.leave(name, &slot),
            At::Breaker(target) => self.breakers.leave(target, &slot),
            At::Aside(ripe) => self.aside.remove(slot.site.as_ref(), job, *ripe),
            At::Newer => self.newer.remove(job),
            At::Timer(due) => {
                self.timers.remove(&(*due, job));
            }
            At::Running(owner) => {
                self.leave_owner(*owner, job);
                self.breakers.probe_ended(&slot);
            }
            At::Idle => {}
        }
        if let Some(seniority) = senior {
            self.domains.keep_no_more(&slot, seniority);
        }
        if senior.is_some() || was == At::Ready {
            self.wake_others(&slot, "");
        }
    }

    fn leave_owner(&mut self, owner: OwnerId, job: JobId) {
        for index in [&mut self.running, &mut self.cancelled] {
            if let Some(jobs) = index.get_mut(&owner) {
                jobs.remove(&job);
                if jobs.is_empty() {
                    index.remove(&owner);
                }
            }
        }
    }

    fn forget_if_idle(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|entry| entry.at == At::Idle && !entry.holds) {
            self.jobs.remove(&job);
        }
    }

    /// Lock domains and how many hold them, for display.
    pub fn domains(&self) -> BTreeMap<String, u32> {
        self.domains.all().map(|(name, held)| (name.clone(), held)).collect()
    }
}
