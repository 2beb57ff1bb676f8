//! A webhook loses nothing, whoever feeds it and whoever delivers, and what it waits for is in order.
use rl_engine::UnixMs;
use rl_model::{SealedValue, WebhookId};
use rl_store::{
    Claimed, Conflict, Deed, DeliveryState, NewWebhook, NewWebhookDelivery, Outcome, PENDING_MAX, WEBHOOKS_MAX,
    WebhookChange, WebhookRecord,
};
use std::time::Duration;

use super::{Bench, conflict, did};
use crate::home::Home;

crate::home::cases! {
    a_webhook_is_made_changed_and_removed,
    its_place_moves_with_its_deliveries_or_not_at_all,
    deliveries_are_claimed_in_order_and_one_at_a_time,
    a_killed_holder_loses_nothing_and_a_late_one_changes_nothing,
    one_that_fails_for_long_is_switched_off,
    a_delivery_is_sent_again_as_a_new_one,
    what_ended_long_ago_is_removed,
}

const LEASE: Duration = Duration::from_secs(30);
const DAYS: Duration = Duration::from_secs(3 * 86_400);

fn deed() -> Deed {
    did("webhook.test", "/webhooks/x").into()
}

fn sealed() -> SealedValue {
    "-----BEGIN AGE ENCRYPTED FILE-----\nx".parse().unwrap()
}

async fn add(bench: &Bench, bits: u64) -> WebhookRecord {
    let new = NewWebhook {
        id: WebhookId::from_bits(bits),
        url: "https://hooks.example/x".to_owned(),
        secret: sealed(),
        kinds: vec!["job.".to_owned()],
        stacks: Vec::new(),
    };
    bench.store.add_webhook(new, deed()).await.unwrap()
}

/// Feeds a webhook so many deliveries of changes.
async fn feed(bench: &Bench, hook: &WebhookRecord, count: u64) {
    let now = bench.store.webhook(&hook.id).await.unwrap().unwrap();
    let made = (1..=count).map(|n| NewWebhookDelivery {
        event: format!("change/{}", now.audit_seen + n),
        kind: "change.plan.create".to_owned(),
        body: format!("{{\"n\":{n}}}"),
    });
    let (from, to) = ((now.events_seen, now.audit_seen), (now.events_seen, now.audit_seen + count));
    assert!(bench.store.feed_webhook(&hook.id, from, to, made.collect()).await.unwrap());
}

async fn claim(bench: &Bench, by: &str) -> Vec<Claimed> {
    bench.store.claim_deliveries(by, LEASE, 10).await.unwrap()
}

fn numbers(claimed: &[Claimed]) -> Vec<u64> {
    claimed.iter().map(|claimed| claimed.delivery.n).collect()
}

fn retry(seconds: u64) -> Outcome {
    Outcome::Retry { after: Duration::from_secs(seconds), status: Some(500), error: "it answered 500".to_owned() }
}

async fn a_webhook_is_made_changed_and_removed(home: Home) {
    let bench = Bench::new(home).await;
    bench.store.audit(did("before", "/")).await.unwrap();
    let hook = add(&bench, 1).await;
    assert_eq!((hook.enabled, hook.version, hook.audit_seen, hook.pending), (true, 1, 1, 0));
    let change = |seen, to: WebhookChange| bench.store.change_webhook(&hook.id, seen, to, deed());
    let to = WebhookChange { kinds: Some(Vec::new()), enabled: Some(false), ..WebhookChange::default() };
    let changed = change(Some(1), to.clone()).await.unwrap().unwrap();
    assert_eq!((changed.version, changed.enabled, &changed.url), (2, false, &hook.url));
    assert!(matches!(conflict(change(Some(1), to).await), Conflict::Version { seen: 1, found: 2, .. }));
    assert!(matches!(conflict(bench.store.remove_webhook(&hook.id, Some(1), deed()).await), Conflict::Version { .. }));
    feed_refused(&bench, &changed).await;
    assert!(bench.store.remove_webhook(&hook.id, Some(2), deed()).await.unwrap());
    assert!(!bench.store.remove_webhook(&hook.id, None, deed()).await.unwrap());
    assert_eq!(bench.store.webhook(&hook.id).await.unwrap(), None);
    for bits in 0..WEBHOOKS_MAX {
        add(&bench, bits).await;
    }
    let more = NewWebhook {
        id: WebhookId::from_bits(999),
        url: String::new(),
        secret: sealed(),
        kinds: vec![],
        stacks: vec![],
    };
    assert_eq!(conflict(bench.store.add_webhook(more, deed()).await), Conflict::Webhooks { max: WEBHOOKS_MAX });
    assert_eq!(bench.store.webhooks().await.unwrap().len() as u64, WEBHOOKS_MAX);
}

