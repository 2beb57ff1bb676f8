//! The world turns against us between plan and act. Nothing wrong is done, and the operation says what happened and what to do.

use rl_model::RecordType::{A, Ptr, Txt};
use serde_json::json;

use super::{Bound, failed, last, nothing, says, small};
use crate::dns_lab::KEY;
use crate::harness::Allow;

/// What another installation writes beside a record of its own.
const STRANGER: &str = "\"rapidlaunch owner=zzzzzzzzzzzzzzzzzzzz stack=blog\"";
const WWW: &str = "www.example.org";
const BESIDE: &str = "_rl-a.www.example.org";
/// Another value of the key.
const OTHER_KEY: &str = "YW5vdGhlci1rZXktYW5vdGhlci1rZXktMTIzNDU2Nzg=";

#[test]
fn the_record_is_taken_between_plan_and_act() {
    let bound = Bound::start();
    let world = &bound.world;
    bound.held(&bound.declare(&small(1)));
    bound.put(WWW, A, &["192.0.2.66"]);
    world.run(&["op", "retry", "last"]).expect(4);
    let hint = "choose another name, or remove www.example.org A by hand";
    says(&last(world), &["www.example.org A is there already and not made by RapidLaunch; nothing was changed", hint]);
    assert_eq!((bound.answer(WWW, A), bound.answer(BESIDE, Txt)), ("192.0.2.66".to_owned(), nothing()));
    // Its holder gives it up: the operation goes on where it stood.
    bound.put(WWW, A, &[]);
    world.run(&["op", "retry", "last"]).expect(0);
    assert_eq!(bound.answer(WWW, A), "10.50.0.10");
    world.run(&["verify", "shop"]).expect(0);
    world.finish();
}

/// Our record is changed by somebody while the operation that changes it too is under way.
#[test]
fn the_record_is_changed_between_plan_and_act() {
    let bound = Bound::start();
    let world = &bound.world;
    world.apply(&bound.declare(&small(1))).expect(0);
    bound.held(&bound.declare(&small(2)));
    bound.put(WWW, A, &["192.0.2.66"]);
    world.run(&["op", "retry", "last"]).expect(4);
    says(&last(world), &["is 192.0.2.66 now, and was 10.50.0.10 when the plan was made", "find out who changed it"]);
    assert_eq!(bound.answer(WWW, A), "192.0.2.66");
    world.run(&["op", "cancel", "last"]);
    // Whoever plans again sees it, and decides.
    let files = bound.declare(&small(2));
    says(&world.run_files(&["plan"], &files).stdout, &["www A 192.0.2.66 -> 10.50.0.10, 10.50.0.11"]);
    world.apply(&files).expect(0);
    world.run(&["verify", "shop"]).expect(0);
    world.finish_with(Allow { made_again: true, ..Allow::default() });
}

#[test]
fn the_owner_is_exchanged_between_plan_and_act() {
    let bound = Bound::start();
    let world = &bound.world;
    world.apply(&bound.declare(&small(1))).expect(0);
    let ours = bound.answer(BESIDE, Txt);
    let files = bound.declare(&small(2));
    bound.held(&files);
    bound.put(BESIDE, Txt, &[STRANGER]);
    world.run(&["op", "retry", "last"]).expect(4);
    let of = "of the stack blog of installation zzzzzzzzzzzzzzzzzzzz";
    says(&last(world), &["www.example.org A is", of, "nothing was changed", "choose another name"]);
    assert_eq!((bound.answer(WWW, A), bound.answer(BESIDE, Txt)), ("10.50.0.10".to_owned(), STRANGER.to_owned()));
    says(&world.run(&["drift", "shop"]).expect(3).stdout, &[of]);
    bound.put(BESIDE, Txt, &[&ours]);
    world.run(&["op", "retry", "last"]).expect(0);
    world.run(&["verify", "shop"]).expect(0);
    assert_eq!(bound.answer(WWW, A), "10.50.0.10, 10.50.0.11");

    // Taken from us before a destroy: the record stays as it is, and the proof says that it leads to where nobody is any more.
    bound.put(BESIDE, Txt, &[STRANGER]);
    says(&world.run_files(&["plan"], &files).text(), &[of]);
    let destroyed = world.run(&["destroy", "shop", "--yes"]);
    let server = &bound.server.address;
    failed(destroyed, &[&format!("DNS www.example.org A at {server}: expected no longer 10.50.0.10, 10.50.0.11")]);
    let after = (bound.answer(WWW, A), bound.answer(BESIDE, Txt), bound.answer("10.0.50.10.in-addr.arpa", Ptr));
    assert_eq!(after, ("10.50.0.10, 10.50.0.11".to_owned(), STRANGER.to_owned(), nothing()));
    assert!(world.stamped().is_empty());
    world.finish();
}

#[test]
fn the_server_refuses_the_key_in_the_middle() {
    let bound = Bound::start();
    let world = &bound.world;
    let exchange = |from, to| world.runtime.block_on(bound.server.exchange_key(from, to));
    bound.held(&bound.declare(&small(1)));
    exchange(KEY, OTHER_KEY);
    world.run(&["op", "retry", "last"]).expect(4);
    let hint = "compare the key's value with the server's configuration";
    says(&last(world), &["refuses the key rl.example (hmac-sha256)", hint]);
    assert_eq!(bound.answer(WWW, A), nothing());
    assert_eq!(world.stamped().len(), 1, "the guest is well, and waits for its record");
    exchange(OTHER_KEY, KEY);
    world.run(&["op", "retry", "last"]).expect(0);
    assert_eq!(bound.answer(WWW, A), "10.50.0.10");
    world.run(&["verify", "shop"]).expect(0);
    world.finish();
}

/// Lease, configuration, live address and every answer must be one; the record follows the lease alone.
#[test]
fn the_address_changes_inside_a_guest() {
    let bound = Bound::start();
    let world = &bound.world;
    let files = bound.declare(&small(1));
    world.apply(&files).expect(0);
    let live = |address: &str| world.put_guest(json!({ "vmid": 3000, "live_address": { "net0": address } }));
    live("10.50.0.99/24");
    failed(world.run(&["verify", "shop"]), &["live address of eth0: expected 10.50.0.10/24, found 10.50.0.99/24"]);
    let verified = world.run(&["verify", "shop", "-o", "json"]).json();
    let answered = (format!("DNS www.example.org A at {}", bound.server.address), true);
    assert!(super::checks(&verified["proofs"][0]).contains(&answered), "the record is as leased: {verified:#}");
    // Neither a plan nor an apply lets the record follow.
    let plan = world.run_files(&["plan"], &files).expect(0).stdout;
    assert!(!plan.contains("10.50.0.99"), "{plan}");
    let more = bound.declare(&(small(1) + "  - { zone: example.org, name: web, type: A, to: web.eth0 }\n"));
    world.run_files(&["apply", "--yes"], &more).expect(1);
    assert_eq!((bound.answer(WWW, A), bound.answer("web.example.org", A)), ("10.50.0.10".into(), "10.50.0.10".into()));
    // The configuration is changed as well: it is put back to the lease, and the record never moved.
    let net0 = world.guest(3000)["config"]["net0"].as_str().unwrap().replace("10.50.0.10/24", "10.50.0.99/24");
    world.put_guest(json!({ "vmid": 3000, "config": { "net0": net0 } }));
    failed(world.run(&["verify", "shop"]), &["net0: expected", "found", "10.50.0.99/24"]);
    assert_eq!(bound.answer(WWW, A), "10.50.0.10");
    live("");
    world.apply(&more).expect(0);
    world.run(&["verify", "shop"]).expect(0);
    world.finish();
}
