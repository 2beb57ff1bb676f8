//! Whose turn it is: ageing, fairness between subjects, places kept for who was overtaken, sites, nodes.
use std::time::Duration;

use super::{NOW, OWNER, pick, slot};
use crate::id::{JobId, OperationId};
use crate::journal::KnownKinds;
use crate::record::JobSlot;
use crate::sched::breaker::{FAILURES_MAX, PAUSE_FIRST, PAUSE_MAX};
use crate::sched::domain::{KEEP_FOR, OVERTAKEN_MAX};
use crate::sched::fair::PASSED_OVER_MAX;
use crate::sched::{Pick, Sched};
use crate::spec::LockDomain;
use crate::time::UnixMs;

fn ready(sched: &mut Sched, slot: JobSlot) -> JobId {
    let id = slot.id;
    sched.make_ready(slot, Some(NOW));
    id
}

fn end(sched: &mut Sched, job: JobId) {
    sched.release_locks(job);
    sched.set_idle(job);
}

/// Takes one job and lets it end at once.
fn one(sched: &mut Sched) -> Option<JobId> {
    let job = pick(sched, 1).first().copied()?;
    sched.set_running(sched.slot(job).cloned().unwrap(), OWNER);
    end(sched, job);
    Some(job)
}

#[test]
fn a_job_that_is_passed_over_rises() {
    let mut sched = Sched::default();
    let low = ready(&mut sched, JobSlot { priority: -3, ..slot(1, 1, Vec::new()) });
    let mut number = 1;
    for passed in 0.. {
        // Always ten urgent jobs more than the engine can start.
        for _ in 0..10 {
            number += 1;
            ready(&mut sched, JobSlot { priority: 2, ..slot(number, 2, Vec::new()) });
        }
        if one(&mut sched) == Some(low) {
            let expected = 5 * PASSED_OVER_MAX;
            assert!(
                (expected..=expected + 1).contains(&passed),
                "it was passed over {passed} times, {expected} were allowed"
            );
            return;
        }
        assert!(passed < 10 * PASSED_OVER_MAX, "a job of low priority waits for ever");
    }
}

#[test]
fn a_stack_with_many_operations_gets_no_more_turns_than_one_with_few() {
    let mut sched = Sched::default();
    let of = |number: u32, operation: u8, subject: &str| JobSlot {
        subject: subject.into(),
        ..slot(number, operation, Vec::new())
    };
    for number in 0..90 {
        // Nine operations of one stack, ten jobs each.
        ready(&mut sched, of(number, 1 + (number % 9) as u8, "large"));
    }
    let small: Vec<JobId> = (100..110).map(|number| ready(&mut sched, of(number, 50, "small"))).collect();
    let first: Vec<JobId> = (0..20).filter_map(|_| one(&mut sched)).collect();
    assert_eq!(first.iter().filter(|job| small.contains(job)).count(), 10, "every second turn is the small stack's");
    let operations: Vec<OperationId> = {
        let mut sched = Sched::default();
        for number in 0..90 {
            ready(&mut sched, of(number, 1 + (number / 10) as u8, "large"));
        }
        let nine = pick(&mut sched, 9);
        nine.iter().map(|job| sched.slot(*job).unwrap().operation).collect()
    };
    let different: std::collections::BTreeSet<_> = operations.iter().collect();
    assert_eq!(different.len(), 9, "within a stack its operations take turns");
}

/// Two domains that are both always busy with jobs that need one of them; a job that needs both waits.
fn overtaken(turns: u32) -> Option<u32> {
    let mut sched = Sched::default();
    let (a, b) = (LockDomain::exclusive("a"), LockDomain::exclusive("b"));
    let mut number = 10;
    let mut next = |sched: &mut Sched, lock: &LockDomain| {
        number += 1;
        ready(sched, slot(number, (number % 200) as u8, vec![lock.clone()]))
    };
    for _ in 0..2 {
        next(&mut sched, &a);
        next(&mut sched, &b);
    }
    let mut running = pick(&mut sched, 10);
    assert_eq!(running.len(), 2);
    let both = ready(&mut sched, slot(1, 1, vec![a.clone(), b.clone()]));
    for turn in 0..turns {
        // The holders of the two domains end at different times, and each is followed by another job.
        let ends = running.remove(0);
        let lock = sched.slot(ends).unwrap().locks[0].clone();
        next(&mut sched, &lock);
        end(&mut sched, ends);
        running.extend(pick(&mut sched, 10));
        if running.contains(&both) {
            return Some(turn);
        }
        if running.is_empty() {
            return None;
        }
    }
    None
}

