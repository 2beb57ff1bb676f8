//! Zones of the built-in DNS server, on either database: changes that state what they expect, serials that only grow, copies and
//! checks that carry all of it.
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Clock, SimClock, UnixMs};
use rl_model::dns::{Expect, RecordPut, RecordSet, RecordValue, ZoneChange};
use rl_model::{Fqdn, RecordType};
use rl_store::{Store, check, copy};

use crate::home::Home;

const START_S: u32 = 1_700_000_000;

fn clock() -> SimClock {
    SimClock::manual(UnixMs(u64::from(START_S) * 1000))
}

async fn open(home: &Home, clock: &SimClock) -> Store {
    home.open(Arc::new(clock.clone()) as Arc<dyn Clock>).await.unwrap()
}

fn zone(name: &str) -> Fqdn {
    name.parse().unwrap()
}

fn set(kind: RecordType, ttl_s: u32, values: &[&str]) -> Option<RecordSet> {
    let values: Vec<RecordValue> = values.iter().map(|text| RecordValue::parse(kind, text).unwrap()).collect();
    (!values.is_empty()).then(|| RecordSet::new(ttl_s, values))
}

fn put(name: &str, kind: RecordType, values: &[&str]) -> RecordPut {
    RecordPut { name: name.parse().unwrap(), kind, set: set(kind, 300, values) }
}

fn expect(name: &str, kind: RecordType, values: &[&str]) -> Expect {
    let values = set(kind, 300, values).map(|set| set.values).unwrap_or_default();
    Expect { name: name.parse().unwrap(), kind, values }
}

