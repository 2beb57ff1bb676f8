//! What all stacks of an owner may have together.
use rl_model::ResolvedGuest;
use rl_store::{Conflict, Counted, Deed, Limits, Owner, StackState, Use};

use super::{Bench, conflict, did};
use crate::home::Home;
use crate::samples::{guest, name};

crate::home::cases! {
    an_owner_has_no_more_than_the_quota,
    every_limit_counts,
    of_two_starts_at_once_one_is_refused,
    what_shrinks_is_never_refused,
    quotas_are_changed_by_who_saw_them,
}

fn deed() -> Deed {
    Deed::from(did("quota.set", "/quotas/team"))
}

fn team() -> Owner {
    "team".parse().unwrap()
}

fn guests(from: u32, count: u32) -> Vec<ResolvedGuest> {
    (from..from + count).map(|number| guest(&format!("web-{number}"), number)).collect()
}

impl Bench {
    async fn own(&self, stack: &str) {
        self.store.put_stack_policy(&name(stack), false, Some(team()), None, deed()).await.unwrap();
    }

    async fn limit(&self, limits: Limits) {
        self.store.put_quota(&team(), limits, None, deed()).await.unwrap();
    }
}

fn at_most(guests: u64) -> Limits {
    Limits { guests: Some(guests), ..Limits::default() }
}

async fn an_owner_has_no_more_than_the_quota(home: Home) {
    let bench = Bench::new(home).await;
    bench.own("shop").await;
    bench.own("mail").await;
    bench.make("shop", 0, guests(0, 2)).await.unwrap();
    bench.limit(at_most(3)).await;
    let refused = conflict(bench.make("mail", 0, guests(10, 2)).await);
    assert_eq!(refused, Conflict::Quota { owner: team(), what: Counted::Guests, limit: 3, used: 2, wanted: 4 });
    insta::assert_snapshot!(refused, @"team may have 3 guests, has 2, and would have 4; take something away, or have the quota raised");
    assert_eq!(bench.store.stack(&name("mail")).await.unwrap(), None, "nothing of it was stored");
    bench.make("mail", 0, guests(10, 1)).await.unwrap();
    bench.make("other", 0, guests(20, 9)).await.unwrap();
    assert_eq!(bench.store.quota_use(&team()).await.unwrap().guests, 3, "nobody's stacks are not counted");
    bench.end_all().await;
    // The newest revision counts, and what is destroyed does not.
    assert!(matches!(conflict(bench.make("shop", 1, guests(0, 3)).await), Conflict::Quota { wanted: 4, .. }));
    bench.make("shop", 1, guests(0, 1)).await.unwrap();
    bench.end_all().await;
    bench.make("mail", 1, guests(10, 2)).await.unwrap();
    let resolved = bench.store.revision(&name("mail"), 2).await.unwrap().unwrap().resolved;
    bench.store.record_applied(&name("mail"), 2, resolved, StackState::Destroyed).await.unwrap();
    bench.end_all().await;
    bench.make("shop", 2, guests(0, 3)).await.unwrap();
}

async fn of_two_starts_at_once_one_is_refused(home: Home) {
    let bench = Bench::new(home).await;
    bench.own("shop").await;
    bench.own("mail").await;
    bench.limit(at_most(3)).await;
    let both = tokio::join!(bench.make("shop", 0, guests(0, 2)), bench.make("mail", 0, guests(10, 2)));
    let refused = match both {
        (Ok(_), refused) | (refused, Ok(_)) => conflict(refused),
        both => panic!("neither was started: {both:?}"),
    };
    assert_eq!(refused, Conflict::Quota { owner: team(), what: Counted::Guests, limit: 3, used: 2, wanted: 4 });
    assert_eq!(bench.store.quota_use(&team()).await.unwrap().guests, 2);
}

async fn every_limit_counts(home: Home) {
    let bench = Bench::new(home).await;
    bench.own("shop").await;
    let used = Use { guests: 2, cores: 2, memory_mib: 1024, disk_mib: 8192, addresses: 2 };
    let none = Limits::default();
    let tight = [
        (Limits { guests: Some(1), ..none }, Counted::Guests, 2),
        (Limits { cores: Some(1), ..none }, Counted::Cores, 2),
        (Limits { memory_mib: Some(1023), ..none }, Counted::MemoryMib, 1024),
        (Limits { disk_gib: Some(7), ..none }, Counted::DiskGib, 8),
        (Limits { addresses: Some(0), ..none }, Counted::Addresses, 2),
    ];
    for (limits, counted, wants) in tight {
        bench.limit(limits).await;
        match conflict(bench.make("shop", 0, guests(0, 2)).await) {
            Conflict::Quota { what, wanted, .. } => assert_eq!((what, wanted), (counted, wants)),
            other => panic!("another conflict: {other:?}"),
        }
    }
    let fits =
        Limits { guests: Some(2), cores: Some(2), memory_mib: Some(1024), disk_gib: Some(8), addresses: Some(2) };
    bench.limit(fits).await;
    bench.make("shop", 0, guests(0, 2)).await.unwrap();
    assert_eq!(bench.store.quota_use(&team()).await.unwrap(), used);
}

async fn what_shrinks_is_never_refused(home: Home) {
    let bench = Bench::new(home).await;
    bench.own("shop").await;
    bench.make("shop", 0, guests(0, 5)).await.unwrap();
    bench.end_all().await;
    bench.limit(at_most(2)).await;
    bench.make("shop", 1, guests(0, 5)).await.unwrap();
    bench.end_all().await;
    bench.make("shop", 2, guests(0, 3)).await.unwrap();
    bench.end_all().await;
    assert!(matches!(conflict(bench.make("shop", 3, guests(0, 4)).await), Conflict::Quota { wanted: 4, .. }));
    bench.make("shop", 3, Vec::new()).await.unwrap();
}

async fn quotas_are_changed_by_who_saw_them(home: Home) {
    let bench = Bench::new(home).await;
    let store = &bench.store;
    assert_eq!(store.quota(&team()).await.unwrap(), None);
    let one = store.put_quota(&team(), at_most(1), Some(0), deed()).await.unwrap();
    assert_eq!((one.version, store.quotas().await.unwrap()), (1, vec![one.clone()]));
    let late = store.put_quota(&team(), at_most(2), Some(0), deed()).await;
    assert_eq!(conflict(late), Conflict::Version { what: "the quota", seen: 0, found: 1 });
    assert_eq!(store.put_quota(&team(), at_most(2), Some(1), deed()).await.unwrap().version, 2);
    assert!(matches!(conflict(store.remove_quota(&team(), Some(1), deed()).await), Conflict::Version { .. }));
    assert!(store.remove_quota(&team(), Some(2), deed()).await.unwrap());
    assert!(!store.remove_quota(&team(), None, deed()).await.unwrap());
    for wrong in ["", "a b", "a/b", "a\u{7}", &"x".repeat(129)] {
        assert!(wrong.parse::<Owner>().is_err(), "{wrong:?}");
    }
    let policy = store.put_stack_policy(&name("shop"), true, Some(team()), Some(0), deed()).await.unwrap();
    assert_eq!((policy.version, store.stack_policy(&name("shop")).await.unwrap()), (1, policy.clone()));
    assert_eq!(store.stack_policies().await.unwrap(), [(name("shop"), policy)]);
    assert_eq!(store.stack_policy(&name("mail")).await.unwrap().version, 0);
}
