//! What every provider must do, whoever keeps the zone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rl_model::dns::{DnsName, DnsServer, Expect, Owner, RecordPut, RecordSet, RecordValue, ZoneChange, ZoneRecords};
use rl_model::{RecordChange, RecordType, Records};
use rl_providers::dns::{Answer, DnsError, DnsProvider, ask, owned};

/// Longest wait for a server to answer what was written.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// Records of the large list: enough for a transfer in several messages.
const MANY: usize = 1200;
/// Records written at once: an update must fit into one message.
const AT_ONCE: usize = 200;

pub(crate) fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

pub(crate) fn owner(stack: &str) -> Owner {
    Owner { controller: "0123456789abcdefghjk".parse().unwrap(), stack: stack.parse().unwrap() }
}

pub(crate) fn set(ttl: u32, kind: RecordType, values: &[&str]) -> RecordSet {
    RecordSet::new(ttl, values.iter().map(|text| RecordValue::parse(kind, text).unwrap()))
}

pub(crate) fn change(
    at: &str,
    kind: RecordType,
    before: Option<&RecordSet>,
    after: Option<&RecordSet>,
) -> RecordChange {
    RecordChange { name: name(at), kind, before: before.cloned(), after: after.cloned() }
}

pub(crate) fn part(changes: Vec<RecordChange>) -> Records {
    Records { zone: super::lab::zone(), owner: owner("shop"), changes }
}

/// Writes a part as a job does: read, judge, change, read again.
pub(crate) async fn write(provider: &dyn DnsProvider, part: &Records) -> Result<(), String> {
    let found = provider.read(&owned::names(part)).await.map_err(|error| error.full())?;
    let open = owned::open_change(part, &found).map_err(|taken| taken.to_string())?;
    if let Some(open) = open {
        provider.apply(&open).await.map_err(|error| error.full())?;
    }
    let found = provider.read(&owned::names(part)).await.map_err(|error| error.full())?;
    match owned::open_change(part, &found) {
        Ok(None) => Ok(()),
        other => Err(format!("after the change: {other:?}")),
    }
}

