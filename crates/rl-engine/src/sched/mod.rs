//! The scheduler of one process: what is ready, what waits for a lock domain, what waits for a time, who holds what.
//!
//! It is an index over the rows and can be rebuilt from them at any time. A job that finds a lock domain full waits at that
//! domain; whoever frees a place wakes the one job there whose turn it is, so a change costs the logarithm of the jobs, not their number.
mod fair;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{JobId, OwnerId};
use crate::journal::WAIT_MAX;
use crate::record::{JobSlot, JobStatus};
use crate::rows::{RowResult, Rows};
use crate::state::JobState;
use crate::time::UnixMs;
use fair::FairQueue;

/// See the module.
#[derive(Debug, Default)]
pub struct Sched {
    jobs: HashMap<JobId, Entry>,
    ready: FairQueue,
    domains: HashMap<String, Domain>,
    timers: BTreeSet<(UnixMs, JobId)>,
    running: HashMap<OwnerId, BTreeSet<JobId>>,
    cancelled: HashMap<OwnerId, BTreeSet<JobId>>,
    unfinished: usize,
    touched: bool,
}

#[derive(Debug)]
struct Entry {
    slot: JobSlot,
    at: At,
    holds: bool,
}

/// Where a job is in the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Ready,
    Domain(String),
    Timer(UnixMs),
    Running(OwnerId),
    /// Known only because it holds lock domains.
    Idle,
}

#[derive(Debug, Default)]
struct Domain {
    held: u32,
    waiters: FairQueue,
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

