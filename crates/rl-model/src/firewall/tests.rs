//! Doors of the firewall's names, addresses, ports and rules.

#![allow(clippy::unwrap_used)]

use super::*;

fn spec(text: &str) -> AddressSpec {
    text.parse().unwrap()
}

#[test]
fn names_have_proxmox_limits() {
    assert!("a".repeat(18).parse::<GroupName>().is_ok());
    assert!("a".repeat(19).parse::<GroupName>().is_err());
    assert!("a".repeat(64).parse::<IpSetName>().is_ok());
    assert!("a".repeat(65).parse::<AliasName>().is_err());
    for bad in ["a", "1a", "a b", "a/b", "", "ä1"] {
        assert!(bad.parse::<IpSetName>().is_err(), "{bad}");
    }
}

#[test]
fn addresses_are_told_from_names() {
    assert!(matches!(spec("+dc/web"), AddressSpec::Set(name) if name.scope == Scope::Datacenter));
    assert!(matches!(spec("guest/web"), AddressSpec::Alias(name) if name.scope == Scope::Guest));
    assert!(matches!(spec("fd00::/8"), AddressSpec::Ranges(_)));
    assert!(matches!(spec("fe80::1-fe80::9"), AddressSpec::Ranges(_)));
    assert!(matches!(spec("ad-min"), AddressSpec::Alias(_)));
    for bad in ["10.0.0.1,fd00::1", "10.0.0.9-10.0.0.1", "10.0.0.0/33", "+", "10.0.0.1,", "dc/", "256.0.0.1"] {
        assert!(bad.parse::<AddressSpec>().is_err(), "{bad}");
    }
}

#[test]
fn a_network_is_its_addresses() {
    let AddressSpec::Ranges(ranges) = spec("10.0.0.77/24,10.9.0.1") else { panic!() };
    assert!(ranges[0].contains("10.0.0.0".parse().unwrap()) && ranges[0].contains("10.0.0.255".parse().unwrap()));
    assert!(!ranges[0].contains("10.0.1.0".parse().unwrap()) && !ranges[0].contains("::1".parse().unwrap()));
    assert_eq!(spec("10.0.0.77/24,10.9.0.1").to_string(), "10.0.0.0/24,10.9.0.1");
    assert_eq!(spec("10.0.0.1-10.0.0.2").to_string(), "10.0.0.1-10.0.0.2");
    assert_eq!(spec("fd00::-fd00::ff").to_string(), "fd00::/120");
    assert_eq!(spec("0.0.0.0/0").to_string(), "0.0.0.0/0");
}

#[test]
fn ports_follow_proxmox() {
    assert_eq!("22,80:85,https".parse::<PortSpec>().unwrap().to_string(), "22,80:85,https");
    for bad in ["", "22,", "90:80", "65536", "1:70000", "a b", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16"] {
        assert!(bad.parse::<PortSpec>().is_err(), "{bad}");
    }
}

#[test]
fn nothing_a_site_says_is_lost() {
    let text =
        RuleText { kind: "in".into(), action: "ACCEPT".into(), dport: Some("90:80".into()), ..RuleText::default() };
    assert!(matches!(FirewallRule::read(&text).fault, Some(Fault::Unreadable(_))));
    let errors = [("source".to_owned(), "no such alias 'x'\n".to_owned())].into();
    let rule = FirewallRule::read(&RuleText { errors, ..text });
    assert_eq!(rule.fault, Some(Fault::LeftOut("source: no such alias 'x'".into())));
    let entry = SetEntry::read("1.2.3.4.5", false, false);
    assert!(entry.member.is_err());
}

#[test]
fn a_rule_reads_as_in_its_file() {
    let text = RuleText {
        pos: 3,
        kind: "in".into(),
        action: "ACCEPT".into(),
        enable: true,
        iface: Some("net0".into()),
        source: Some("+guest/web".into()),
        proto: Some("tcp".into()),
        dport: Some("443".into()),
        comment: Some("a\u{1b}[31m".into()),
        ..RuleText::default()
    };
    let rule = FirewallRule::read(&text);
    assert_eq!(rule.to_string(), "IN ACCEPT -i net0 -source +guest/web -p tcp -dport 443");
    assert_eq!(rule.comment.as_deref(), Some("a[31m"));
}
