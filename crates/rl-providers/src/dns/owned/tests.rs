#![allow(clippy::unwrap_used)]

use rl_model::dns::{Owner, RecordValue};

use super::*;

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

fn owner(stack: &str) -> Owner {
    Owner { controller: "0123456789abcdefghjk".parse().unwrap(), stack: stack.parse().unwrap() }
}

fn set(last: u8) -> RecordSet {
    RecordSet::new(60, [RecordValue::of_address([192, 0, 2, last].into())])
}

fn part(before: Option<u8>, after: Option<u8>) -> Records {
    let change = RecordChange {
        name: name("www.example.org"),
        kind: RecordType::A,
        before: before.map(set),
        after: after.map(set),
    };
    Records { zone: "example.org".parse().unwrap(), owner: owner("shop"), changes: vec![change] }
}

fn put(zone: &mut ZoneRecords, at: &str, kind: RecordType, value: RecordValue) {
    zone.insert((name(at), kind), RecordSet::new(OWNER_TTL_S, [value]));
}

fn zone(address: Option<u8>, held_by: Option<&str>) -> ZoneRecords {
    let mut zone = ZoneRecords::new();
    if let Some(last) = address {
        zone.insert((name("www.example.org"), RecordType::A), set(last));
    }
    if let Some(stack) = held_by {
        put(&mut zone, "_rl-a.www.example.org", RecordType::Txt, owner(stack).value());
    }
    zone
}

/// The zone afterwards, or the refusal.
fn run(part: &Records, zone: &ZoneRecords) -> Result<ZoneRecords, String> {
    let mut after = zone.clone();
    match open_change(part, zone) {
        Ok(Some(change)) => {
            change.check(&after).unwrap();
            change.apply_to(&mut after);
            assert_eq!(open_change(part, &after), Ok(None), "a change that was made is made again");
            Ok(after)
        }
        Ok(None) => Ok(after),
        Err(taken) => Err(format!("{taken} | {}", taken.hint())),
    }
}

#[test]
fn a_record_comes_changes_and_goes_with_its_owner() {
    let (mine, other_value) = (zone(Some(1), Some("shop")), RecordValue::of_address([192, 0, 2, 2].into()));
    assert_eq!(run(&part(None, Some(1)), &ZoneRecords::new()).unwrap().len(), 2);
    let changed = run(&part(Some(1), Some(2)), &mine).unwrap();
    assert!(changed[&(name("www.example.org"), RecordType::A)].values.contains(&other_value));
    assert_eq!(run(&part(Some(1), None), &mine).unwrap(), ZoneRecords::new());
    assert_eq!(run(&part(Some(1), None), &ZoneRecords::new()).unwrap(), ZoneRecords::new());
    assert_eq!(open_change(&part(None, Some(1)), &mine), Ok(None));
    // An owner without its record is what a torn write of a provider without transactions leaves.
    assert_eq!(run(&part(None, Some(1)), &zone(None, Some("shop"))).unwrap(), mine);
}

#[test]
fn what_others_hold_is_never_written() {
    insta::assert_snapshot!(run(&part(None, Some(1)), &zone(Some(9), None)).unwrap_err(), @"www.example.org A is there already and not made by RapidLaunch; nothing was changed | choose another name, or remove www.example.org A by hand; a record without the TXT record _rl-a.www.example.org is never changed");
    insta::assert_snapshot!(run(&part(Some(1), Some(2)), &zone(Some(1), Some("blog"))).unwrap_err(), @"www.example.org A is of the stack blog of installation 0123456789abcdefghjk; nothing was changed | choose another name, or take the record out of the stack blog of installation 0123456789abcdefghjk first");
    insta::assert_snapshot!(run(&part(Some(1), Some(2)), &zone(Some(3), Some("shop"))).unwrap_err(), @"www.example.org A is 192.0.2.3 now, and was 192.0.2.1 when the plan was made; nothing was changed | find out who changed it, then plan again");
    assert!(run(&part(Some(1), None), &zone(Some(1), Some("blog"))).is_err());
    assert!(run(&part(Some(1), None), &zone(Some(1), None)).is_err());
    let mut odd = zone(Some(1), None);
    put(&mut odd, "_rl-a.www.example.org", RecordType::Txt, RecordValue::Txt("hello".into()));
    assert!(run(&part(Some(1), Some(2)), &odd).unwrap_err().contains("cannot be read"));
}

#[test]
fn an_alias_stands_alone() {
    let mut aliased = ZoneRecords::new();
    put(&mut aliased, "www.example.org", RecordType::Cname, RecordValue::Cname(name("other.example.org")));
    assert!(matches!(
        open_change(&part(None, Some(1)), &aliased),
        Err(Taken::Beside { other: RecordType::Cname, holder: Holder::Unmarked, .. })
    ));
    let mut foreign = ZoneRecords::new();
    put(&mut foreign, "www.example.org", RecordType::Aaaa, RecordValue::Aaaa("2001:db8::1".parse().unwrap()));
    assert!(matches!(open_change(&part(None, Some(1)), &foreign), Err(Taken::Beside { .. })));
    // Ours may become an alias when its address goes in the same change.
    let mut both = part(Some(1), None);
    let alias = RecordSet::new(60, [RecordValue::Cname(name("other.example.org"))]);
    both.changes.push(RecordChange {
        name: name("www.example.org"),
        kind: RecordType::Cname,
        before: None,
        after: Some(alias),
    });
    let after = run(&both, &zone(Some(1), Some("shop"))).unwrap();
    assert!(after.contains_key(&(name("www.example.org"), RecordType::Cname)));
    assert!(!after.contains_key(&(name("www.example.org"), RecordType::A)));
}

#[test]
fn a_name_without_room_for_its_owner_is_refused() {
    let long = format!("{}.example.org", vec!["a".repeat(59); 4].join("."));
    let mut wanted = part(None, Some(1));
    wanted.changes[0].name = name(&long);
    assert!(matches!(open_change(&wanted, &ZoneRecords::new()), Err(Taken::TooLong(_))));
}
