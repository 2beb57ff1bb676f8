#![allow(clippy::unwrap_used)]
use rl_model::{AccessPath, Right};

use super::{Part, Position, Told, Wanted, needs};

#[test]
fn a_place_is_two_numbers() {
    let place = Position { events: 7, changes: 0 };
    assert_eq!((place.to_string().as_str(), "7-0".parse()), ("7-0", Ok(place)));
    assert_eq!(place.with(Part::Changes, 3).max(Position { events: 2, changes: 9 }).to_string(), "7-9");
    for bad in ["", "-", "7", "7-", "-7", "+1-0", "1-0-0", " 1-0", "1-x", "99999999999999999999-0", "1-٣"] {
        assert!(bad.parse::<Position>().is_err(), "{bad}");
    }
}

#[test]
fn changes_are_for_whoever_may_read_what_they_are_about() {
    let needs = |action: &str, path: &str| {
        let (right, place) = needs::of_change(action, path, Some("shop"));
        format!("{right} {place}")
    };
    assert_eq!(needs("plan.create", "/stacks/shop"), "read /stacks/shop");
    assert_eq!(needs("stack.govern", "/stacks/shop/rules"), "read /stacks/shop");
    assert_eq!(needs("site.declare", "/sites/fra1"), "read /sites/fra1");
    assert_eq!(needs("operation.cancel", "/operations/01J9Z3M6Q8T4X2V7B5N1K0HCDE"), "read /stacks/shop");
    assert_eq!(needs("secret.set", "/secrets/web"), "read /");
    for (action, path) in [
        ("user.create", "/users/maria"),
        ("token.create", "/stacks/shop"),
        ("grant.give", "/sites/fra1"),
        ("webhook.create", "/webhooks/x"),
        ("something.new", "/somewhere/else"),
        ("plan.create", "/stacks"),
        ("plan.create", "/stacks/Not A Name"),
        ("plan.create", "nowhere"),
    ] {
        assert_eq!(needs(action, path), "admin /", "{action} {path}");
    }
    assert_eq!(super::needs::of_change("operation.cancel", "/operations/x", None).0, Right::Admin);
    assert_eq!(super::needs::of_operation(None), (Right::Read, AccessPath::Root));
}

#[test]
fn filters_compare_kind_stack_and_operation() {
    let told = Told {
        part: Part::Changes,
        seq: 1,
        kind: "change.plan.create".to_owned(),
        stack: Some("shop".to_owned()),
        operation: None,
        needs: (Right::Read, AccessPath::Root),
        text: String::new(),
    };
    let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let fits = |kinds: &[&str], stacks: &[&str]| {
        Wanted { kinds: list(kinds), stacks: list(stacks), operation: None }.fits(&told)
    };
    assert!(fits(&[], &[]) && fits(&["job.", "change"], &["blog", "shop"]) && fits(&["change.plan."], &[]));
    assert!(!fits(&["plan"], &[]) && !fits(&[], &["shopping"]) && !fits(&["change.plane"], &["shop"]));
    assert!(!Wanted { operation: Some("x".to_owned()), ..Wanted::default() }.fits(&told));
    assert_eq!(told.name(), "change");
}
