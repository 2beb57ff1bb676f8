//! Listings and events.
use std::time::Duration;

use super::{Suite, key, payload};
use crate::journal::{EventQuery, Finish, JournalError, OperationQuery};
use crate::state::OperationState;

pub(super) async fn pages_and_filters(suite: Suite) {
    let mut ids = Vec::new();
    for subject in ["shop", "mail", "shop"] {
        ids.push(suite.submit(suite.operation(subject, &["a", "b", "c"])).await);
    }
    let list = async |query: OperationQuery| {
        let found = suite.journal.operations(query).await.unwrap();
        found.into_iter().map(|operation| operation.info.id).collect::<Vec<_>>()
    };
    let newest = |limit| OperationQuery { limit, ..Default::default() };
    assert_eq!(list(newest(10)).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(newest(1)).await, [ids[2]]);
    assert_eq!(list(OperationQuery { before: Some(ids[2]), ..newest(1) }).await, [ids[1]]);
    assert_eq!(list(OperationQuery { subject: Some("shop".to_owned()), ..newest(10) }).await, [ids[2], ids[0]]);
    suite.journal.request_cancel(ids[1], "tester".to_owned(), suite.now()).await.unwrap();
    assert_eq!(list(OperationQuery { states: vec![OperationState::Cancelled], ..newest(10) }).await, [ids[1]]);
    let page = suite.journal.jobs(ids[0], 1, 1).await.unwrap();
    assert_eq!((page.len(), page[0].spec.key.as_str(), page[0].seq), (1, "b", 1));
    assert!(suite.journal.jobs(ids[0], 3, 10).await.unwrap().is_empty());
}

pub(super) async fn numbers_events_in_order(suite: Suite) {
    let mut signal = suite.journal.subscribe();
    let (id, claimed) = suite.one_running().await;
    suite
        .journal
        .note(claimed.holder, Some("create".to_owned()), "took another VMID".to_owned(), suite.now())
        .await
        .unwrap();
    suite.journal.outcome(claimed.holder, key("create"), payload(), Some(Finish::Done), suite.now()).await.unwrap();
    let read = async |query: EventQuery| suite.journal.events(query).await.unwrap();
    let all = read(EventQuery { limit: 100, ..Default::default() }).await;
    let kinds: Vec<&str> = all.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["operation.submitted", "job.started", "note", "step.done", "job.done", "operation.state"]);
    assert_eq!(all[2].body["text"], "took another VMID");
    assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    assert_eq!(signal.borrow_and_update().events, all[5].seq, "followers are told of the last event");
    let rest = read(EventQuery { after: all[3].seq, operation: Some(id), limit: 1 }).await;
    assert_eq!(rest, all[4..5]);
    let other = suite.ids.operation();
    assert!(read(EventQuery { operation: Some(other), limit: 100, ..Default::default() }).await.is_empty());
}

pub(super) async fn says_when_events_are_gone(suite: Suite) {
    let read = async |query: EventQuery| suite.journal.events(query).await;
    let (_, old) = suite.one_running().await;
    let after_first = read(EventQuery { limit: 1, ..Default::default() }).await.unwrap()[0].seq;
    suite.finish(old.holder, Finish::Done).await.unwrap();
    let last = read(EventQuery { limit: 100, ..Default::default() }).await.unwrap().last().unwrap().seq;
    suite.clock.advance(Duration::from_secs(3600));
    let (kept, _) = suite.one_running().await;
    suite.journal.prune(suite.now(), 10, suite.now()).await.unwrap();
    let gone = read(EventQuery { after: after_first, limit: 100, ..Default::default() }).await;
    let Err(JournalError::EventsGone { after, complete_after }) = gone else { panic!("{gone:?}") };
    assert_eq!((after, complete_after), (after_first, last));
    let rest = read(EventQuery { after: complete_after, limit: 100, ..Default::default() }).await.unwrap();
    assert_eq!(rest.len(), 2, "nothing is missing from there on");
    assert_eq!(
        read(EventQuery { limit: 100, ..Default::default() }).await.unwrap(),
        rest,
        "who begins takes what there is"
    );
    let own = read(EventQuery { after: 1, operation: Some(kept), limit: 100 }).await.unwrap();
    assert_eq!(own, rest, "a follower of one operation misses nothing of it");
}