/// One that is switched off stands still.
async fn feed_refused(bench: &Bench, hook: &WebhookRecord) {
    let place = (hook.events_seen, hook.audit_seen);
    assert!(!bench.store.feed_webhook(&hook.id, place, (place.0, place.1 + 1), Vec::new()).await.unwrap());
}

async fn its_place_moves_with_its_deliveries_or_not_at_all(home: Home) {
    let bench = Bench::new(home).await;
    let hook = add(&bench, 1).await;
    let mut tries = tokio::task::JoinSet::new();
    for server in 0..8 {
        let (store, hook) = (bench.store.clone(), hook.clone());
        tries.spawn(async move {
            let made = NewWebhookDelivery {
                event: "event/1".to_owned(),
                kind: "job.done".to_owned(),
                body: format!("{{\"by\":{server}}}"),
            };
            let (from, to) = ((hook.events_seen, hook.audit_seen), (hook.events_seen + 1, hook.audit_seen));
            store.feed_webhook(&hook.id, from, to, vec![made]).await.unwrap()
        });
    }
    let moved = tries.join_all().await.into_iter().filter(|moved| *moved).count();
    assert_eq!(moved, 1, "of many servers one makes the delivery");
    let listed = bench.store.webhook_deliveries(&hook.id, None, 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].n, listed[0].state), (1, 1, DeliveryState::Pending));
    let found = bench.store.webhook(&hook.id).await.unwrap().unwrap();
    assert_eq!((found.events_seen, found.pending, found.version), (hook.events_seen + 1, 1, 1));
    assert!(rl_store::check(bench.home.place()).await.unwrap().is_sound());
}

async fn deliveries_are_claimed_in_order_and_one_at_a_time(home: Home) {
    let bench = Bench::new(home).await;
    let (first, second) = (add(&bench, 1).await, add(&bench, 2).await);
    assert_eq!(bench.store.next_delivery_at().await.unwrap(), None);
    feed(&bench, &first, 3).await;
    feed(&bench, &second, 1).await;
    assert_eq!(bench.store.webhook_backlog().await.unwrap(), 4);
    let claimed = claim(&bench, "a").await;
    assert_eq!(numbers(&claimed), [1, 1], "one of each");
    assert!(claim(&bench, "b").await.is_empty(), "nobody else gets them");
    let of_first = claimed.iter().find(|claimed| claimed.webhook.id == first.id).unwrap();
    assert!(!bench.store.end_delivery(of_first, "a", retry(5), DAYS).await.unwrap());
    assert!(claim(&bench, "b").await.is_empty(), "the second does not go before the first");
    let due = bench.store.next_delivery_at().await.unwrap();
    assert!(due.is_some());
    bench.later(6);
    let again = claim(&bench, "b").await;
    assert_eq!((numbers(&again), again[0].delivery.attempts), (vec![1], 2));
    assert_eq!(again[0].delivery.error.as_deref(), Some("it answered 500"));
    assert!(again[0].webhook.failing_since.is_some());
    bench.store.end_delivery(&again[0], "b", Outcome::Delivered { status: 204 }, DAYS).await.unwrap();
    let next = claim(&bench, "b").await;
    assert_eq!(numbers(&next), [2], "the next of the first; the second webhook's is under way");
    assert_eq!(next[0].webhook.failing_since, None);
    let listed = bench.store.webhook_deliveries(&first.id, Some(3), 10).await.unwrap();
    assert_eq!((listed[1].n, listed[1].state, listed[1].status), (1, DeliveryState::Delivered, Some(204)));
}

