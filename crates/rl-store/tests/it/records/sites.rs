//! Sites, declared by people and found again by applies.
use rl_model::Site;
use rl_store::{Conflict, Deed};
use serde_json::json;

use super::{Bench, conflict, did};
use crate::home::Home;

crate::home::cases! {
    a_site_is_declared_by_who_saw_it,
    an_apply_that_finds_a_site_as_it_was_leaves_it,
}

fn site(storage: &str) -> Site {
    let site = json!({
        "name": "fra1", "datacenter": null, "endpoints": ["https://pve1.example:8006"], "token": { "secret": "sites/fra1" },
        "tls": "system", "vmids": "2000-2999", "networks": {}, "images": {}, "storage": storage, "nodes": [], "pool": null,
        "limits": { "creates_per_node": 1, "starts_per_node": 1, "requests_per_node": 1 },
    });
    serde_json::from_value(site).unwrap()
}

fn deed() -> Deed {
    Deed::from(did("site.declare", "/sites/fra1"))
}

async fn a_site_is_declared_by_who_saw_it(home: Home) {
    let bench = Bench::new(home).await;
    let store = &bench.store;
    let refused = conflict(store.declare_site(site("one"), Some(7), deed()).await);
    assert_eq!(refused, Conflict::Version { what: "the site", seen: 7, found: 0 });
    let first = store.declare_site(site("one"), Some(0), deed()).await.unwrap();
    // In the same millisecond, and under a clock that was set back.
    let second = store.declare_site(site("two"), Some(first.updated_at.0), deed()).await.unwrap();
    assert!(second.updated_at > first.updated_at);
    conflict(store.declare_site(site("three"), Some(first.updated_at.0), deed()).await);
    let same = store.declare_site(site("two"), None, deed()).await.unwrap();
    assert_eq!(same, second, "the same is no change");
    assert_eq!(store.site(&second.site.name).await.unwrap(), Some(second));
    assert_eq!(store.audit_head().await.unwrap().0, 2, "what changes nothing is not in the audit");
}

async fn an_apply_that_finds_a_site_as_it_was_leaves_it(home: Home) {
    let bench = Bench::new(home).await;
    let store = &bench.store;
    let declared = store.declare_site(site("one"), None, deed()).await.unwrap();
    bench.later(60);
    store.put_site(site("one")).await.unwrap();
    assert_eq!(store.site(&declared.site.name).await.unwrap().unwrap().updated_at, declared.updated_at);
    store.put_site(site("two")).await.unwrap();
    assert!(store.site(&declared.site.name).await.unwrap().unwrap().updated_at > declared.updated_at);
}
