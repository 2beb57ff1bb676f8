//! The scheduler against a plain model: limits are never exceeded, and nothing that could run is left waiting.
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{Pick, Sched};
use crate::id::{JobId, OperationId, OwnerId};
use crate::journal::KnownKinds;
use crate::record::JobSlot;
use crate::spec::LockDomain;
use crate::time::UnixMs;

const OWNER: OwnerId = OwnerId::from_parts(1, 1);
const NOW: UnixMs = UnixMs(1_700_000_000_000);

fn slot(number: u32, operation: u8, locks: Vec<LockDomain>) -> JobSlot {
    JobSlot {
        id: JobId::from_parts(u64::from(number), 0),
        operation: OperationId::from_parts(u64::from(operation), 0),
        seq: number,
        priority: 0,
        locks,
        subject: format!("stack{}", operation % 2).into(),
        site: None,
        node: None,
    }
}

fn pick(sched: &mut Sched, max: usize) -> Vec<JobId> {
    sched.pick(Pick { max, sites: &[], foreign_grace: Duration::ZERO, now: NOW, known: &KnownKinds::new() }).jobs
}

#[derive(Debug, Clone)]
enum Act {
    /// A job becomes ready: operation, priority, and which of five domains it needs with which limit.
    Ready(u8, i16, Vec<(u8, u32)>),
    /// A claim of up to so many jobs.
    Claim(usize),
    /// One of the running jobs ends.
    End(usize),
    /// One of the running jobs backs off, keeping its domains or not.
    BackOff(usize, bool),
    /// Everything in back-off is due.
    Due,
    /// One of the waiting jobs is cancelled.
    Cancel(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let locks = prop::collection::btree_map(0u8..5, 1u32..4, 0..4).prop_map(|locks| locks.into_iter().collect());
    prop_oneof![
        4 => (0u8..4, -1i16..2, locks).prop_map(|(operation, priority, locks)| Act::Ready(operation, priority, locks)),
        3 => (1usize..5).prop_map(Act::Claim),
        3 => any::<usize>().prop_map(Act::End),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, keeps)| Act::BackOff(which, keeps)),
        1 => Just(Act::Due),
        1 => any::<usize>().prop_map(Act::Cancel),
    ]
}

/// The plain model beside the scheduler.
#[derive(Default)]
struct Model {
    sched: Sched,
    jobs: BTreeMap<JobId, JobSlot>,
    waiting: BTreeSet<JobId>,
    running: BTreeSet<JobId>,
    resting: BTreeSet<JobId>,
    holding: BTreeSet<JobId>,
    made: u32,
}

impl Model {
    fn act(&mut self, act: Act) {
        match act {
            Act::Ready(operation, priority, locks) => self.ready(operation, priority, locks),
            Act::Claim(max) => self.claim(max),
            Act::End(which) => {
                if let Some(job) = nth(&self.running, which) {
                    self.running.remove(&job);
                    self.holding.remove(&job);
                    self.sched.release_locks(job);
                    self.sched.set_idle(job);
                }
            }
            Act::BackOff(which, keeps) => self.back_off(which, keeps),
            Act::Due => {
                for job in self.sched.due(UnixMs(1), usize::MAX) {
                    self.resting.remove(&job);
                    self.waiting.insert(job);
                    self.sched.make_ready(self.jobs[&job].clone(), Some(NOW));
                }
                assert!(self.resting.is_empty());
            }
            Act::Cancel(which) => {
                if let Some(job) = nth(&self.waiting, which) {
                    self.waiting.remove(&job);
                    self.holding.remove(&job);
                    self.sched.release_locks(job);
                    self.sched.set_idle(job);
                }
            }
        }
    }

    fn ready(&mut self, operation: u8, priority: i16, locks: Vec<(u8, u32)>) {
        self.made += 1;
        let locks = locks.into_iter().map(|(domain, limit)| LockDomain::limited(format!("d{domain}"), limit)).collect();
        let slot = JobSlot { seq: self.made, priority, ..slot(self.made, operation, locks) };
        self.jobs.insert(slot.id, slot.clone());
        self.waiting.insert(slot.id);
        self.sched.make_ready(slot, Some(NOW));
    }

    fn claim(&mut self, max: usize) {
        let before = self.holding.clone();
        let picked = pick(&mut self.sched, max);
        for job in &picked {
            assert!(self.waiting.remove(job), "{job} was handed out twice");
            self.running.insert(*job);
            self.holding.insert(*job);
            self.sched.set_running(self.jobs[job].clone(), OWNER);
            if !before.contains(job) {
                for lock in &self.jobs[job].locks {
                    assert!(self.held(&lock.name) <= lock.limit, "{} holds more than {}", lock.name, lock.limit);
                }
            }
        }
        // A place that is kept for a senior job is left empty on purpose.
        if picked.len() < max && self.sched.jobs.values().all(|entry| entry.seniority.is_none()) {
            let left: Vec<_> = self.waiting.iter().filter(|job| self.could_run(job)).collect();
            assert!(left.is_empty(), "{left:?} could run and were not handed out");
        }
    }

    fn back_off(&mut self, which: usize, keeps: bool) {
        let Some(job) = nth(&self.running, which) else { return };
        self.running.remove(&job);
        self.resting.insert(job);
        if !keeps {
            self.holding.remove(&job);
            self.sched.release_locks(job);
        }
        self.sched.set_timer(self.jobs[&job].clone(), UnixMs(1));
    }

    fn held(&self, domain: &str) -> u32 {
        let holds = |job: &&JobId| self.jobs[*job].locks.iter().any(|lock| lock.name == domain);
        u32::try_from(self.holding.iter().filter(holds).count()).unwrap()
    }