async fn a_killed_holder_loses_nothing_and_a_late_one_changes_nothing(home: Home) {
    let bench = Bench::new(home).await;
    let hook = add(&bench, 1).await;
    feed(&bench, &hook, 1).await;
    let late = claim(&bench, "a").await.remove(0);
    bench.later(LEASE.as_secs() + 1);
    let second = claim(&bench, "b").await.remove(0);
    assert_eq!((second.delivery.n, second.delivery.attempts), (1, 2));
    bench
        .store
        .end_delivery(&late, "a", Outcome::Failed { status: None, error: "late".to_owned() }, DAYS)
        .await
        .unwrap();
    let listed = bench.store.webhook_deliveries(&hook.id, None, 10).await.unwrap();
    assert_eq!(listed[0].state, DeliveryState::Pending, "it is the other's by now");
    bench.store.release_deliveries().await.unwrap();
    let third = claim(&bench, "c").await.remove(0);
    bench.store.end_delivery(&third, "c", Outcome::Delivered { status: 200 }, DAYS).await.unwrap();
    assert_eq!(bench.store.next_delivery_at().await.unwrap(), None);
}

async fn one_that_fails_for_long_is_switched_off(home: Home) {
    let bench = Bench::new(home).await;
    let hook = add(&bench, 1).await;
    feed(&bench, &hook, 2).await;
    let claimed = claim(&bench, "a").await.remove(0);
    assert!(!bench.store.end_delivery(&claimed, "a", retry(1), Duration::from_secs(60)).await.unwrap());
    bench.later(61);
    let claimed = claim(&bench, "a").await.remove(0);
    let failed = Outcome::Failed { status: None, error: "nobody answers".to_owned() };
    let paused = bench.store.end_delivery(&claimed, "a", failed, Duration::from_secs(60)).await.unwrap();
    if !paused {
        // A database has a clock of its own, which no test moves.
        return;
    }
    let found = bench.store.webhook(&hook.id).await.unwrap().unwrap();
    assert_eq!((found.enabled, found.version, found.failing_since.is_some()), (false, 2, true));
    assert!(claim(&bench, "a").await.is_empty());
    let entry = bench.store.audit_page(rl_store::AuditQuery::default()).await.unwrap().items.remove(0);
    assert_eq!((entry.action.as_str(), entry.path), ("webhook.pause", format!("/webhooks/{}", hook.id)));
    let on = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    let found = bench.store.change_webhook(&hook.id, Some(2), on, deed()).await.unwrap().unwrap();
    assert_eq!((found.enabled, found.failing_since), (true, None::<UnixMs>));
    assert_eq!(numbers(&claim(&bench, "a").await), [2], "it goes on where it stopped");
}

async fn a_delivery_is_sent_again_as_a_new_one(home: Home) {
    let bench = Bench::new(home).await;
    let hook = add(&bench, 1).await;
    feed(&bench, &hook, 1).await;
    let claimed = claim(&bench, "a").await.remove(0);
    bench.store.end_delivery(&claimed, "a", Outcome::Delivered { status: 200 }, DAYS).await.unwrap();
    let again = bench.store.replay_delivery(&hook.id, 1, deed()).await.unwrap().unwrap();
    assert_eq!((again.n, again.state, &again.body), (2, DeliveryState::Pending, &claimed.delivery.body));
    assert_eq!(bench.store.replay_delivery(&hook.id, 9, deed()).await.unwrap(), None);
    assert_eq!(numbers(&claim(&bench, "a").await), [2]);
    feed(&bench, &hook, PENDING_MAX - 1).await;
    let full = conflict(bench.store.replay_delivery(&hook.id, 1, deed()).await);
    assert_eq!(full, Conflict::DeliveriesWait { id: hook.id.clone(), count: PENDING_MAX });
    assert!(rl_store::check(bench.home.place()).await.unwrap().is_sound());
}

async fn what_ended_long_ago_is_removed(home: Home) {
    let bench = Bench::new(home).await;
    let hook = add(&bench, 1).await;
    feed(&bench, &hook, 2).await;
    let claimed = claim(&bench, "a").await.remove(0);
    bench.store.end_delivery(&claimed, "a", Outcome::Delivered { status: 200 }, DAYS).await.unwrap();
    bench.home.change_any("update webhook_delivery set updated_at = 1");
    bench.store.tidy().await.unwrap();
    let left = bench.store.webhook_deliveries(&hook.id, None, 10).await.unwrap();
    assert_eq!(left.iter().map(|delivery| delivery.n).collect::<Vec<_>>(), [2], "what waits stays");
}
