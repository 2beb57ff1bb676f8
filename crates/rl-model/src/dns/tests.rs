#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{Fqdn, RecordType};

fn name(text: &str) -> DnsName {
    text.parse().unwrap()
}

#[test]
fn names_know_their_zone() {
    let zone: Fqdn = "example.org".parse().unwrap();
    assert!(name("www.example.org").is_in(&zone) && name("example.org").is_in(&zone));
    assert!(!name("badexample.org").is_in(&zone) && !name("org").is_in(&zone));
    assert_eq!(name("a.b.example.org").within(&zone), "a.b");
    assert_eq!((name("example.org").within(&zone), name("other.net").within(&zone)), ("@", "other.net"));
    assert_eq!(DnsName::below(&zone, "@").unwrap(), name("example.org"));
    assert_eq!(DnsName::below(&zone, "_https._tcp.Shop").unwrap(), name("_https._tcp.shop.example.org"));
    assert_eq!(DnsName::below(&zone, &"a.".repeat(130)), None);
}

#[test]
fn addresses_have_reverse_names() {
    assert_eq!(DnsName::reverse([10, 20, 0, 50].into()), name("50.0.20.10.in-addr.arpa"));
    let v6 = DnsName::reverse("2001:db8::1".parse().unwrap());
    assert_eq!(v6, name("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"));
}

#[test]
fn bad_names_are_refused() {
    for bad in ["", ".", "a..b", "a.*.b", "Www.org", "a b", "a.", "*", &"a".repeat(64), &"a.b".repeat(100)] {
        assert!(bad.parse::<DnsName>().is_err(), "{bad}");
    }
    assert!("*.example.org".parse::<DnsName>().is_ok());
}

#[test]
fn an_owner_stands_beside_each_type_of_a_name() {
    for text in ["www.example.org", "*.example.org", "_sip._udp.example.org"] {
        for kind in RecordType::ALL {
            let beside = owner_name(&name(text), kind).unwrap();
            assert_eq!(owner_kind(&beside).unwrap(), (name(text), kind));
        }
    }
    assert_eq!(owner_name(&name("*.example.org"), RecordType::Aaaa).unwrap(), name("_rl-aaaa._any.example.org"));
    assert_eq!(owner_kind(&name("_rl-mx.example.org")), None);
    let owner = Owner { controller: "0123456789abcdefghjk".parse().unwrap(), stack: "shop".parse().unwrap() };
    assert_eq!(owner.to_string(), "rapidlaunch owner=0123456789abcdefghjk stack=shop");
    assert_eq!(Owner::of_value(&owner.value()), Some(owner));
    assert_eq!(Owner::of_value(&RecordValue::Txt("v=spf1 -all".into())), None);
}

#[test]
fn values_are_read_as_zone_files_write_them() {
    let read = |kind, text| RecordValue::parse(kind, text).unwrap().to_string();
    assert_eq!(read(RecordType::Srv, "10 5 443 Web.example.org."), "10 5 443 web.example.org.");
    assert_eq!(read(RecordType::Txt, r#""a b" "c\"\065""#), r#""a bc\"A""#);
    assert_eq!(read(RecordType::Aaaa, "2001:DB8:0::1"), "2001:db8::1");
    for (kind, bad) in [(RecordType::A, "1.2.3"), (RecordType::Srv, "1 2 3"), (RecordType::Txt, "\"open")] {
        assert!(RecordValue::parse(kind, bad).is_err(), "{bad}");
    }
    assert!(RecordValue::text(&"x".repeat(256)).is_err());
}

#[test]
fn servers_have_a_port() {
    let shown = |text: &str| text.parse::<DnsServer>().map(|server| server.to_string());
    assert_eq!(shown("192.0.2.1").unwrap(), "192.0.2.1:53");
    assert_eq!(shown("2001:db8::1").unwrap(), "[2001:db8::1]:53");
    assert_eq!(shown("[2001:db8::1]:5353").unwrap(), "[2001:db8::1]:5353");
    assert_eq!(shown("ns1.example.org:54").unwrap(), "ns1.example.org:54");
    for bad in ["", "host:", "host:0", "[::1", "[x]:53", "a b", "host:99999"] {
        assert!(shown(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_change_holds_only_where_the_zone_is_as_expected() {
    let key = (name("www.example.org"), RecordType::A);
    let value = RecordValue::of_address([192, 0, 2, 1].into());
    let set = RecordSet::new(60, [value.clone()]);
    let absent = Expect { name: key.0.clone(), kind: key.1, values: BTreeSet::new() };
    let put = RecordPut { name: key.0.clone(), kind: key.1, set: Some(set.clone()) };
    let change = ZoneChange { expect: vec![absent], puts: vec![put] };
    let mut zone = ZoneRecords::new();
    change.check(&zone).unwrap();
    change.apply_to(&mut zone);
    assert_eq!(zone[&key], set);
    let conflict = change.check(&zone).unwrap_err();
    assert_eq!(conflict.what, "www.example.org A is 192.0.2.1, not absent as expected");
    let there = Expect { name: key.0.clone(), kind: key.1, values: [value].into() };
    let gone = ZoneChange { expect: vec![there], puts: vec![RecordPut { name: key.0, kind: key.1, set: None }] };
    gone.check(&zone).unwrap();
    gone.apply_to(&mut zone);
    assert!(zone.is_empty());
}

proptest! {
    #[test]
    fn texts_survive_zone_file_notation(text in "\\PC{0,60}") {
        let value = RecordValue::text(&text).unwrap();
        prop_assert_eq!(RecordValue::parse(RecordType::Txt, &value.to_string()).unwrap(), value);
    }

    #[test]
    fn whatever_is_parsed_is_written_back(text in "(\\*\\.)?([a-z0-9_-]{1,10}\\.){0,5}[a-z0-9]{1,10}") {
        prop_assert_eq!(text.parse::<DnsName>().unwrap().to_string(), text);
    }
}
