//! The small parts: ids, payloads, states, specifications, transitions.
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use crate::record::{JobStatus, Unwind};
use crate::transition::{self, Cancelled};
use crate::{
    Envelope, Ids, JobCounts, JobId, JobSpec, JobState, LockDomain, OperationId, OperationSpec, OperationState,
    OwnerId, SimClock, SpecError, UnixMs, known_or_reason,
};

const OWNER: OwnerId = OwnerId::from_parts(1, 1);

proptest! {
    #[test]
    fn ids_read_back(ms in 0u64..(1 << 48), random: u128) {
        let id = JobId::from_parts(ms, random);
        prop_assert_eq!(id.to_string().parse::<JobId>().unwrap(), id);
        prop_assert_eq!(serde_json::from_value::<JobId>(json!(id)).unwrap(), id);
        prop_assert_eq!(id.made_at_ms(), ms);
    }

    #[test]
    fn wrong_ids_are_refused(text in "[0-9A-Za-z-]{0,40}") {
        prop_assume!(text.len() != 26);
        let refused = text.parse::<OperationId>().unwrap_err();
        prop_assert!(refused.to_string().contains("operation id"));
    }
}

#[test]
fn same_seed_makes_the_same_ids() {
    let ids = || Ids::from_seed(Arc::new(SimClock::manual(UnixMs(1))), 7);
    let (first, second) = (ids(), ids());
    assert_eq!((first.operation(), first.job()), (second.operation(), second.job()));
    assert_ne!(first.job(), first.job());
}

#[test]
fn envelope_keeps_what_it_does_not_know() {
    let stored = json!({ "kind": "toy", "version": 3, "body": { "a": 1 }, "trace": "later", "nested": { "x": [1] } });
    let envelope: Envelope = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!(serde_json::to_value(&envelope).unwrap(), stored);
    let wrong = envelope.read::<Vec<u8>>().unwrap_err();
    assert_eq!(wrong.to_string(), "a `toy` payload of version 3 cannot be read");
}

