//! The last looks at stacks.
use rl_engine::{EventQuery, UnixMs};
use rl_model::{Drift, DriftKind, Proof};
use rl_store::{LastLook, LooksAt};

use super::Bench;
use crate::home::Home;
use crate::samples::{guest, name};

crate::home::cases! {
    the_last_look_is_kept,
    looks_are_told_of,
}

async fn the_last_look_is_kept(home: Home) {
    let bench = Bench::new(home).await;
    let store = &bench.store;
    assert_eq!((store.proof(&name("shop")).await.unwrap(), store.looks().await.unwrap().len()), (None, 0));
    let at = |ms| Proof::new(name("shop"), ms, Vec::new());
    store.put_proof(&at(500)).await.unwrap();
    store.put_proof(&at(400)).await.unwrap();
    assert_eq!(store.proof(&name("shop")).await.unwrap(), Some(at(500)), "an older one changes nothing");
    let gone = Drift { guest: None, site: None, vmid: None, kind: DriftKind::Gone, message: "gone".to_owned() };
    store.put_drift(&name("shop"), UnixMs(600), std::slice::from_ref(&gone)).await.unwrap();
    store.put_drift(&name("mail"), UnixMs(700), &[]).await.unwrap();
    assert_eq!(store.drift(&name("shop")).await.unwrap(), Some((UnixMs(600), vec![gone])));
    let look = |at, faults| Some(LastLook { at: UnixMs(at), ok: faults == 0, faults });
    let expected = [
        LooksAt { stack: name("mail"), proof: None, drift: look(700, 0) },
        LooksAt { stack: name("shop"), proof: look(500, 0), drift: look(600, 1) },
    ];
    assert_eq!(store.looks().await.unwrap(), expected);
    assert!(rl_store::check(bench.home.place()).await.unwrap().findings.is_empty());
}

async fn looks_are_told_of(home: Home) {
    let bench = Bench::new(home).await;
    let store = &bench.store;
    let id = bench.make("shop", 0, vec![guest("web", 1)]).await.unwrap().operation;
    let told = async || {
        let query = EventQuery { after: 0, operation: Some(id), limit: 100 };
        let events = store.journal().events(query).await.unwrap();
        let looks = events.into_iter().filter(|event| event.kind.starts_with("stack."));
        looks.map(|event| format!("{} {}", event.kind, event.body["faults"])).collect::<Vec<_>>()
    };
    let gone = Drift { guest: None, site: None, vmid: None, kind: DriftKind::Gone, message: "gone".to_owned() };
    store.put_drift(&name("shop"), UnixMs(400), &[]).await.unwrap();
    assert!(told().await.is_empty(), "nothing was found, as nothing was before");
    store.put_proof(&Proof::new(name("shop"), 500, Vec::new())).await.unwrap();
    store.put_proof(&Proof::new(name("shop"), 450, Vec::new())).await.unwrap();
    store.put_proof(&Proof::new(name("shop"), 600, Vec::new())).await.unwrap();
    assert_eq!(told().await, ["stack.proof 0", "stack.proof 0"], "each that is kept");
    store.put_drift(&name("shop"), UnixMs(700), std::slice::from_ref(&gone)).await.unwrap();
    store.put_drift(&name("shop"), UnixMs(800), &[gone]).await.unwrap();
    store.put_drift(&name("shop"), UnixMs(900), &[]).await.unwrap();
    assert_eq!(told().await[2..], ["stack.drift 1", "stack.drift 0"], "a look that finds the same tells nothing new");
    store.put_proof(&Proof::new(name("mail"), 500, Vec::new())).await.unwrap();
    assert_eq!(told().await.len(), 4, "a stack without an operation has nobody to tell");
}
