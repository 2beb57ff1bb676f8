//! Secrets and deliveries, on either database: versions go on, old values are wiped, copies and checks carry all of it.
use std::sync::Arc;

use rl_engine::{Clock, SimClock, UnixMs};
use rl_model::{SealedValue, SecretRef};
use rl_store::{
    Conflict, DeliveryRecord, Generator, NewVersion, Origin, RecipientRole, Store, StoreError, VERSIONS_KEPT, check,
    copy,
};

use crate::home::Home;
use crate::samples::{guest, id, name, operation, start};

fn secret(text: &str) -> SecretRef {
    text.parse().unwrap()
}

fn sealed(text: &str) -> SealedValue {
    format!("-----BEGIN AGE ENCRYPTED FILE-----\n{text}\n-----END AGE ENCRYPTED FILE-----\n").parse().unwrap()
}

fn version(name: &str, version: u64) -> NewVersion {
    NewVersion {
        name: secret(name),
        version,
        sealed: sealed(&format!("{name} {version}")),
        origin: Origin::Generated,
        generator: Some(Generator { length: 32 }),
        actor: "maria".to_owned(),
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SimClock::manual(UnixMs(1_700_000_000_000)))
}

async fn open(home: &Home) -> Store {
    home.open(clock()).await.unwrap()
}

crate::home::cases! {
    versions_follow_each_other_and_old_values_are_wiped,
    removed_secret_keeps_its_history_and_goes_on,
    recipients_are_claimed_once,
    deliveries_go_with_their_guest,
    copy_and_check_know_of_secrets,
}

async fn versions_follow_each_other_and_old_values_are_wiped(home: Home) {
    let store = open(&home).await;
    for number in 1..=VERSIONS_KEPT + 2 {
        store.put_secret_version(version("shop/db", number), None).await.unwrap();
    }
    for wrong in [1, VERSIONS_KEPT + 2, VERSIONS_KEPT + 4] {
        let refused = store.put_secret_version(version("shop/db", wrong), None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Conflict(Conflict::SecretVersion { .. })), "{refused}");
    }
    let history = store.secret_history(&secret("shop/db")).await.unwrap();
    let wiped: Vec<u64> = history.iter().filter(|v| v.wiped_at.is_some()).map(|v| v.version).collect();
    assert_eq!(wiped, [2, 1]);
    assert_eq!(store.sealed_secret(&secret("shop/db"), 2).await.unwrap(), None);
    assert_eq!(store.sealed_secret(&secret("shop/db"), 3).await.unwrap(), Some(sealed("shop/db 3")));
    assert_eq!(store.sealed_secret(&secret("shop/d"), 3).await.unwrap(), None);
    let record = store.secret(&secret("shop/db")).await.unwrap().unwrap();
    assert_eq!((record.latest, record.generator), (VERSIONS_KEPT + 2, Some(Generator { length: 32 })));
    let kept = store.sealed_secrets().await.unwrap();
    assert_eq!(kept.len() as u64, VERSIONS_KEPT);
    let anew = kept.into_iter().map(|(name, version, _)| (name, version, sealed("anew"))).collect();
    store.reseal_secrets(anew).await.unwrap();
    assert_eq!(store.sealed_secret(&secret("shop/db"), 3).await.unwrap(), Some(sealed("anew")));
    assert_eq!(store.sealed_secret(&secret("shop/db"), 2).await.unwrap(), None);
}

async fn removed_secret_keeps_its_history_and_goes_on(home: Home) {
    let store = open(&home).await;
    assert!(!store.remove_secret(&secret("a"), None, "maria".to_owned(), None).await.unwrap());
    store.put_secret_version(version("a", 1), None).await.unwrap();
    assert!(store.remove_secret(&secret("a"), None, "maria".to_owned(), None).await.unwrap());
    assert!(!store.remove_secret(&secret("a"), None, "maria".to_owned(), None).await.unwrap());
    assert_eq!(store.secrets().await.unwrap(), []);
    assert_eq!(store.sealed_secret(&secret("a"), 1).await.unwrap(), None);
    let record = store.secret(&secret("a")).await.unwrap().unwrap();
    assert_eq!(record.removed.map(|(_, by)| by).as_deref(), Some("maria"));
    store.put_secret_version(version("a", 1), None).await.unwrap_err();
    store.put_secret_version(version("a", 2), None).await.unwrap();
    assert_eq!(store.secret(&secret("a")).await.unwrap().unwrap().removed, None);
}

