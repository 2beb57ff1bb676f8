//! Where a check of a record stands, and when it holds.
#![allow(clippy::unwrap_used)]

use super::*;
use rl_providers::dns::Answer;

fn item(guest: &str) -> ProofItem {
    ProofItem {
        guest: guest.parse().unwrap(),
        site: "lab".parse().unwrap(),
        node: None,
        vmid: None,
        checks: Vec::new(),
    }
}

fn check(name: &str, ok: bool) -> ProofCheck {
    ProofCheck { name: name.to_owned(), ok, expected: String::new(), found: String::new() }
}

fn proof(guests: &[&str]) -> Proof {
    Proof::new("shop".parse().unwrap(), 0, guests.iter().map(|guest| item(guest)).collect())
}

fn guests(names: &[&str]) -> BTreeSet<GuestName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn shown(proof: &Proof) -> Vec<(String, Vec<String>)> {
    let checks = |item: &ProofItem| item.checks.iter().map(|check| check.name.clone()).collect();
    proof.items.iter().map(|item| (item.guest.to_string(), checks(item))).collect()
}

#[test]
fn no_check_is_lost() {
    let checks = || {
        vec![
            (guests(&["web-1", "web-2"]), check("both", true)),
            (guests(&[]), check("none", true)),
            (guests(&["gone"]), check("another", false)),
        ]
    };
    let all = attach(proof(&["web-1", "web-2"]), None, checks());
    let text = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(&all),
        [("web-1".to_owned(), text(&["another", "both", "none"])), ("web-2".to_owned(), text(&["both"]))]
    );
    assert!(!all.ok, "a check of a guest that is not there counts");
    let spare = attach(proof(&[]), Some(item("web-1")), checks());
    assert_eq!(shown(&spare), [("web-1".to_owned(), text(&["another", "both", "none"]))]);
    assert!(!spare.ok && attach(proof(&[]), Some(item("web-1")), Vec::new()).items.is_empty());
}

#[test]
fn gone_means_that_none_of_the_old_values_is_answered() {
    let values = |list: &[&str]| list.iter().map(|text| RecordValue::parse(RecordType::A, text).unwrap()).collect();
    let gone = Expected::Without(values(&["192.0.2.1", "192.0.2.2"]));
    for (answer, holds) in [
        (Answer::Values(values(&[])), true),
        (Answer::Values(values(&["192.0.2.9"])), true),
        (Answer::Values(values(&["192.0.2.9", "192.0.2.2"])), false),
        (Answer::NoAuthority("Refused".to_owned()), false),
    ] {
        assert_eq!(gone.holds(&answer), holds, "{answer}");
    }
    assert!(!Expected::Values(values(&[])).holds(&Answer::Values(values(&["192.0.2.9"]))));
}
