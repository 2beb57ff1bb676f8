//! Whose turn it is: jobs that are ready, of the right site, on a node that answers, with room in every lock domain.
use std::sync::Arc;
use std::time::Duration;

use super::domain::{KEEP_FOR, OVERTAKEN_MAX};
use super::{At, Sched};
use crate::id::JobId;
use crate::journal::KnownKinds;
use crate::record::JobSlot;
use crate::time::UnixMs;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick<'a> {
    pub(crate) max: usize,
    /// Every site when empty.
    pub(crate) sites: &'a [String],
    /// How long a job of another site must have been ready.
    pub(crate) foreign_grace: Duration,
    pub(crate) now: UnixMs,
    /// Kinds and versions that the one who asks can run.
    pub(crate) known: &'a KnownKinds,
}

/// A job that would run if its node answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) job: JobId,
    pub(crate) target: Arc<str>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    pub(crate) jobs: Vec<JobId>,
    /// How long each of them had been ready.
    pub(crate) waits: Vec<Duration>,
    pub(crate) held: Vec<Held>,
}

/// How long the wait of the job handed out last says something about the wait of the next.
const WAIT_TELLS: Duration = Duration::from_secs(10);

impl Sched {
    /// Takes up to `max` jobs that may run, and takes their lock domains for them.
    pub(crate) fn pick(&mut self, pick: Pick<'_>) -> Picked {
        self.lapse(pick.now);
        for job in self.aside.wanted(pick.sites, pick.now) {
            self.ready_again(job);
        }
        for job in self.newer.wanted(pick.known, pick.now) {
            self.ready_again(job);
        }
        for job in self.breakers.due(pick.now) {
            self.ready_again(job);
        }
        let mut picked = Picked::default();
        while picked.jobs.len() < pick.max {
            let Some(job) = self.next_ready() else { break };
            self.touched = true;
            let Some(entry) = self.jobs.get_mut(&job) else { continue };
            entry.at = At::Idle;
            let since = *entry.ready_since.get_or_insert(pick.now);
            let (slot, holds) = (Arc::clone(&entry.slot), entry.holds);
            if let Some(ripe_at) = foreign_until(&slot, since, &pick) {
                self.put_aside(&slot, ripe_at);
            } else if let Some(target) = self.breakers.refuses(&slot, pick.now) {
                self.breakers.wait(&target, &slot);
                self.enter(Arc::clone(&slot), At::Breaker(Arc::clone(&target)));
                self.step_back(&slot);
                picked.held.push(Held { job, target });
            } else if holds || self.take_locks(&slot, pick.now) {
                self.breakers.runs(&slot);
                let waited = pick.now.since(since);
                self.last_wait = Some((waited, pick.now));
                picked.jobs.push(job);
                picked.waits.push(waited);
            }
        }
        picked
    }

    /// Takes back that a job was picked: it is left to servers that know its kind, until it has been ready for `grace`. Answers
    /// whether that time is not over yet.
    pub(crate) fn leave_to_others(
        &mut self,
        job: JobId,
        shape: (&str, u32),
        held: bool,
        grace: Duration,
        now: UnixMs,
    ) -> bool {
        let Some(entry) = self.jobs.get(&job) else { return false };
        let (slot, ripe_at) = (Arc::clone(&entry.slot), entry.ready_since.unwrap_or(now) + grace);
        if ripe_at <= now {
            return false;
        }
        self.breakers.probe_ended(&slot);
        self.newer.leave_to_others(job, shape.0, shape.1, ripe_at);
        self.enter(slot, At::Newer);
        if !held {
            self.release_locks(job);
        }
        true
    }

    /// How long the job handed out last had been ready, if that was a moment ago.
    pub(crate) fn queue_wait(&self, now: UnixMs) -> Option<Duration> {
        self.last_wait.filter(|(_, at)| now.since(*at) <= WAIT_TELLS).map(|(wait, _)| wait)
    }

    fn next_ready(&mut self) -> Option<JobId> {
        match self.seniors.pop_first() {
            Some((_, job)) => Some(job),
            None => self.ready.pop(),
        }
    }

    /// A job that lay aside or waited for a node competes again, since when it was ready.
    fn ready_again(&mut self, job: JobId) {
        let Some(entry) = self.jobs.get(&job) else { return };
        let (slot, since, overtaken) = (Arc::clone(&entry.slot), entry.ready_since, entry.overtaken);
        self.make_ready(slot, since);
        if let Some(entry) = self.jobs.get_mut(&job) {
            entry.overtaken = overtaken;
        }
    }

    fn put_aside(&mut self, slot: &Arc<JobSlot>, ripe_at: UnixMs) {
        if let Some(site) = &slot.site {
            self.aside.put(site, slot.id, ripe_at);
            self.enter(Arc::clone(slot), At::Aside(ripe_at));
        }
        self.step_back(slot);
    }

