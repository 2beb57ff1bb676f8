//! A deed is written with its change or not at all, and a key is answered once.
use rl_engine::OperationSpec;
use rl_store::{AuditQuery, Conflict, Deed, KeptAnswer};

use super::{Bench, conflict, did, keyed};
use crate::home::Home;
use crate::samples::{guest, name, start};

crate::home::cases! {
    a_deed_is_written_with_its_operation,
    of_two_with_one_key_one_wins,
    a_refused_change_leaves_no_deed,
    answers_are_kept_for_a_day,
    a_start_that_reserves_nothing_is_a_deed_too,
    deeds_of_every_kind_at_once_make_one_chain,
}

async fn actions(bench: &Bench) -> Vec<String> {
    let page =
        bench.store.audit_page(AuditQuery { after: Some(0), limit: 100, ..AuditQuery::default() }).await.unwrap();
    page.items.into_iter().map(|entry| entry.action).collect()
}

async fn kept(bench: &Bench, key: &str) -> Option<KeptAnswer> {
    bench.store.kept_answer("maria", key).await.unwrap()
}

async fn a_deed_is_written_with_its_operation(home: Home) {
    let bench = Bench::new(home).await;
    let wanted = || start(&bench.store, "shop", 0, vec![guest("web", 1)]);
    let spec = bench.spec("shop");
    let deed = keyed("k1", "{\"operation\":1}");
    let mut told = bench.store.subscribe_audit();
    let started = bench.start(spec.clone(), wanted(), Some(deed.clone())).await.unwrap();
    assert_eq!(*told.borrow_and_update(), 1);
    assert_eq!(kept(&bench, "k1").await, deed.answer);
    assert_eq!(bench.store.kept_answer("otto", "k1").await.unwrap(), None, "keys of two people never meet");
    // The same operation once more, as by a caller that lost the answer, and with its own key.
    assert_eq!(
        conflict(bench.start(spec.clone(), wanted(), Some(deed)).await),
        Conflict::Answered { principal: "maria".to_owned(), key: "k1".to_owned() }
    );
    let again = bench.start(spec, wanted(), Some(Deed::from(did("stack.apply", "/stacks/shop")))).await.unwrap();
    assert_eq!((again.existing, again.operation), (true, started.operation));
    assert_eq!(actions(&bench).await, ["stack.apply"], "what was started once was done once");
}

async fn of_two_with_one_key_one_wins(home: Home) {
    let bench = Bench::new(home).await;
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (store, spec) = (bench.store.clone(), bench.spec("shop"));
        let wanted = start(&bench.store, "shop", 0, vec![guest("web", 1)]);
        let deed = keyed("k1", &format!("{number}"));
        tries.spawn(async move { (number, store.start_operation(spec, Some(wanted), Some(deed)).await) });
    }
    let (mut won, mut lost) = (Vec::new(), 0);
    while let Some(done) = tries.join_next().await {
        match done.unwrap() {
            (number, Ok(_)) => won.push(number.to_string()),
            (_, refused) => {
                assert!(matches!(conflict(refused), Conflict::Answered { .. }), "not that the stack is being changed");
                lost += 1;
            }
        }
    }
    assert_eq!((won.len(), lost), (1, 7));
    assert_eq!(kept(&bench, "k1").await.map(|answer| answer.body), won.pop());
    assert_eq!(actions(&bench).await.len(), 1);
}

async fn a_refused_change_leaves_no_deed(home: Home) {
    let bench = Bench::new(home).await;
    bench.make("shop", 0, vec![guest("web", 1)]).await.unwrap();
    let wanted = start(&bench.store, "mail", 3, vec![guest("web", 2)]);
    let refused = bench.start(bench.spec("mail"), wanted, Some(keyed("k1", "x"))).await;
    assert!(matches!(conflict(refused), Conflict::Revision { .. }));
    let policy = bench.store.put_stack_policy(&name("shop"), true, None, Some(7), keyed("k1", "x")).await;
    assert_eq!(conflict(policy), Conflict::Version { what: "the rules of the stack", seen: 7, found: 0 });
    assert_eq!((kept(&bench, "k1").await, actions(&bench).await.len()), (None, 0));
    bench.store.put_stack_policy(&name("shop"), true, None, Some(0), keyed("k1", "x")).await.unwrap();
    assert_eq!(actions(&bench).await.len(), 1);
}