#[test]
fn a_job_that_needs_two_busy_domains_is_not_overtaken_for_ever() {
    let turns = overtaken(400).expect("a job that needs two domains waits for ever");
    assert!(turns <= 4 * OVERTAKEN_MAX, "it was overtaken for {turns} turns");
}

#[test]
fn places_are_not_kept_for_ever() {
    let mut sched = Sched::default();
    let (a, b) = (LockDomain::exclusive("a"), LockDomain::exclusive("b"));
    // The holder of `b` is blocked for days; `a` is busy all the time.
    let holder = ready(&mut sched, slot(1, 1, vec![b.clone()]));
    assert_eq!(pick(&mut sched, 1), [holder]);
    let both = ready(&mut sched, slot(2, 2, vec![a.clone(), b.clone()]));
    assert!(pick(&mut sched, 1).is_empty());
    for _ in 0..OVERTAKEN_MAX {
        end(&mut sched, holder);
        ready(&mut sched, slot(1, 1, vec![b.clone()]));
        sched.set_timer(sched.slot(both).cloned().unwrap(), NOW);
        assert_eq!(pick(&mut sched, 1), [holder]);
        let again = sched.slot(both).cloned().unwrap();
        sched.leave(both);
        sched.ready.push(&again);
        sched.enter(again, super::super::At::Ready);
        assert!(pick(&mut sched, 1).is_empty());
    }
    assert!(sched.jobs[&both].seniority.is_some(), "overtaken often enough");
    let other = ready(&mut sched, slot(3, 3, vec![a.clone()]));
    assert!(pick(&mut sched, 1).is_empty(), "`a` is kept");
    let later = NOW + KEEP_FOR;
    let picked =
        sched.pick(Pick { max: 1, sites: &[], foreign_grace: Duration::ZERO, now: later, known: &KnownKinds::new() });
    assert_eq!(picked.jobs, [other], "and after a while no more");
}

fn at(sched: &mut Sched, sites: &[&str], now: UnixMs) -> Vec<JobId> {
    let sites: Vec<String> = sites.iter().map(|site| (*site).to_owned()).collect();
    sched
        .pick(Pick { max: 10, sites: &sites, foreign_grace: Duration::from_secs(30), now, known: &KnownKinds::new() })
        .jobs
}

#[test]
fn servers_of_a_site_go_first_and_others_take_over_after_a_while() {
    let mut sched = Sched::default();
    let fra = ready(&mut sched, JobSlot { site: Some("fra1".into()), ..slot(1, 1, Vec::new()) });
    let nowhere = ready(&mut sched, slot(2, 2, Vec::new()));
    assert_eq!(at(&mut sched, &["ams1"], NOW), [nowhere], "a job without a site is everybody's");
    assert_eq!(sched.next_due(), Some(NOW + Duration::from_secs(30)), "the other server asks again then");
    assert!(at(&mut sched, &["ams1"], NOW + Duration::from_secs(29)).is_empty());
    let second = ready(&mut sched, JobSlot { site: Some("fra1".into()), ..slot(3, 3, Vec::new()) });
    assert_eq!(at(&mut sched, &["ams1"], NOW + Duration::from_secs(29)), [], "it has to have been ready for 30 s");
    assert_eq!(
        at(&mut sched, &["fra1", "fra2"], NOW + Duration::from_secs(29)).len(),
        2,
        "its own servers take it at once"
    );
    sched.make_ready(sched.slot(second).cloned().unwrap(), Some(NOW));
    assert!(at(&mut sched, &["ams1"], NOW).is_empty());
    assert_eq!(at(&mut sched, &["ams1"], NOW + Duration::from_secs(30)), [second]);
    sched.make_ready(sched.slot(fra).cloned().unwrap(), Some(NOW));
    assert!(at(&mut sched, &["ams1"], NOW).is_empty());
    assert_eq!(at(&mut sched, &[], NOW), [fra], "a server without sites works for all");
}

fn on_node(number: u32) -> JobSlot {
    JobSlot { node: Some("fra1/pve1".into()), site: Some("fra1".into()), ..slot(number, 1, Vec::new()) }
}

