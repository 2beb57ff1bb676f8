//! The last looks at stacks.
use rl_engine::UnixMs;
use rl_model::{Drift, DriftKind, Proof};
use rl_store::{LastLook, LooksAt};

use super::Bench;
use crate::home::Home;
use crate::samples::name;

crate::home::cases! {
    the_last_look_is_kept,
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