async fn answers_are_kept_for_a_day(home: Home) {
    let bench = Bench::new(home).await;
    let put = async |key: &str, body: &str| {
        bench.store.put_stack_policy(&name("shop"), true, None, None, keyed(key, body)).await
    };
    put("k1", "old").await.unwrap();
    put("k2", "old").await.unwrap();
    bench.later(24 * 3600 - 1);
    assert!(kept(&bench, "k1").await.is_some());
    put("k3", "young").await.unwrap();
    assert!(matches!(conflict(put("k1", "new").await), Conflict::Answered { .. }));
    bench.later(1);
    assert_eq!(kept(&bench, "k1").await, None);
    put("k1", "new").await.unwrap();
    assert_eq!(kept(&bench, "k1").await.map(|answer| answer.body).as_deref(), Some("new"));
    assert!(!bench.store.tidy().await.unwrap());
    let rows = rl_store::check(bench.home.place()).await.unwrap().tables["kept_answer"];
    assert_eq!(rows, 2, "one of three was too old");
}

async fn a_start_that_reserves_nothing_is_a_deed_too(home: Home) {
    let bench = Bench::new(home).await;
    let act = async |spec: &OperationSpec, key: &str| {
        bench.store.start_operation(spec.clone(), None, Some(keyed(key, key))).await
    };
    let spec = OperationSpec { exclusive: true, ..bench.spec("shop") };
    let mut told = bench.store.subscribe_audit();
    let started = act(&spec, "k1").await.unwrap();
    assert_eq!((started.existing, started.revision, *told.borrow_and_update()), (false, None, 1));
    assert_eq!(kept(&bench, "k1").await.map(|answer| answer.body).as_deref(), Some("k1"));
    // Whoever comes second with a key hears that, whatever else is wrong.
    let second = OperationSpec { exclusive: true, ..bench.spec("shop") };
    assert!(matches!(conflict(act(&second, "k1").await), Conflict::Answered { .. }));
    assert!(matches!(conflict(act(&second, "k2").await), Conflict::Unfinished { .. }));
    assert_eq!((kept(&bench, "k2").await, actions(&bench).await.len()), (None, 1), "nothing of it is left");
    let again = act(&spec, "k3").await.unwrap();
    assert_eq!((again.existing, again.operation, actions(&bench).await.len()), (true, started.operation, 1));
    bench.end_all().await;
    bench.later(24 * 3600);
    act(&second, "k1").await.unwrap();
    assert_eq!(actions(&bench).await.len(), 2, "a day later the key is free");
    assert_eq!(bench.store.verify_audit(None).await.unwrap().broken, None);
}

/// Some writes keep the end of the chain in memory and some read it; they share batches here.
async fn deeds_of_every_kind_at_once_make_one_chain(home: Home) {
    let bench = Bench::new(home).await;
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..120 {
        let (store, spec) = (bench.store.clone(), bench.spec(&format!("s{}", number / 4)));
        let spec = OperationSpec { exclusive: true, ..spec };
        // Of four starts of a stack one is carried out; of two with one key at most one.
        let deed = keyed(&format!("k{}", number / 2), "x");
        writes.spawn(async move {
            match number % 4 {
                3 => store.audit(did("seen", "/x")).await.is_ok(),
                _ => store.start_operation(spec, None, Some(deed)).await.is_ok(),
            }
        });
    }
    let done = writes.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!(done, 60, "30 starts and 30 entries by themselves");
    let verdict = bench.store.verify_audit(None).await.unwrap();
    assert_eq!((verdict.count, verdict.broken), (60, None));
    let tables = rl_store::check(bench.home.place()).await.unwrap().tables;
    assert_eq!((tables["operation"], tables["kept_answer"]), (30, 30));
}