/// Asks until the server answers these values.
pub(crate) async fn answered(server: Option<&DnsServer>, at: &str, kind: RecordType, set: Option<&RecordSet>) {
    let Some(server) = server else { return };
    let want = Answer::Values(set.map(|set| set.values.clone()).unwrap_or_default());
    let begun = Instant::now();
    loop {
        let got = ask(server, &name(at), kind).await;
        if got.as_ref().is_ok_and(|got| *got == want) {
            return;
        }
        assert!(begun.elapsed() < ANSWER_LIMIT, "{server} answers {got:?} for {at} {kind}, not {want:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn everything() -> Vec<(&'static str, RecordType, RecordSet)> {
    use RecordType::{A, Aaaa, Cname, Ptr, Srv, Txt};
    vec![
        ("www.example.org", A, set(300, A, &["192.0.2.1", "192.0.2.2"])),
        ("www.example.org", Aaaa, set(300, Aaaa, &["2001:db8::1"])),
        ("shop.example.org", Cname, set(120, Cname, &["www.example.org."])),
        ("_https._tcp.example.org", Srv, set(300, Srv, &["10 5 443 www.example.org.", "20 0 8443 mail.example.org."])),
        ("text.example.org", Txt, set(300, Txt, &[r#""v=spf1 -all; \"quoted\" \\ and \195\188""#])),
        ("*.any.example.org", A, set(300, A, &["192.0.2.9"])),
        ("7.sub.example.org", Ptr, set(300, Ptr, &["www.example.org."])),
    ]
}

/// The suite.
pub(crate) async fn conforms(provider: &dyn DnsProvider, server: Option<&DnsServer>) {
    let before = provider.list().await.unwrap();
    let wanted = everything();
    let create = part(wanted.iter().map(|(at, kind, set)| change(at, *kind, None, Some(set))).collect());
    write(provider, &create).await.unwrap();
    for (at, kind, set) in &wanted {
        answered(server, at, *kind, Some(set)).await;
    }
    let list = provider.list().await.unwrap();
    assert_eq!(list.others, before.others);
    assert_eq!(list.records.len(), before.records.len() + 2 * wanted.len(), "each with its owner");
    let expected: ZoneRecords = wanted.iter().map(|(at, kind, set)| ((name(at), *kind), set.clone())).collect();
    for (key, set) in &expected {
        assert_eq!(list.records.get(key), Some(set), "{key:?}");
    }
    write(provider, &create).await.unwrap();
    stale_expectations_change_nothing(provider, &list.records).await;
    others_are_left_alone(provider).await;

    let (old, new) = (&wanted[0].2, set(60, RecordType::A, &["192.0.2.2", "192.0.2.3", "192.0.2.4"]));
    write(provider, &part(vec![change("www.example.org", RecordType::A, Some(old), Some(&new))])).await.unwrap();
    answered(server, "www.example.org", RecordType::A, Some(&new)).await;
    let mut gone: Vec<RecordChange> =
        wanted.iter().skip(1).map(|(at, kind, set)| change(at, *kind, Some(set), None)).collect();
    gone.push(change("www.example.org", RecordType::A, Some(&new), None));
    write(provider, &part(gone)).await.unwrap();
    for (at, kind, _) in &wanted {
        answered(server, at, *kind, None).await;
    }
    assert_eq!(provider.list().await.unwrap(), before, "nothing is left behind");
}

/// Whatever a change expects must still be so.
async fn stale_expectations_change_nothing(provider: &dyn DnsProvider, now: &ZoneRecords) {
    let www = name("www.example.org");
    let put = RecordPut {
        name: name("late.example.org"),
        kind: RecordType::A,
        set: Some(set(60, RecordType::A, &["192.0.2.66"])),
    };
    let some = |values: &[&str]| set(1, RecordType::A, values).values;
    for values in [BTreeSet::new(), some(&["192.0.2.1"]), some(&["192.0.2.1", "192.0.2.2", "192.0.2.3"])] {
        let expect = Expect { name: www.clone(), kind: RecordType::A, values };
        let result = provider.apply(&ZoneChange { expect: vec![expect], puts: vec![put.clone()] }).await;
        match result {
            Err(DnsError::Conflict(conflict)) => assert!(conflict.what.contains("www.example.org A"), "{conflict}"),
            other => panic!("a change that expects what is not so gives {other:?}"),
        }
    }
    assert_eq!(provider.list().await.unwrap().records, *now);
}

/// Names that somebody else holds, or that have no owner.
async fn others_are_left_alone(provider: &dyn DnsProvider) {
    let mine = set(60, RecordType::A, &["192.0.2.200"]);
    let now = provider.list().await.unwrap().records;
    let mail = write(provider, &part(vec![change("mail.example.org", RecordType::A, None, Some(&mine))])).await;
    assert!(mail.unwrap_err().contains("not made by RapidLaunch"));
    let mut thief = part(vec![change("www.example.org", RecordType::A, None, Some(&mine))]);
    thief.owner = owner("blog");
    assert!(write(provider, &thief).await.unwrap_err().contains("of the stack shop"));
    assert_eq!(provider.list().await.unwrap().records, now);
}

/// A zone that is too large for one message of a transfer.
pub(crate) async fn lists_a_large_zone(provider: &dyn DnsProvider) {
    let before = provider.list().await.unwrap().records.len();
    let value = set(300, RecordType::Txt, &[&format!("\"{}\"", "x".repeat(120))]);
    let names: Vec<String> = (0..MANY).map(|n| format!("host-{n}.example.org")).collect();
    for some in names.chunks(AT_ONCE) {
        let puts = some.iter().map(|at| RecordPut { name: name(at), kind: RecordType::Txt, set: Some(value.clone()) });
        provider.apply(&ZoneChange { expect: Vec::new(), puts: puts.collect() }).await.unwrap();
    }
    let list = provider.list().await.unwrap();
    assert_eq!(list.records.len(), before + MANY);
    assert!(names.iter().all(|at| list.records.get(&(name(at), RecordType::Txt)) == Some(&value)));
}
