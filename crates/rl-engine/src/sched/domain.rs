//! Lock domains: who holds how many places, who waits, and for whom a place is kept.
//!
//! A job that needs several domains takes all or none, so jobs that need one can overtake it. One that was overtaken
//! [`OVERTAKEN_MAX`] times becomes senior: in each of its domains a place that becomes free is kept for the most senior. Keeping
//! takes nothing away from who holds, so the most senior of all gets its places as soon as holders let go, and then the next. After
//! [`KEEP_FOR`] nothing is kept any more: what the senior waits for may itself wait for a person.
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::fair::FairQueue;
use crate::id::JobId;
use crate::record::JobSlot;

/// Times a job finds a domain full before places are kept for it.
pub(super) const OVERTAKEN_MAX: u32 = 8;

/// How long places are kept for one job: longer than most tasks that hold one, and an end to a place that stays empty.
pub(super) const KEEP_FOR: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Domain {
    held: u32,
    waiters: FairQueue,
    /// Jobs for which places are kept, by seniority.
    seniors: BTreeSet<(u64, JobId)>,
}

/// All lock domains of a scheduler.
#[derive(Debug, Default)]
pub(super) struct Domains {
    by_name: HashMap<String, Domain>,
}

impl Domain {
    /// Whether a job finds room among `limit` places: one is kept for the most senior, unless that is the job itself.
    fn has_room(&self, limit: u32, job: JobId) -> bool {
        let kept = self.seniors.first().is_some_and(|(_, senior)| *senior != job);
        self.held + u32::from(kept) < limit
    }

    fn is_idle(&self) -> bool {
        self.held == 0 && self.waiters.is_empty() && self.seniors.is_empty()
    }
}

impl Domains {
    /// The first domain of a job without room for it.
    pub(super) fn full<'a>(&self, slot: &'a JobSlot) -> Option<&'a str> {
        let full = slot
            .locks
            .iter()
            .find(|lock| self.by_name.get(&lock.name).is_some_and(|domain| !domain.has_room(lock.limit, slot.id)));
        full.map(|lock| lock.name.as_str())
    }

    pub(super) fn hold(&mut self, slot: &JobSlot) {
        for lock in &slot.locks {
            match self.by_name.get_mut(&lock.name) {
                Some(domain) => domain.held += 1,
                None => {
                    self.by_name.insert(lock.name.clone(), Domain { held: 1, ..Domain::default() });
                }
            }
        }
    }

    pub(super) fn let_go(&mut self, name: &str) {
        if let Some(domain) = self.by_name.get_mut(name) {
            domain.held = domain.held.saturating_sub(1);
        }
    }

    pub(super) fn wait(&mut self, name: &str, slot: &JobSlot) {
        self.by_name.entry(name.to_owned()).or_default().waiters.push(slot);
    }

    pub(super) fn leave(&mut self, name: &str, slot: &JobSlot) {
        if let Some(domain) = self.by_name.get_mut(name) {
            domain.waiters.remove(slot);
            self.forget_if_idle(name);
        }
    }

    /// From here on places are kept for this job.
    pub(super) fn keep_for(&mut self, slot: &JobSlot, seniority: u64) {
        for lock in &slot.locks {
            self.by_name.entry(lock.name.clone()).or_default().seniors.insert((seniority, slot.id));
        }
    }

    pub(super) fn keep_no_more(&mut self, slot: &JobSlot, seniority: u64) {
        for lock in &slot.locks {
            if let Some(domain) = self.by_name.get_mut(&lock.name) {
                domain.seniors.remove(&(seniority, slot.id));
            }
        }
    }

    /// The job that waits at a domain and comes next: the most senior if it waits here, else the one whose turn it is.
    pub(super) fn next(&self, name: &str, waits_here: impl Fn(JobId) -> bool) -> Option<JobId> {
        let domain = self.by_name.get(name)?;
        let senior = domain.seniors.first().map(|(_, job)| *job).filter(|job| waits_here(*job));
        senior.or_else(|| domain.waiters.peek())
    }

    /// Whether a job would find room at one domain.
    pub(super) fn has_room(&self, name: &str, slot: &JobSlot) -> bool {
        let limit = slot.locks.iter().find(|lock| lock.name == name).map_or(u32::MAX, |lock| lock.limit);
        self.by_name.get(name).is_none_or(|domain| domain.has_room(limit, slot.id))
    }

    pub(super) fn forget_if_idle(&mut self, name: &str) {
        if self.by_name.get(name).is_some_and(Domain::is_idle) {
            self.by_name.remove(name);
        }
    }

    pub(super) fn held(&self, name: &str) -> u32 {
        self.by_name.get(name).map_or(0, |domain| domain.held)
    }

    /// Names and holders of every domain that is held.
    pub(super) fn all(&self) -> impl Iterator<Item = (&String, u32)> {
        self.by_name.iter().filter(|(_, domain)| domain.held > 0).map(|(name, domain)| (name, domain.held))
    }
}