#[test]
fn a_node_that_does_not_answer_is_probed_by_one_job() {
    let mut sched = Sched::default();
    let jobs: Vec<JobId> = (0..20).map(|number| ready(&mut sched, on_node(number))).collect();
    let other = ready(&mut sched, JobSlot { node: Some("fra1/pve2".into()), ..slot(99, 9, Vec::new()) });
    let mut running = pick(&mut sched, 8);
    running.retain(|job| *job != other);
    let mut pause = None;
    for job in running.drain(..FAILURES_MAX as usize) {
        assert_eq!(pause, None);
        pause = sched.failed("fra1/pve1", job, NOW);
        sched.set_timer(sched.slot(job).cloned().unwrap(), NOW + Duration::from_secs(3_000));
    }
    assert_eq!(pause, Some(PAUSE_FIRST), "after {FAILURES_MAX} failures in a row");
    let picked =
        sched.pick(Pick { max: 100, sites: &[], foreign_grace: Duration::ZERO, now: NOW, known: &KnownKinds::new() });
    assert!(picked.jobs.iter().all(|job| *job == other), "other nodes are not concerned");
    assert!(picked.held.iter().all(|held| &*held.target == "fra1/pve1") && !picked.held.is_empty());
    assert_eq!(sched.unreachable(), [("fra1/pve1".into(), picked.held.len())]);
    assert_eq!(sched.next_due(), Some(NOW + PAUSE_FIRST));
    // One goes first, and fails: the next one goes after twice the time, up to a limit.
    let (mut now, mut pause) = (NOW + PAUSE_FIRST, PAUSE_FIRST);
    for _ in 0..6 {
        let probes = sched
            .pick(Pick { max: 100, sites: &[], foreign_grace: Duration::ZERO, now, known: &KnownKinds::new() })
            .jobs;
        assert_eq!(probes.len(), 1, "one job probes");
        assert!(pick(&mut sched, 100).is_empty(), "the others wait for it");
        pause = (pause * 2).min(PAUSE_MAX);
        assert_eq!(sched.failed("fra1/pve1", probes[0], now), Some(pause));
        sched.set_timer(sched.slot(probes[0]).cloned().unwrap(), now + Duration::from_secs(3_000));
        now = now + pause;
    }
    let probe = sched
        .pick(Pick { max: 100, sites: &[], foreign_grace: Duration::ZERO, now, known: &KnownKinds::new() })
        .jobs[0];
    assert_eq!(sched.answered(probe), ["fra1/pve1".into()]);
    let rest =
        sched.pick(Pick { max: 100, sites: &[], foreign_grace: Duration::ZERO, now, known: &KnownKinds::new() }).jobs;
    assert!(rest.len() >= 6 && rest.iter().all(|job| jobs.contains(job)), "all go on: {rest:?}");
    assert!(sched.unreachable().is_empty());
}

#[test]
fn failures_that_are_not_in_a_row_open_nothing() {
    let mut sched = Sched::default();
    let job = ready(&mut sched, on_node(1));
    assert_eq!(pick(&mut sched, 1), [job]);
    for _ in 0..10 {
        for _ in 1..FAILURES_MAX {
            assert_eq!(sched.failed("fra1/pve1", job, NOW), None);
        }
        assert!(sched.answered(job).is_empty(), "it had not been open");
    }
    assert!(sched.unreachable().is_empty());
}

#[test]
fn a_probe_that_ends_without_a_word_hands_on() {
    let mut sched = Sched::default();
    let jobs: Vec<JobId> = (0..3).map(|number| ready(&mut sched, on_node(number))).collect();
    let first = pick(&mut sched, 1)[0];
    for _ in 0..FAILURES_MAX {
        sched.failed("fra1/pve1", first, NOW);
    }
    assert!(pick(&mut sched, 3).is_empty());
    let probe = sched
        .pick(Pick {
            max: 3,
            sites: &[],
            foreign_grace: Duration::ZERO,
            now: NOW + PAUSE_FIRST,
            known: &KnownKinds::new(),
        })
        .jobs;
    sched.set_running(sched.slot(probe[0]).cloned().unwrap(), OWNER);
    // It was cancelled before it called anything.
    end(&mut sched, probe[0]);
    let next = pick(&mut sched, 3);
    assert_eq!(next.len(), 1);
    assert!(next[0] != probe[0] && jobs.contains(&next[0]));
}

/// Every job is counted once, by what it waits for, and the wait of the oldest is told.
#[test]
fn a_queue_is_counted_by_what_it_waits_for() {
    let mut sched = Sched::default();
    let lock = || vec![LockDomain::exclusive("guest")];
    for (number, locks) in [(1, lock()), (2, lock()), (3, Vec::new()), (4, Vec::new())] {
        sched.make_ready(slot(number, 0, locks), Some(NOW));
    }
    sched.set_timer(slot(5, 0, Vec::new()), NOW + Duration::from_secs(60));
    let picked = pick(&mut sched, 2);
    for job in &picked {
        let slot = sched.slot(*job).unwrap().clone();
        sched.set_running(slot, OWNER);
    }
    let queue = sched.queue(NOW + Duration::from_secs(7));
    assert_eq!(queue.running, 2);
    assert_eq!(queue.ready + queue.locked, 2, "{queue:?}");
    assert_eq!((queue.backoff, queue.unreachable, queue.others), (1, 0, 0));
    assert_eq!(queue.oldest_ready, Duration::from_secs(7));
}
