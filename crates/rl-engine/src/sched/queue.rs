//! What waits, and for what: for people and figures.
use std::time::Duration;

use super::{At, Sched};
use crate::time::UnixMs;

/// The jobs that a scheduler knows, by what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// For an engine with room.
    pub ready: usize,
    /// For room in a lock domain.
    pub locked: usize,
    /// For a node or site that does not answer.
    pub unreachable: usize,
    /// For the servers of their site, or for one that knows their kind.
    pub others: usize,
    /// For the end of a back-off.
    pub backoff: usize,
    /// For nothing: they run, on this server or another.
    pub running: usize,
    /// How long the one that has been ready longest has been so without being handed out.
    pub oldest_ready: Duration,
}

impl Sched {
    /// Counts the jobs by what they wait for. Looks at each.
    pub fn queue(&self, now: UnixMs) -> Queue {
        let mut queue = Queue::default();
        for entry in self.jobs.values() {
            let count = match entry.at {
                At::Ready | At::Senior(_) => &mut queue.ready,
                At::Domain(_) => &mut queue.locked,
                At::Breaker(_) => &mut queue.unreachable,
                At::Aside(_) | At::Newer => &mut queue.others,
                At::Timer(_) => &mut queue.backoff,
                At::Running(_) => &mut queue.running,
                At::Idle => continue,
            };
            *count += 1;
            if matches!(entry.at, At::Ready | At::Senior(_) | At::Domain(_))
                && let Some(since) = entry.ready_since
            {
                queue.oldest_ready = queue.oldest_ready.max(now.since(since));
            }
        }
        queue
    }
}