    fn could_run(&self, job: &JobId) -> bool {
        self.holding.contains(job) || self.jobs[job].locks.iter().all(|lock| self.held(&lock.name) < lock.limit)
    }

    fn check(&self) {
        for domain in 0..5 {
            let name = format!("d{domain}");
            assert_eq!(self.sched.held(&name), self.held(&name), "{name}");
        }
        assert_eq!(self.sched.running_of(OWNER), self.running.iter().copied().collect::<Vec<_>>());
    }
}

fn nth(jobs: &BTreeSet<JobId>, which: usize) -> Option<JobId> {
    jobs.iter().nth(which.checked_rem(jobs.len())?).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Limits hold at every moment, and a claim that comes back short has left nothing that could run. All jobs of one domain
    /// name it with the same limit, as the jobs of a program do.
    #[test]
    fn keeps_limits_and_leaves_nothing_waiting(acts in prop::collection::vec(act(), 1..120)) {
        let mut model = Model::default();
        for act in acts {
            let act = match act {
                Act::Ready(operation, priority, locks) => {
                    Act::Ready(operation, priority, locks.into_iter().map(|(domain, _)| (domain, u32::from(domain % 3) + 1)).collect())
                }
                act => act,
            };
            model.act(act);
            model.check();
        }
    }

    /// With limits that differ between the jobs of a domain no job's own limit is ever exceeded when it starts.
    #[test]
    fn keeps_limits_that_differ(acts in prop::collection::vec(act(), 1..120)) {
        let mut model = Model::default();
        for act in acts {
            if let Act::Claim(max) = act {
                // Fairness may leave a job behind one with a smaller limit, so only the limits are checked.
                let before = model.holding.clone();
                for job in pick(&mut model.sched, max) {
                    prop_assert!(model.waiting.remove(&job));
                    model.running.insert(job);
                    model.holding.insert(job);
                    model.sched.set_running(model.jobs[&job].clone(), OWNER);
                    for lock in model.jobs[&job].locks.iter().filter(|_| !before.contains(&job)) {
                        prop_assert!(model.held(&lock.name) <= lock.limit);
                    }
                }
            } else {
                model.act(act);
            }
            model.check();
        }
    }
}

#[test]
fn timers_beyond_any_back_off_are_brought_near() {
    let mut sched = Sched::default();
    let slot = slot(1, 1, Vec::new());
    // The wall clock went back ten years after the job had backed off.
    let ten_years = 10 * 365 * 86_400_000;
    sched.set_timer(slot, UnixMs(ten_years + 5_000));
    assert!(sched.due(UnixMs(1_000), 10).is_empty());
    assert!(sched.next_due().unwrap() <= UnixMs(1_000) + crate::journal::WAIT_MAX);
}

/// A job wherever its stored status puts it: what other servers change is mirrored so.
fn mirrored(sched: &mut Sched, number: u32, state: crate::JobState, holds: bool) -> JobId {
    mirrored_at(sched, number, state, holds, NOW)
}

fn mirrored_at(sched: &mut Sched, number: u32, state: crate::JobState, holds: bool, noticed: UnixMs) -> JobId {
    let slot = slot(number, 1, vec![LockDomain::exclusive("guest:1")]);
    let id = slot.id;
    let mut status = crate::transition::submitted(0);
    status.state = state;
    status.holds_locks = holds;
    status.owner = Some(OWNER).filter(|_| state == crate::JobState::Running);
    sched.mirror(slot, &status, Some(noticed));
    id
}

#[test]
fn jobs_of_other_servers_wait_since_they_were_noticed() {
    use crate::JobState::{Ready, Running};
    let second = Duration::from_secs(1);
    let mut sched = Sched::default();
    let claim = |sched: &mut Sched, now| {
        let picked =
            sched.pick(Pick { max: 1, sites: &[], foreign_grace: Duration::ZERO, now, known: &KnownKinds::new() });
        (picked.jobs.len(), sched.queue_wait(now))
    };
    mirrored_at(&mut sched, 1, Ready, false, NOW);
    // A change that leaves it ready does not begin its wait anew.
    mirrored_at(&mut sched, 1, Ready, false, NOW + second);
    assert_eq!(claim(&mut sched, NOW + second * 2), (1, Some(second * 2)));
    // A run elsewhere does.
    mirrored_at(&mut sched, 2, Ready, false, NOW);
    mirrored_at(&mut sched, 1, Running, false, NOW + second);
    mirrored_at(&mut sched, 2, Running, false, NOW + second);
    mirrored_at(&mut sched, 2, Ready, false, NOW + second * 4);
    sched.release_locks(slot(1, 1, Vec::new()).id);
    assert_eq!(claim(&mut sched, NOW + second * 5), (1, Some(second)));
}

#[test]
fn what_other_servers_change_takes_its_place() {
    use crate::JobState::{Done, Ready, Running};
    let mut sched = Sched::default();
    let first = mirrored(&mut sched, 1, Running, true);
    let second = mirrored(&mut sched, 2, Ready, false);
    assert!(pick(&mut sched, 5).is_empty(), "the other server's job holds the guest");
    assert_eq!(sched.running_of(OWNER), [first]);
    mirrored(&mut sched, 1, Done, false);
    assert_eq!(
        (pick(&mut sched, 5), sched.held("guest:1")),
        (vec![second], 1),
        "the end of the first wakes the second"
    );
    mirrored(&mut sched, 2, Ready, false);
    assert_eq!((sched.held("guest:1"), pick(&mut sched, 5)), (0, vec![second]), "a claim that was taken back");
    sched.forget(second);
    assert!(sched.domains().is_empty() && !sched.has_ready());
}