    /// A job that was woken for a place and does not take it hands it on, and gives up the places kept for it.
    fn step_back(&mut self, slot: &Arc<JobSlot>) {
        self.rejoin(slot);
        self.wake_others(slot, "");
    }

    /// Nothing is kept for the job any more.
    fn rejoin(&mut self, slot: &Arc<JobSlot>) {
        let seniority = self.jobs.get_mut(&slot.id).and_then(|entry| entry.seniority.take());
        if let Some(seniority) = seniority {
            self.domains.keep_no_more(slot, seniority);
        }
    }

    /// Takes all lock domains of a job, or lets it wait at the first full one.
    fn take_locks(&mut self, slot: &Arc<JobSlot>, now: UnixMs) -> bool {
        let Some(full) = self.domains.full(slot).map(str::to_owned) else {
            self.domains.hold(slot);
            let senior = self.jobs.get(&slot.id).is_some_and(|entry| entry.seniority.is_some());
            self.rejoin(slot);
            if let Some(entry) = self.jobs.get_mut(&slot.id) {
                entry.holds = true;
            }
            if senior {
                // The place that was kept is taken; where there are more, others may have them.
                self.wake_others(slot, "");
            }
            return true;
        };
        self.domains.wait(&full, slot);
        self.enter(Arc::clone(slot), At::Domain(full.clone()));
        self.overtaken(slot, now);
        // The job may have been woken for a place elsewhere that it does not take now: hand that on.
        self.wake_others(slot, &full);
        false
    }

    /// Ends what was kept for too long.
    fn lapse(&mut self, now: UnixMs) {
        while let Some(&(until, seniority, job)) = self.kept.first().filter(|(until, _, _)| *until <= now) {
            self.kept.remove(&(until, seniority, job));
            let Some(entry) = self.jobs.get_mut(&job).filter(|entry| entry.seniority == Some(seniority)) else {
                continue;
            };
            entry.overtaken = 0;
            let slot = Arc::clone(&entry.slot);
            if entry.at == At::Senior(seniority) {
                entry.at = At::Ready;
                self.seniors.remove(&(seniority, job));
                self.ready.push(&slot);
            }
            self.step_back(&slot);
        }
    }

    fn overtaken(&mut self, slot: &Arc<JobSlot>, now: UnixMs) {
        let Some(entry) = self.jobs.get_mut(&slot.id) else { return };
        entry.overtaken += 1;
        if entry.overtaken >= OVERTAKEN_MAX && entry.seniority.is_none() {
            entry.seniority = Some(self.next_seniority);
            self.domains.keep_for(slot, self.next_seniority);
            self.kept.insert((now + KEEP_FOR, self.next_seniority, slot.id));
            self.next_seniority += 1;
        }
    }

    pub(super) fn wake_others(&mut self, slot: &JobSlot, except: &str) {
        for lock in slot.locks.iter().filter(|lock| lock.name != except) {
            self.wake_one(&lock.name);
        }
    }

    /// Makes the job that comes next at a domain ready, if the domain has room for it.
    pub(super) fn wake_one(&mut self, name: &str) {
        let waits_here =
            |job: JobId| matches!(self.jobs.get(&job).map(|entry| &entry.at), Some(At::Domain(at)) if at == name);
        let Some(next) = self.domains.next(name, waits_here) else {
            self.domains.forget_if_idle(name);
            return;
        };
        let Some(entry) = self.jobs.get_mut(&next) else { return };
        if !self.domains.has_room(name, &entry.slot) {
            return;
        }
        self.domains.leave(name, &entry.slot);
        match entry.seniority {
            Some(seniority) => {
                entry.at = At::Senior(seniority);
                self.seniors.insert((seniority, next));
            }
            None => {
                entry.at = At::Ready;
                self.ready.push(&entry.slot);
            }
        }
    }

    /// A call to `target` was not answered. Answers how long its jobs wait, if they do.
    pub(crate) fn failed(&mut self, target: &str, job: JobId, now: UnixMs) -> Option<Duration> {
        self.breakers.failed(target, job, now)
    }

    /// A job came further: its node and site answer. Answers those that had not, whose jobs compete again.
    pub(crate) fn answered(&mut self, job: JobId) -> Vec<Arc<str>> {
        if self.breakers.is_empty() {
            return Vec::new();
        }
        let Some(slot) = self.slot(job).cloned() else { return Vec::new() };
        let mut closed = Vec::new();
        for (target, waiting) in self.breakers.answered(&slot) {
            for job in waiting {
                self.ready_again(job);
            }
            closed.push(target);
        }
        closed
    }
}

/// Until when a job of another site lies aside.
fn foreign_until(slot: &JobSlot, since: UnixMs, pick: &Pick<'_>) -> Option<UnixMs> {
    let site = slot.site.as_deref()?;
    if pick.sites.is_empty() || pick.sites.iter().any(|own| own == site) {
        return None;
    }
    let ripe_at = since + pick.foreign_grace;
    (ripe_at > pick.now).then_some(ripe_at)
}
