//! Jobs of kinds or versions that one of several servers does not know: they are left to the others for a while before they are
//! parked, and those that were parked are seen again by whoever knows them.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::id::{JobId, OwnerId};
use crate::journal::KnownKinds;
use crate::time::UnixMs;

type Shape = (String, u32);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Newer {
    left: BTreeMap<Shape, BTreeSet<JobId>>,
    ripe: BTreeSet<(UnixMs, JobId)>,
    of: HashMap<JobId, (Shape, UnixMs)>,
    /// Jobs parked because nobody knew their kind or version.
    parked: BTreeSet<JobId>,
    /// Grows with every job that is parked so.
    news: u64,
    /// The news that each owner has looked at.
    seen: HashMap<OwnerId, u64>,
}

impl Newer {
    /// Leaves a job to the others until `ripe_at`.
    pub(super) fn leave_to_others(&mut self, job: JobId, kind: &str, version: u32, ripe_at: UnixMs) {
        let shape = (kind.to_owned(), version);
        self.left.entry(shape.clone()).or_default().insert(job);
        self.ripe.insert((ripe_at, job));
        self.of.insert(job, (shape, ripe_at));
    }

    pub(super) fn remove(&mut self, job: JobId) {
        let Some((shape, ripe_at)) = self.of.remove(&job) else { return };
        self.ripe.remove(&(ripe_at, job));
        if let Some(jobs) = self.left.get_mut(&shape) {
            jobs.remove(&job);
            if jobs.is_empty() {
                self.left.remove(&shape);
            }
        }
    }

    /// Jobs left to others that the one who asks knows, or that nobody took for long enough.
    pub(super) fn wanted(&self, known: &KnownKinds, now: UnixMs) -> Vec<JobId> {
        let knows = |(kind, version): &Shape| known.get(kind).is_some_and(|range| range.contains(version));
        let own = self.left.iter().filter(|(shape, _)| knows(shape)).flat_map(|(_, jobs)| jobs.iter().copied());
        own.chain(self.ripe.iter().take_while(|(at, _)| *at <= now).map(|(_, job)| *job)).collect()
    }

    pub(super) fn next_due(&self) -> Option<UnixMs> {
        self.ripe.first().map(|(at, _)| *at)
    }

    pub(super) fn set_parked(&mut self, job: JobId, parked: bool) {
        match parked {
            true if self.parked.insert(job) => self.news += 1,
            true => {}
            false => {
                self.parked.remove(&job);
            }
        }
    }

    /// Whether jobs were parked since this owner last looked at them; it has looked now.
    pub(super) fn look(&mut self, owner: OwnerId) -> bool {
        !self.parked.is_empty() && self.seen.insert(owner, self.news) != Some(self.news)
    }

    pub(super) fn forget_owner(&mut self, owner: OwnerId) {
        self.seen.remove(&owner);
    }
}
