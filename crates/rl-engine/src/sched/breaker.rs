//! Circuit breakers: when a node or site has not answered several times in a row its jobs wait, one probes, and the rest goes on
//! when that one has come further.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::fair::FairQueue;
use crate::id::JobId;
use crate::record::JobSlot;
use crate::time::UnixMs;

/// Failures in a row that open a breaker: one or two are a busy node, five are one that is gone.
pub(super) const FAILURES_MAX: u32 = 5;
/// Time from the opening of a breaker to its first probe.
pub(super) const PAUSE_FIRST: Duration = Duration::from_secs(5);
/// Longest time between probes: a node that is back is noticed after this at the latest. Each failed probe doubles the time.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Most breakers kept: more nodes and sites than one store looks after. Beyond it failures of further ones are not counted.
const BREAKERS_MAX: usize = 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Jobs run; so many failed in a row.
    Closed(u32),
    /// Jobs wait until then.
    Open { probe_at: UnixMs, pause: Duration },
    /// One job tries it.
    Probing { job: JobId, pause: Duration },
}

#[derive(Debug)]
struct Breaker {
    state: State,
    waiters: FairQueue,
}

/// All breakers of a scheduler, by node or site.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    by_target: HashMap<Arc<str>, Breaker>,
}

fn targets(slot: &JobSlot) -> impl Iterator<Item = &Arc<str>> {
    slot.node.iter().chain(slot.site.iter())
}

/// Whether a target is left alone for now. A probe further ahead than its pause can only come from a clock that went back.
fn rests(probe_at: UnixMs, pause: Duration, now: UnixMs) -> bool {
    now < probe_at && probe_at <= now + pause
}

impl Breakers {
    pub(super) fn is_empty(&self) -> bool {
        self.by_target.is_empty()
    }

    /// What a job has to wait for, if it may not run now.
    pub(super) fn refuses(&self, slot: &JobSlot, now: UnixMs) -> Option<Arc<str>> {
        let refuses = |target: &&Arc<str>| match self.by_target.get(*target).map(|breaker| breaker.state) {
            None | Some(State::Closed(_)) => false,
            Some(State::Open { probe_at, pause }) => rests(probe_at, pause, now),
            Some(State::Probing { job, .. }) => job != slot.id,
        };
        targets(slot).find(refuses).cloned()
    }

    /// A job that was not refused runs now: it is the probe of whatever is open.
    pub(super) fn runs(&mut self, slot: &JobSlot) {
        for target in targets(slot) {
            if let Some(breaker) = self.by_target.get_mut(target)
                && let State::Open { pause, .. } = breaker.state
            {
                breaker.state = State::Probing { job: slot.id, pause };
            }
        }
    }

    pub(super) fn wait(&mut self, target: &Arc<str>, slot: &JobSlot) {
        if let Some(breaker) = self.by_target.get_mut(target) {
            breaker.waiters.push(slot);
        }
    }

    pub(super) fn leave(&mut self, target: &Arc<str>, slot: &JobSlot) {
        if let Some(breaker) = self.by_target.get_mut(target) {
            breaker.waiters.remove(slot);
        }
    }

    /// A call to `target` was not answered. Answers how long its jobs wait if that opens the breaker, or keeps it open.
    pub(super) fn failed(&mut self, target: &str, job: JobId, now: UnixMs) -> Option<Duration> {
        if !self.by_target.contains_key(target) {
            if self.by_target.len() >= BREAKERS_MAX {
                self.by_target.retain(|_, breaker| !matches!(breaker.state, State::Closed(_)));
            }
            if self.by_target.len() >= BREAKERS_MAX {
                return None;
            }
            let breaker = Breaker { state: State::Closed(0), waiters: FairQueue::default() };
            self.by_target.insert(target.into(), breaker);
        }
        let breaker = self.by_target.get_mut(target)?;
        let pause = match breaker.state {
            State::Closed(failures) if failures + 1 < FAILURES_MAX => {
                breaker.state = State::Closed(failures + 1);
                return None;
            }
            State::Closed(_) => PAUSE_FIRST,
            State::Probing { job: probe, pause } if probe == job => (pause * 2).min(PAUSE_MAX),
            // A job that started before the breaker opened says nothing new.
            State::Open { .. } | State::Probing { .. } => return None,
        };
        breaker.state = State::Open { probe_at: now + pause, pause };
        Some(pause)
    }

    /// A job of these came further, so they answer. Answers which had been open, and who waited for them.
    pub(super) fn answered(&mut self, slot: &JobSlot) -> Vec<(Arc<str>, Vec<JobId>)> {
        let mut closed = Vec::new();
        for target in targets(slot) {
            let Some(mut breaker) = self.by_target.remove(target) else { continue };
            if !matches!(breaker.state, State::Closed(_)) {
                let waiting = std::iter::from_fn(|| breaker.waiters.pop()).collect();
                closed.push((Arc::clone(target), waiting));
            }
        }
        closed
    }

    /// A probe ended without telling anything: the next one may go at once.
    pub(super) fn probe_ended(&mut self, slot: &JobSlot) {
        for target in targets(slot) {
            if let Some(breaker) = self.by_target.get_mut(target)
                && let State::Probing { job, pause } = breaker.state
                && job == slot.id
            {
                breaker.state = State::Open { probe_at: UnixMs(0), pause };
            }
        }
    }

    /// Takes one waiting job for each breaker whose time for a probe has come.
    pub(super) fn due(&mut self, now: UnixMs) -> Vec<JobId> {
        let mut due = Vec::new();
        for breaker in self.by_target.values_mut() {
            if matches!(breaker.state, State::Open { probe_at, pause } if !rests(probe_at, pause, now)) {
                due.extend(breaker.waiters.pop());
            }
        }
        due
    }

    /// When the next probe is due that somebody waits for.
    pub(super) fn next_due(&self) -> Option<UnixMs> {
        let probes = self.by_target.values().filter(|breaker| !breaker.waiters.is_empty());
        probes
            .filter_map(|breaker| match breaker.state {
                State::Open { probe_at, .. } => Some(probe_at),
                _ => None,
            })
            .min()
    }

    /// What is known of the targets, without who waits or probes: for an index that is built anew.
    pub(super) fn known(self) -> Breakers {
        let by_target = self.by_target.into_iter().map(|(target, breaker)| {
            let state = match breaker.state {
                State::Probing { pause, .. } => State::Open { probe_at: UnixMs(0), pause },
                state => state,
            };
            (target, Breaker { state, waiters: FairQueue::default() })
        });
        Breakers { by_target: by_target.collect() }
    }

    /// Nodes and sites that do not answer, and how many jobs wait for each.
    pub(super) fn open(&self) -> Vec<(Arc<str>, usize)> {
        let open = self.by_target.iter().filter(|(_, breaker)| !matches!(breaker.state, State::Closed(_)));
        let mut open: Vec<_> = open.map(|(target, breaker)| (Arc::clone(target), breaker.waiters.len())).collect();
        open.sort();
        open
    }
}