    /// Puts a job where its stored status says it belongs, wherever it was before: for changes that another server made, and for
    /// a write of this one that was taken back. The number of unfinished jobs is not touched: see [`Sched::set_unfinished`].
    pub fn mirror(&mut self, slot: JobSlot, status: &JobStatus) {
        let id = slot.id;
        let held = self.jobs.get(&id).is_some_and(|entry| entry.holds);
        self.leave(id);
        if held && !status.holds_locks {
            self.release_locks(id);
        }
        if !held && status.holds_locks {
            self.hold(&slot);
        }
        match (status.state, status.owner) {
            (JobState::Ready, _) => self.make_ready(slot),
            (JobState::Backoff, _) => self.set_timer(slot, status.not_before.unwrap_or_default()),
            (JobState::Running, Some(owner)) => {
                self.set_running(slot, owner);
                if status.cancel {
                    self.flag_cancelled(owner, id);
                }
            }
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
        if status.holds_locks {
            self.hold(&slot);
        }
        match status.state {
            JobState::Ready => self.make_ready(slot),
            JobState::Backoff => self.set_timer(slot, status.not_before.unwrap_or_default()),
            JobState::Running => {
                if let Some(owner) = status.owner {
                    self.set_running(slot, owner);
                }
            }
            _ => {}
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
        !self.ready.is_empty()
    }

    /// Jobs that wait for a claim, not counting those that wait at a lock domain.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// How many hold a lock domain.
    pub fn held(&self, domain: &str) -> u32 {
        self.domains.get(domain).map_or(0, |domain| domain.held)
    }

    /// The next moment a job in back-off is due.
    pub fn next_due(&self) -> Option<UnixMs> {
        self.timers.first().map(|timer| timer.0)
    }

    /// The jobs an owner runs.
    pub fn running_of(&self, owner: OwnerId) -> Vec<JobId> {
        self.running.get(&owner).into_iter().flatten().copied().collect()
    }

    pub(crate) fn cancelled_of(&self, owner: OwnerId) -> Vec<JobId> {
        self.cancelled.get(&owner).into_iter().flatten().copied().collect()
    }

    pub(crate) fn flag_cancelled(&mut self, owner: OwnerId, job: JobId) {
        self.touched = true;
        self.cancelled.entry(owner).or_default().insert(job);
    }

    pub(crate) fn make_ready(&mut self, slot: JobSlot) {
        self.leave(slot.id);
        self.ready.push(&slot);
        self.enter(slot, At::Ready);
    }

    pub(crate) fn set_timer(&mut self, slot: JobSlot, due: UnixMs) {
        self.leave(slot.id);
        self.timers.insert((due, slot.id));
        self.enter(slot, At::Timer(due));
    }

    pub(crate) fn set_running(&mut self, slot: JobSlot, owner: OwnerId) {
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
    fn hold(&mut self, slot: &JobSlot) {
        self.touched = true;
        for lock in &slot.locks {
            self.domains.entry(lock.name.clone()).or_default().held += 1;
        }
        self.jobs.insert(slot.id, Entry { slot: slot.clone(), at: At::Idle, holds: true });
    }

    /// Gives back the lock domains of a job and wakes who waited for them.
    pub(crate) fn release_locks(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        if !std::mem::take(&mut entry.holds) {
            return;
        }
        self.touched = true;
        let locks = entry.slot.locks.clone();
        for lock in &locks {
            if let Some(domain) = self.domains.get_mut(&lock.name) {
                domain.held = domain.held.saturating_sub(1);
            }
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
            let Some(slot) = self.jobs.get(&job).map(|entry| entry.slot.clone()) else {
                self.timers.remove(&(due, job));
                continue;
            };
            self.set_timer(slot, latest);
        }
    }

    /// Takes up to `max` jobs whose lock domains have room, and takes these for them.
    pub(crate) fn pick(&mut self, max: usize) -> Vec<JobId> {
        let mut picked = Vec::new();
        while picked.len() < max {
            let Some(job) = self.ready.pop() else { break };
            self.touched = true;
            let Some(entry) = self.jobs.get_mut(&job) else { continue };
            entry.at = At::Idle;
            if entry.holds || self.take_locks(job) {
                picked.push(job);
            }
        }
        picked
    }

    /// Takes all lock domains of a job, or lets it wait at the first full one.
    fn take_locks(&mut self, job: JobId) -> bool {
        let Some(entry) = self.jobs.get_mut(&job) else { return false };
        let full = entry
            .slot
            .locks
            .iter()
            .find(|lock| self.domains.get(&lock.name).is_some_and(|domain| domain.held >= lock.limit));
        let Some(full) = full.map(|lock| lock.name.clone()) else {
            for lock in &entry.slot.locks {
                self.domains.entry(lock.name.clone()).or_default().held += 1;
            }
            entry.holds = true;
            return true;
        };
        entry.at = At::Domain(full.clone());
        let slot = entry.slot.clone();
        if let Some(domain) = self.domains.get_mut(&full) {
            domain.waiters.push(&slot);
        }
        // The job may have been woken for a place elsewhere that it does not take now: hand that on.
        self.wake_others(&slot, &full);
        false
    }

    fn wake_others(&mut self, slot: &JobSlot, except: &str) {
        for lock in slot.locks.iter().filter(|lock| lock.name != except) {
            self.wake_one(&lock.name);
        }
    }

    /// Makes the first job that waits at a domain ready, if the domain has room for it.
    fn wake_one(&mut self, name: &str) {
        let Some(domain) = self.domains.get_mut(name) else { return };
        let Some(first) = domain.waiters.peek() else {
            if domain.held == 0 {
                self.domains.remove(name);
            }
            return;
        };
        let Some(entry) = self.jobs.get_mut(&first) else { return };
        let limit = entry.slot.locks.iter().find(|lock| lock.name == name).map_or(u32::MAX, |lock| lock.limit);
        if domain.held < limit {
            domain.waiters.pop();
            entry.at = At::Ready;
            self.ready.push(&entry.slot);
        }
    }

    fn enter(&mut self, slot: JobSlot, at: At) {
        self.touched = true;
        let holds = self.jobs.get(&slot.id).is_some_and(|entry| entry.holds);
        self.jobs.insert(slot.id, Entry { slot, at, holds });
    }

    /// Takes a job out of whatever it waits in.
    fn leave(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get_mut(&job) else { return };
        self.touched = true;
        let slot = entry.slot.clone();
        match std::mem::replace(&mut entry.at, At::Idle) {
            At::Ready => {
                self.ready.remove(&slot);
                self.wake_others(&slot, "");
            }
            At::Domain(name) => {
                if let Some(domain) = self.domains.get_mut(&name) {
                    domain.waiters.remove(&slot);
                }
            }
            At::Timer(due) => {
                self.timers.remove(&(due, job));
            }
            At::Running(owner) => self.leave_owner(owner, job),
            At::Idle => {}
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
        self.domains
            .iter()
            .filter(|(_, domain)| domain.held > 0)
            .map(|(name, domain)| (name.clone(), domain.held))
            .collect()
    }
}
