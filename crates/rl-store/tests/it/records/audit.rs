//! The chain shows every change, wherever it was made.
use proptest::prelude::*;
use rl_store::{AuditBreak, AuditFault, AuditHash, AuditQuery, NewAudit, Store, Via};
use serde_json::json;

use super::{Bench, did};
use crate::home::Home;

crate::home::cases! {
    entries_are_numbered_without_gaps,
    pages_and_filters_find_what_was_done,
    a_cut_off_end_is_found_by_a_kept_hash,
    what_no_database_holds_is_made_to_fit,
    followers_are_told,
}

async fn entries_are_numbered_without_gaps(home: Home) {
    let bench = Bench::new(home).await;
    let first = NewAudit { via: Via::Token("t1".to_owned()), remote: Some("192.0.2.7".to_owned()), ..did("a.b", "/x") };
    let first = first.change(Some(json!({ "ü": 1 })), None);
    assert_eq!(bench.store.audit(first).await.unwrap(), 1);
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = bench.store.clone();
        writes.spawn(async move { store.audit(did("many", &format!("/{number}"))).await.unwrap() });
    }
    let mut seqs = writes.join_all().await;
    seqs.sort_unstable();
    assert_eq!(seqs, (2..=51).collect::<Vec<u64>>());
    let page = bench.store.audit_page(AuditQuery { after: Some(0), limit: 1, ..AuditQuery::default() }).await.unwrap();
    let entry = &page.items[0];
    assert_eq!((entry.seq, entry.prev, entry.before.as_deref()), (1, AuditHash::START, Some("{\"ü\":1}")));
    assert_eq!((entry.via.to_string(), entry.remote.as_deref()), ("token:t1".to_owned(), Some("192.0.2.7")));
    assert_eq!((page.next, entry.hash), (Some(1), entry.computed()));
    let verdict = bench.store.verify_audit(Some(entry.hash)).await.unwrap();
    assert_eq!((verdict.count, verdict.broken), (51, None));
    assert_eq!((51, verdict.head), bench.store.audit_head().await.unwrap());
}

async fn pages_and_filters_find_what_was_done(home: Home) {
    let bench = Bench::new(home).await;
    for number in 1..=10 {
        let path = if number % 2 == 0 { "/stacks/shop" } else { "/stacks/shopping" };
        bench.store.audit(did(if number > 5 { "plan.create" } else { "planet.move" }, path)).await.unwrap();
    }
    bench.store.audit(NewAudit { actor: "otto".to_owned(), ..did("plan.apply", "/stacks/shop/x") }).await.unwrap();
    let seqs = async |query: AuditQuery| -> (Vec<u64>, Option<u64>) {
        let page = bench.store.audit_page(query).await.unwrap();
        (page.items.iter().map(|entry| entry.seq).collect(), page.next)
    };
    let query = |limit| AuditQuery { limit, ..AuditQuery::default() };
    assert_eq!(seqs(query(3)).await, (vec![11, 10, 9], Some(9)));
    assert_eq!(seqs(AuditQuery { before: Some(3), ..query(3) }).await, (vec![2, 1], None));
    assert_eq!(seqs(AuditQuery { after: Some(9), ..query(3) }).await, (vec![10, 11], None));
    assert_eq!(
        seqs(AuditQuery { path: Some("/stacks/shop".to_owned()), ..query(3) }).await,
        (vec![11, 10, 8], Some(8))
    );
    assert_eq!(seqs(AuditQuery { path: Some("/".to_owned()), ..query(99) }).await.0.len(), 11);
    assert_eq!(seqs(AuditQuery { action: Some("plan".to_owned()), ..query(99) }).await.0, [11, 10, 9, 8, 7, 6]);
    assert_eq!(seqs(AuditQuery { action: Some("plan.apply".to_owned()), ..query(99) }).await.0, [11]);
    assert_eq!(seqs(AuditQuery { actor: Some("otto".to_owned()), ..query(99) }).await, (vec![11], None));
}

async fn a_cut_off_end_is_found_by_a_kept_hash(home: Home) {
    let bench = Bench::new(home).await;
    for number in 0..5 {
        bench.store.audit(did("a", &format!("/{number}"))).await.unwrap();
    }
    let (_, kept) = bench.store.audit_head().await.unwrap();
    bench.store.audit(did("a", "/later")).await.unwrap();
    assert_eq!(bench.store.verify_audit(Some(kept)).await.unwrap().broken, None, "it has grown since");
    bench.home.change_any("delete from audit where seq > 3");
    assert_eq!(bench.store.verify_audit(None).await.unwrap().broken, None, "what is left is whole");
    let broken = bench.store.verify_audit(Some(kept)).await.unwrap().broken;
    assert_eq!(broken, Some(AuditBreak { seq: 4, fault: AuditFault::HeadGone }));
    bench.home.change_any("delete from audit");
    assert!(bench.store.verify_audit(Some(kept)).await.unwrap().broken.is_some());
}

async fn what_no_database_holds_is_made_to_fit(home: Home) {
    let bench = Bench::new(home).await;
    let long = "ü".repeat(5_000);
    let odd = NewAudit { actor: "a\0b".to_owned(), remote: Some(long.clone()), ..did("x", "/") };
    bench.store.audit(odd.change(None, Some(json!({ "text": long.repeat(20), "zero": "\0" })))).await.unwrap();
    let entry = bench.store.audit_page(AuditQuery::default()).await.unwrap().items.remove(0);
    assert_eq!((entry.actor.as_str(), entry.remote.map(|text| text.len())), ("a\u{fffd}b", Some(1024)));
    assert!(entry.after.unwrap().starts_with("{\"too_large\":{\"bytes\":200"));
    assert_eq!(bench.store.verify_audit(None).await.unwrap().broken, None);
}

