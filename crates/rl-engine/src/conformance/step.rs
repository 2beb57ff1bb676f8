//! Recording steps.
use std::time::Duration;

use serde_json::json;

use super::{Suite, key, lease_lost, payload};
use crate::envelope::Envelope;
use crate::journal::{Finish, JournalError, Notice};
use crate::record::{Direction, StepState};
use crate::state::{JobState, OperationState};

pub(super) async fn records_intent_reference_and_outcome(suite: Suite) {
    let (id, claimed) = suite.one_running().await;
    let (holder, journal, now) = (claimed.holder, &suite.journal, suite.now());
    let step = journal.intent(holder, key("create"), payload(), now).await.unwrap();
    assert_eq!((step.state, step.attempt), (StepState::Intent, 1));
    let step = journal.submitted(holder, key("create"), "UPID:1".to_owned(), now).await.unwrap();
    assert_eq!((step.state, step.ext_ref.as_deref()), (StepState::Submitted, Some("UPID:1")));
    assert!(suite.status(holder.job).await.open_step);
    let receipt = Envelope::new("created", 1, serde_json::json!({ "vmid": 2001 }));
    journal.outcome(holder, key("create"), receipt.clone(), None, now).await.unwrap();
    assert!(!suite.status(holder.job).await.open_step);
    let mut start = key("start");
    start.position = 1;
    journal.outcome(holder, start, payload(), Some(Finish::Done), now).await.unwrap();

    let steps = journal.steps(holder.job).await.unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["create", "start"]);
    assert_eq!((&steps[0].receipt, steps[0].direction), (&Some(receipt), Direction::Do));
    assert_eq!(steps[0].intent, Some(payload()));
    assert_eq!(suite.job_state(holder.job).await, JobState::Done);
    assert_eq!(suite.state(id).await, OperationState::Done);
}

pub(super) async fn wants_an_intent_before_a_reference(suite: Suite) {
    let (_, claimed) = suite.one_running().await;
    let early = suite.journal.submitted(claimed.holder, key("s"), "UPID:1".to_owned(), suite.now()).await;
    assert!(matches!(early, Err(JournalError::WrongState { .. })), "{early:?}");
    assert!(suite.journal.steps(claimed.holder.job).await.unwrap().is_empty());
}

pub(super) async fn keeps_unknown_fields_of_payloads(suite: Suite) {
    let mut spec = suite.operation("shop", &["a"]);
    spec.jobs[0].payload.rest.insert("trace".to_owned(), serde_json::json!({ "of": "a newer release" }));
    let expected = spec.jobs[0].payload.clone();
    suite.submit(spec).await;
    let claimed = suite.claim(1).await.remove(0);
    assert_eq!(claimed.job.spec.payload, expected);
}

pub(super) async fn tells_what_its_holder_saw(suite: Suite) {
    let (_, claimed) = suite.one_running().await;
    let step = || "create".to_owned();
    let notices = [
        Notice::Stalled { step: step(), quiet: Duration::from_secs(600), last: "task runs".to_owned() },
        Notice::Moving { step: step() },
        Notice::Deadline { allowed: Duration::from_secs(60) },
    ];
    for notice in notices {
        suite.journal.notice(claimed.holder, notice, suite.now()).await.unwrap();
    }
    let events = suite.journal.events(crate::EventQuery { limit: 100, ..Default::default() }).await.unwrap();
    let told: Vec<_> = events[2..].iter().map(|event| (event.kind.as_str(), event.body.clone())).collect();
    assert_eq!(
        told,
        [
            ("step.stalled", json!({ "step": "create", "quiet_ms": 600_000, "last": "task runs" })),
            ("step.moving", json!({ "step": "create" })),
            ("job.deadline", json!({ "allowed_ms": 60_000 })),
        ]
    );
    suite.finish(claimed.holder, Finish::Release).await.unwrap();
    assert!(lease_lost(suite.journal.notice(claimed.holder, Notice::Moving { step: step() }, suite.now()).await));
}