/// One record set of each type.
fn everything() -> Vec<RecordPut> {
    use RecordType::{A, Aaaa, Cname, Ptr, Srv, Txt};
    vec![
        put("www.example.org", A, &["192.0.2.1", "192.0.2.2"]),
        put("www.example.org", Aaaa, &["2001:db8::1"]),
        put("shop.example.org", Cname, &["www.example.org."]),
        put("_https._tcp.example.org", Srv, &["10 5 443 www.example.org.", "20 0 8443 mail.example.org."]),
        put("text.example.org", Txt, &[r#""v=spf1 -all; \"quoted\" \\ and \195\188""#, "\"second\""]),
        put("7.sub.example.org", Ptr, &["www.example.org."]),
    ]
}

crate::home::cases! {
    records_of_every_type_are_kept,
    changes_are_made_whole_or_not_at_all,
    serials_only_grow,
    changes_at_once_are_one_after_the_other,
    copy_and_check_know_of_zones,
}

async fn records_of_every_type_are_kept(home: Home) {
    let (clock, org) = (clock(), zone("example.org"));
    let store = open(&home, &clock).await;
    assert_eq!(store.dns_zone(&org).await.unwrap(), (1, Default::default()), "nothing was written yet");
    let all = ZoneChange { expect: Vec::new(), puts: everything() };
    let serial = store.change_dns_zone(&org, all.clone()).await.unwrap().unwrap();
    let mut records = Default::default();
    all.apply_to(&mut records);
    assert_eq!(store.dns_zone(&org).await.unwrap(), (serial, records.clone()));
    assert_eq!(store.dns_zone(&zone("example.net")).await.unwrap().1.len(), 0, "another zone has its own");
    drop(store);
    let store = open(&home, &clock).await;
    assert_eq!(store.dns_zone(&org).await.unwrap(), (serial, records));
    let gone = everything().into_iter().map(|put| RecordPut { set: None, ..put }).collect();
    store.change_dns_zone(&org, ZoneChange { expect: Vec::new(), puts: gone }).await.unwrap().unwrap();
    assert_eq!(store.dns_zone(&org).await.unwrap().1.len(), 0);
}

async fn changes_are_made_whole_or_not_at_all(home: Home) {
    use RecordType::{A, Txt};
    let (store, org) = (open(&home, &clock()).await, zone("example.org"));
    let one = |expect, put| ZoneChange {
        expect: vec![expect],
        puts: vec![put, self::put("b.example.org", A, &["192.0.2.9"])],
    };
    let first = one(expect("a.example.org", A, &[]), put("a.example.org", A, &["192.0.2.1"]));
    let serial = store.change_dns_zone(&org, first.clone()).await.unwrap().unwrap();
    let before = store.dns_zone(&org).await.unwrap();
    for stale in [
        first,
        one(expect("a.example.org", A, &["192.0.2.2"]), put("a.example.org", A, &["192.0.2.3"])),
        one(expect("a.example.org", A, &["192.0.2.1", "192.0.2.2"]), put("a.example.org", A, &[])),
        one(expect("a.example.org", Txt, &["\"x\""]), put("c.example.org", A, &["192.0.2.3"])),
    ] {
        let refused = store.change_dns_zone(&org, stale).await.unwrap().unwrap_err();
        assert!(refused.what.contains("a.example.org"), "{refused}");
    }
    assert_eq!(store.dns_zone(&org).await.unwrap(), before);
    assert_eq!(store.dns_serial(&org).await.unwrap(), serial, "what changes nothing tells secondaries nothing");
    // Times to live are no part of what is expected.
    let mut late = one(expect("a.example.org", A, &["192.0.2.1"]), put("a.example.org", A, &["192.0.2.3"]));
    late.puts[0].set = set(A, 60, &["192.0.2.3"]);
    store.change_dns_zone(&org, late).await.unwrap().unwrap();
    let records = store.dns_zone(&org).await.unwrap().1;
    assert_eq!(records[&("a.example.org".parse().unwrap(), A)], set(A, 60, &["192.0.2.3"]).unwrap());
}

/// A secondary copies only what has a greater serial: it must grow with every change, and after the store was brought back from
/// an older copy.
async fn serials_only_grow(home: Home) {
    let (clock, org) = (clock(), zone("example.org"));
    let store = open(&home, &clock).await;
    let mut last = 1;
    for n in 0..5 {
        let change = ZoneChange {
            expect: Vec::new(),
            puts: vec![put("a.example.org", RecordType::A, &[&format!("192.0.2.{n}")])],
        };
        let serial = store.change_dns_zone(&org, change).await.unwrap().unwrap();
        assert!(serial > last && serial >= START_S, "{serial} after {last}");
        assert_eq!(store.dns_serial(&org).await.unwrap(), serial);
        last = serial;
    }
    clock.advance(Duration::from_secs(3600));
    let change = ZoneChange { expect: Vec::new(), puts: vec![put("a.example.org", RecordType::A, &[])] };
    let serial = store.change_dns_zone(&org, change).await.unwrap().unwrap();
    assert!(serial >= START_S + 3600, "{serial}");
}

/// Of many that expect a name to be free, one gets it.
async fn changes_at_once_are_one_after_the_other(home: Home) {
    let (store, org) = (open(&home, &clock()).await, zone("example.org"));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..16 {
        let (store, org) = (store.clone(), org.clone());
        tasks.spawn(async move {
            let change = ZoneChange {
                expect: vec![expect("a.example.org", RecordType::A, &[])],
                puts: vec![put("a.example.org", RecordType::A, &[&format!("192.0.2.{n}")])],
            };
            store.change_dns_zone(&org, change).await.unwrap().is_ok()
        });
    }
    let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!((won, store.dns_zone(&org).await.unwrap().1.len()), (1, 1));
}

async fn copy_and_check_know_of_zones(home: Home) {
    let (clock, org) = (clock(), zone("example.org"));
    let store = open(&home, &clock).await;
    let all = ZoneChange { expect: Vec::new(), puts: everything() };
    store.change_dns_zone(&org, all).await.unwrap().unwrap();
    let before = store.dns_zone(&org).await.unwrap();
    drop(store);
    assert_eq!(check(home.place()).await.unwrap().findings, []);
    let to = Home::directory();
    let report = copy(home.place(), to.place(), Arc::new(clock.clone()), |_, _| {}).await.unwrap();
    for (table, rows) in [("dns_set", everything().len() as u64), ("dns_zone", 1)] {
        assert!(report.tables.iter().any(|copied| copied.table == table && copied.rows == rows), "{report:?}");
    }
    assert_eq!(open(&to, &clock).await.dns_zone(&org).await.unwrap(), before);
    for (broken, table, said) in [
        ("update dns_set set items = 'nonsense' where kind = 'A'", "dns_set", "column 3 cannot be read"),
        ("update dns_set set kind = 'MX' where kind = 'SRV'", "dns_set", "it is no type of a record"),
        ("delete from dns_zone", "dns_zone", "no serial"),
    ] {
        home.change_any(broken);
        let report = check(home.place()).await.unwrap();
        let found = report.findings.iter().any(|finding| finding.table == table && finding.text.contains(said));
        assert!(found, "{broken}: {:?}", report.findings);
    }
}
