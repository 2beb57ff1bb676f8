//! Jobs of sites that others work for: they lie aside until they have been ready for a while.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::id::JobId;
use crate::time::UnixMs;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Aside {
    by_site: HashMap<Arc<str>, BTreeSet<JobId>>,
    ripe: BTreeSet<(UnixMs, JobId)>,
}

impl Aside {
    pub(super) fn put(&mut self, site: &Arc<str>, job: JobId, ripe_at: UnixMs) {
        self.by_site.entry(Arc::clone(site)).or_default().insert(job);
        self.ripe.insert((ripe_at, job));
    }

    pub(super) fn remove(&mut self, site: Option<&Arc<str>>, job: JobId, ripe_at: UnixMs) {
        self.ripe.remove(&(ripe_at, job));
        let Some(site) = site else { return };
        if let Some(jobs) = self.by_site.get_mut(site) {
            jobs.remove(&job);
            if jobs.is_empty() {
                self.by_site.remove(site);
            }
        }
    }

    /// Jobs that lie aside although the one who asks may have them: of its own sites, or aside for long enough.
    pub(super) fn wanted(&self, sites: &[String], now: UnixMs) -> Vec<JobId> {
        if self.ripe.is_empty() {
            return Vec::new();
        }
        if sites.is_empty() {
            return self.ripe.iter().map(|(_, job)| *job).collect();
        }
        let own = sites.iter().filter_map(|site| self.by_site.get(site.as_str())).flatten().copied();
        own.chain(self.ripe.iter().take_while(|(at, _)| *at <= now).map(|(_, job)| *job)).collect()
    }

    pub(super) fn next_due(&self) -> Option<UnixMs> {
        self.ripe.first().map(|(at, _)| *at)
    }
}