async fn recipients_are_claimed_once(home: Home) {
    let store = open(&home).await;
    assert_eq!(store.claim_recipient("age1a".to_owned(), "x".to_owned()).await.unwrap(), "age1a");
    assert_eq!(store.claim_recipient("age1b".to_owned(), "x".to_owned()).await.unwrap(), "age1a");
    store.put_recovery(Some("age1c".to_owned()), "x".to_owned(), None).await.unwrap();
    store.put_recovery(Some("age1d".to_owned()), "x".to_owned(), None).await.unwrap();
    assert_eq!(store.recipient(RecipientRole::Recovery).await.unwrap().as_deref(), Some("age1d"));
    store.put_recovery(None, "x".to_owned(), None).await.unwrap();
    assert_eq!(store.recipient(RecipientRole::Recovery).await.unwrap(), None);
    assert_eq!(store.recipient(RecipientRole::Installation).await.unwrap().as_deref(), Some("age1a"));
}

fn delivery(guest: u32, path: &str, version: u64) -> DeliveryRecord {
    DeliveryRecord {
        guest: id(guest),
        path: path.parse().unwrap(),
        source: "corp:shop/db#password".parse().unwrap(),
        version,
        mode: 0o400,
        owner: "root".to_owned(),
        delivered_at: UnixMs(1_700_000_000_000),
    }
}

async fn deliveries_go_with_their_guest(home: Home) {
    let store = open(&home).await;
    for record in [delivery(1, "/run/secrets/b", 1), delivery(1, "/run/secrets/a", 1), delivery(1, "/run/secrets/a", 2)]
    {
        store.record_delivery(record).await.unwrap();
    }
    store.record_delivery(delivery(2, "/run/secrets/a", 9)).await.unwrap();
    let of = store.deliveries(&id(1)).await.unwrap();
    assert_eq!(of, [delivery(1, "/run/secrets/a", 2), delivery(1, "/run/secrets/b", 1)]);
    store.forget_delivery(&id(1), &"/run/secrets/b".parse().unwrap()).await.unwrap();
    store.forget_delivery(&id(1), &"/run/secrets/b".parse().unwrap()).await.unwrap();
    assert_eq!(store.all_deliveries().await.unwrap().len(), 2);
    store.release_guest(&id(1)).await.unwrap();
    assert_eq!(store.all_deliveries().await.unwrap(), [delivery(2, "/run/secrets/a", 9)]);
}

async fn copy_and_check_know_of_secrets(home: Home) {
    let store = open(&home).await;
    store.put_secret_version(version("shop/db", 1), None).await.unwrap();
    store.claim_recipient("age1a".to_owned(), "x".to_owned()).await.unwrap();
    let ids = rl_engine::Ids::from_seed(clock(), 1);
    let start = start(&store, "shop", 0, vec![guest("web-1", 1)]);
    assert_eq!(name("shop"), start.stack);
    store.start_operation(operation(&ids, "shop", 1), Some(start), None).await.unwrap();
    store.record_delivery(delivery(1, "/run/secrets/a", 2)).await.unwrap();
    drop(store);
    assert_eq!(check(home.place()).await.unwrap().findings, []);
    let to = Home::directory();
    copy(home.place(), to.place(), clock(), |_, _| {}).await.unwrap();
    let there = open(&to).await;
    assert_eq!(there.sealed_secret(&secret("shop/db"), 1).await.unwrap(), Some(sealed("shop/db 1")));
    assert_eq!(there.deliveries(&id(1)).await.unwrap().len(), 1);
    assert_eq!(there.recipient(RecipientRole::Installation).await.unwrap().as_deref(), Some("age1a"));
    there.record_delivery(delivery(7, "/run/secrets/a", 2)).await.unwrap();
    drop(there);
    let report = check(to.place()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.table == "secret_delivery"), "{:?}", report.findings);
}