async fn followers_are_told(home: Home) {
    let bench = Bench::new(home).await;
    let mut told = bench.store.subscribe_audit();
    bench.store.audit(did("a", "/")).await.unwrap();
    assert_eq!(*told.borrow_and_update(), 1, "by the time the write has answered");
    // An entry that this process did not see being written.
    let other = Store::clone(&bench.store);
    let following = tokio::spawn(async move { other.follow_audit().await });
    let hash = AuditHash::START;
    bench.home.change_any(&format!(
        "insert into audit (seq, at, actor, via, action, path, prev, hash) values (2, 1, 'x', 'local', 'b', '/', '{hash}', '{hash}')"
    ));
    tokio::time::timeout(std::time::Duration::from_secs(60), told.wait_for(|seq| *seq == 2)).await.unwrap().unwrap();
    following.abort();
}

/// A chain of some entries in a directory, and what happens to it.
async fn broken_by(count: u64, tamper: &str) -> Option<AuditBreak> {
    let bench = Bench::new(Home::directory()).await;
    for number in 0..count {
        let entry = did("a.b", &format!("/{number}")).change(Some(json!(number)), None);
        bench.store.audit(entry).await.unwrap();
    }
    assert_eq!(bench.store.verify_audit(None).await.unwrap().broken, None);
    bench.home.script(tamper);
    let broken = bench.store.verify_audit(None).await.unwrap().broken;
    let report = rl_store::check(bench.home.place()).await.unwrap();
    assert_eq!(report.is_sound(), broken.is_none(), "a check of the store sees the same: {report:?}");
    broken
}

fn tampering() -> impl Strategy<Value = (u64, u64, String)> {
    let columns = prop_oneof![
        Just("at = at + 1"),
        Just("actor = 'eve'"),
        Just("via = 'session'"),
        Just("remote = ''"),
        Just("action = 'a.bc'"),
        Just("path = path || '0'"),
        Just("before = null"),
        Just("before = ''"),
        Just("after = '1'"),
        Just("hash = prev"),
        Just("prev = hash"),
    ];
    (3u64..8, columns).prop_flat_map(|(count, column)| {
        (1..=count, 0u8..4).prop_map(move |(seq, way)| {
            let shift = |by: i64| format!("update audit set seq = -seq where seq >= {seq}; update audit set seq = {by} - seq where seq < 0;");
            match way {
                1 if seq < count => (count, seq, format!("delete from audit where seq = {seq}")),
                // Taken out, and those after it moved up.
                2 if seq < count => (count, seq, format!("delete from audit where seq = {seq}; {}", shift(-1))),
                // Put in, and those after it moved down.
                3 => {
                    let copy = format!(
                        "insert into audit select {seq}, at, actor, via, remote, action, path, before, after, prev, hash from audit where seq = {seq} + 1"
                    );
                    (count, seq, format!("{} {copy}", shift(1)))
                }
                // Two change places.
                0 if seq < count => {
                    let next = seq + 1;
                    let swap = format!(
                        "update audit set seq = 0 where seq = {seq}; update audit set seq = {seq} where seq = {next}; update audit set seq = {next} where seq = 0"
                    );
                    (count, seq, swap)
                }
                _ => (count, seq, format!("update audit set {column} where seq = {seq}")),
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is changed, taken out, put in or swapped: the chain is whole up to there, and broken there or at the entry that
    /// shows it.
    #[test]
    fn every_change_is_found((count, seq, tamper) in tampering()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let broken = runtime.block_on(broken_by(count, &tamper));
        let found = broken.map(|broken| broken.seq);
        prop_assert!(found.is_some_and(|found| found == seq || found == seq + 1), "{}: {:?}", tamper, found);
    }

    /// No two entries that differ have one hash, wherever a text ends and another begins.
    #[test]
    fn hashes_tell_texts_apart(one in texts(), other in texts()) {
        prop_assert_eq!(entry(&one).computed() == entry(&other).computed(), one == other);
    }

    #[test]
    fn hashes_are_read_as_they_are_written(text in texts()) {
        let hash = entry(&text).computed();
        prop_assert_eq!(hash.to_string().parse::<AuditHash>().unwrap(), hash);
        prop_assert!(hash.to_string()[1..].parse::<AuditHash>().is_err());
    }
}

type Texts = [Option<String>; 5];

fn texts() -> impl Strategy<Value = Texts> {
    proptest::array::uniform5(proptest::option::of("[ab]{0,2}"))
}

fn entry([actor, remote, action, before, after]: &Texts) -> rl_store::AuditRecord {
    rl_store::AuditRecord {
        seq: 1,
        at: rl_engine::UnixMs(5),
        actor: actor.clone().unwrap_or_default(),
        via: Via::Local,
        remote: remote.clone().or(actor.is_none().then(|| "none".to_owned())),
        action: action.clone().unwrap_or_else(|| "none".to_owned()),
        path: "/".to_owned(),
        before: before.clone(),
        after: after.clone(),
        prev: AuditHash::START,
        hash: AuditHash::START,
    }
}