#[test]
fn a_body_is_the_text_it_was_stored_as() {
    let stored = r#"{"later":[1, 2],"body":{"b": 1.50,  "a":"\u00fc"},"version":3,"kind":"toy"}"#;
    let read: Envelope = serde_json::from_str(stored).unwrap();
    assert_eq!(read.body.text(), r#"{"b": 1.50,  "a":"\u00fc"}"#);
    let tree = json!({ "kind": "toy", "version": 3, "body": { "a": "ü", "b": 1.5 }, "later": [1, 2] });
    let of_tree: Envelope = serde_json::from_value(tree.clone()).unwrap();
    assert_eq!(read, of_tree, "they say the same");
    assert_eq!(serde_json::to_value(&read).unwrap(), tree);
    let again: Envelope = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!((again.body.text(), &again.rest), (read.body.text(), &read.rest));
    assert_ne!(read, Envelope::new("toy", 3, json!({ "a": "ü" })));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for body in [r#"{"a":}"#, r#""\ud800""#, "1e999", &deep, "1,\"kind\":\"toy\""] {
        let wrong = format!(r#"{{"kind":"toy","version":3,"body":{body}}}"#);
        assert!(serde_json::from_str::<Envelope>(&wrong).is_err(), "{wrong}");
    }
    for wrong in [r#"{"kind":"toy","version":3}"#, "[]"] {
        assert!(serde_json::from_str::<Envelope>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn unknown_versions_say_what_they_need() {
    let known = [("toy".to_owned(), 2..=3)].into();
    assert_eq!(known_or_reason(&known, "toy", 2), Ok(()));
    let reasons = [("toy", 4), ("toy", 1), ("novel", 1)]
        .map(|(kind, version)| known_or_reason(&known, kind, version).unwrap_err());
    insta::assert_snapshot!(reasons.join("\n"), @r"
    needs at least a release that knows `toy` version 4; this one knows up to 3
    needs a release that still knows `toy` version 1; this one starts at 2
    needs at least a release that knows `novel`; this one does not
    ");
}

#[test]
fn operation_state_follows_from_its_jobs() {
    use JobState::{Backoff, Blocked, Cancelled, Done, Failed, Parked, Ready, Running, Skipped, Stuck, Waiting};
    let table: &[(&[JobState], OperationState)] = &[
        (&[], OperationState::Done),
        (&[Done, Done], OperationState::Done),
        (&[Done, Ready], OperationState::Running),
        (&[Failed, Running], OperationState::Running),
        (&[Blocked, Backoff], OperationState::Running),
        (&[Blocked, Waiting, Done], OperationState::Blocked),
        (&[Parked, Failed], OperationState::Blocked),
        (&[Done, Failed, Skipped, Cancelled], OperationState::Failed),
        (&[Done, Cancelled], OperationState::Cancelled),
        (&[Failed, Stuck], OperationState::Stuck),
    ];
    for (jobs, expected) in table {
        let mut counts = JobCounts::default();
        jobs.iter().for_each(|state| counts.add(*state));
        assert_eq!(counts.operation_state(false), *expected, "{jobs:?}");
    }
    assert_eq!(JobCounts::default().operation_state(true), OperationState::Cancelled);
    for state in JobState::ALL {
        assert_eq!(JobState::parse(state.as_str()), Some(state));
    }
}

#[test]
fn wrong_specifications_say_what_is_wrong() {
    let ids = Ids::from_seed(Arc::new(SimClock::manual(UnixMs(1_700_000_000_000))), 1);
    let job = |key: &str| JobSpec::new(ids.job(), key, Envelope::new("toy", 1, json!({})));
    let wrong = |jobs: Vec<JobSpec>| {
        let spec = OperationSpec {
            id: ids.operation(),
            kind: "apply".to_owned(),
            subject: "shop".to_owned(),
            actor: "tester".to_owned(),
            summary: String::new(),
            payload: Envelope::new("plan", 1, json!({})),
            idempotency_key: None,
            exclusive: false,
            jobs,
        };
        spec.check().unwrap_err().to_string()
    };
    let with = |change: &dyn Fn(&mut JobSpec)| {
        let mut job = job("web");
        change(&mut job);
        wrong(vec![job])
    };
    let texts = [
        wrong(vec![job("web"), job("web")]),
        with(&|job| job.after = vec![job.id]),
        with(&|job| job.after = vec![JobId::from_parts(1, 1)]),
        with(&|job| job.max_attempts = 0),
        with(&|job| job.locks = vec![LockDomain::limited("node", 0)]),
        with(&|job| job.locks = vec![LockDomain::exclusive("a"), LockDomain::exclusive("a")]),
        with(&|job| job.payload = Envelope::new("toy", 1, json!("x".repeat(2 << 20)))),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r"
    the operation has two jobs called `web`
    job `web` waits for itself, directly or through others
    job `web` waits for 00000000010000000000000001, which is not in the operation
    job `web` allows no attempt at all; max_attempts must be at least 1
    the locks of job `web` are wrong: a limit of 0 would never let the job start
    the locks of job `web` are wrong: one domain is named twice
    the payload of `web` has 2097188 bytes; at most 1048576 are accepted
    ");
    let many = (0..=crate::JOBS_PER_OPERATION_MAX).map(|number| job(&number.to_string()));
    assert!(wrong(many.collect()).starts_with("the operation has 100001 jobs"));
    assert!(matches!(SpecError::TooManyJobs { count: 1 }, SpecError::TooManyJobs { .. }));
}

/// Everything that can happen to a job.
#[derive(Debug, Clone)]
enum Move {
    Claim,
    Open,
    Withdraw,
    Progress,
    Turn,
    Release,
    BackOff,
    Due,
    Block(bool),
    Park,
    Finish,
    Orphan(bool),
    Cancel,
    SendOn,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => Just(Move::Claim),
        2 => Just(Move::Open),
        1 => Just(Move::Withdraw),
        2 => Just(Move::Progress),
        1 => Just(Move::Turn),
        1 => Just(Move::Release),
        2 => Just(Move::BackOff),
        2 => Just(Move::Due),
        1 => any::<bool>().prop_map(Move::Block),
        1 => Just(Move::Park),
        1 => Just(Move::Finish),
        1 => any::<bool>().prop_map(Move::Orphan),
        1 => Just(Move::Cancel),
        2 => Just(Move::SendOn),
    ];
    prop::collection::vec(one, 1..60)
}

/// The move, if a job in this status can make it: what the journal's logic asks first.
fn apply(old: &JobStatus, next: &Move, now: UnixMs) -> Option<JobStatus> {
    let running = old.state == JobState::Running;
    match next {
        Move::Claim => {
            (old.state == JobState::Ready).then(|| transition::claimed(old, OWNER, now, Duration::from_secs(60)))
        }
        Move::Open => running.then(|| transition::opened(old)),
        Move::Withdraw => running.then(|| transition::withdrawn(old)),
        Move::Progress => running.then(|| transition::progressed(old)),
        Move::Turn => running.then(|| transition::turned(old, Unwind::Failed, "no room")),
        Move::Release => running.then(|| transition::released(old)),
        Move::BackOff => running.then(|| transition::backed_off(old, now, "busy")),
        Move::Due => (old.state == JobState::Backoff).then(|| transition::due(old)),
        Move::Block(unknown) => running.then(|| transition::blocked(old, "look", None, *unknown)),
        Move::Park => running.then(|| transition::parked(old, "needs a newer release")),
        Move::Finish => running.then(|| {
            let state = if old.unwind.is_some() { JobState::Failed } else { JobState::Done };
            transition::finished(old, state, now, None)
        }),
        Move::Orphan(shared) => running.then(|| transition::orphaned(old, shared.then_some(now))),
        Move::Cancel => match transition::cancelled(old, now, "cancelled") {
            Cancelled::AtOnce(new) | Cancelled::ToUnwind(new) | Cancelled::Flagged(new) => Some(new),
            Cancelled::Unchanged => None,
        },
        Move::SendOn => transition::sent_on(old),
    }
}

proptest! {
    /// Whatever happens: the fence never goes down and rises with each claim; only a running job has an owner and a holder's right;
    /// a finished one holds nothing; a call that may be under way keeps its lock domains unless a step said it has looked.
    #[test]
    fn transitions_keep_their_promises(moves in moves()) {
        let mut status = transition::submitted(0);
        let mut now = UnixMs(1_000);
        for next in moves {
            now = now + Duration::from_millis(10);
            let Some(new) = apply(&status, &next, now) else { continue };
            prop_assert_eq!(new.fence, status.fence + u64::from(matches!(next, Move::Claim)));
            prop_assert_eq!(new.owner.is_some(), new.state == JobState::Running);
            prop_assert_eq!(new.finished_at.is_some(), new.state.is_finished());
            prop_assert!(!new.state.is_finished() || (!new.holds_locks && !new.open_step));
            prop_assert!(new.state != JobState::Running || new.holds_locks);
            prop_assert!(!status.traces || new.traces, "what was done is never forgotten");
            let keeps = matches!(new.state, JobState::Ready | JobState::Backoff | JobState::Parked);
            let looked = matches!(status.state, JobState::Blocked | JobState::Stuck);
            if keeps && new.open_step && !looked && status.holds_locks {
                prop_assert!(new.holds_locks, "{:?} let go of locks with a call open", next);
            }
            if status.unwind.is_some() {
                prop_assert_eq!(new.unwind, status.unwind, "a job that has turned never turns back");
            }
            status = new;
        }
    }
}
