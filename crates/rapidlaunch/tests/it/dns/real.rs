//! Real servers from Debian.

use rl_model::RecordType::{self, A, Aaaa, Cname, Ptr, Srv, Txt};

use super::{Bound, CREATE, REVERSE, REVERSE6, STACK, answer, checks, declare, failed, nothing, refuse, says, small};
use crate::dns_lab::{self, API_KEY};
use crate::harness::World;

/// Each record of the stack, and what is answered for it.
const ANSWERS: [(&str, RecordType, &str); 9] = [
    ("www.example.org", A, "10.50.0.10, 10.50.0.11"),
    ("www.example.org", Aaaa, "fd00:50::10, fd00:50::11"),
    ("shop.example.org", Cname, "www.example.org."),
    ("_https._tcp.shop.example.org", Srv, "0 0 443 www.example.org."),
    ("shop-info.example.org", Txt, "\"owner=platform\""),
    ("10.0.50.10.in-addr.arpa", Ptr, "www.example.org."),
    ("11.0.50.10.in-addr.arpa", Ptr, "www.example.org."),
    ("0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.0.0.0.0.d.f.ip6.arpa", Ptr, "www.example.org."),
    ("1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.5.0.0.0.0.d.f.ip6.arpa", Ptr, "www.example.org."),
];

#[test]
fn every_type_in_bind_with_a_server_that_follows() {
    let bound = Bound::followed();
    let (world, follower) = (&bound.world, bound.follower.as_ref().unwrap().address.clone());
    let before = bound.records();
    let files = bound.declare(STACK);
    let plan = world.run_files(&["plan"], &files).expect(0).stdout;
    let lines = [
        "zone example.org",
        REVERSE,
        REVERSE6,
        "www A 10.50.0.10, 10.50.0.11",
        "www AAAA fd00:50::10, fd00:50::11",
        "shop CNAME www.example.org.",
        "_https._tcp.shop SRV 0 0 443 www.example.org.",
        "shop-info TXT \"owner=platform\"",
        "10 PTR www.example.org.",
    ];
    says(&plan, &lines);
    let proof = world.apply(&files).expect(0).json()["stacks"][0]["proof"].clone();
    let servers = [(&bound.server.address, &ANSWERS[..]), (&follower, &ANSWERS[..5])];
    let wanted = servers.iter().flat_map(|(server, answers)| answers.iter().map(move |answer| (server, answer)));
    for (server, (name, kind, values)) in wanted {
        assert!(checks(&proof).contains(&(format!("DNS {name} {kind} at {server}"), true)), "{proof:#}");
        assert_eq!(answer(world, server, name, *kind), *values, "{name} {kind} at {server}");
    }
    assert_eq!(checks(&proof).len(), ANSWERS.len() + 5);
    world.needs_nothing(&files);
    world.run(&["verify", "shop"]).expect(0);
    world.run(&["drift", "shop"]).expect(0);
    let proof = world.run(&["destroy", "shop", "--yes", "-o", "json"]).expect(0).json()["stacks"][0]["proof"].clone();
    assert_eq!(checks(&proof).len(), ANSWERS.len() + 5 + 3, "each answer, and the owners of each zone: {proof:#}");
    for (name, kind, _) in ANSWERS {
        assert_eq!(bound.answer(name, kind), nothing());
    }
    assert_eq!(bound.records(), before, "nothing is left, and nothing of others is gone");
    world.finish();
}

#[test]
fn a_record_comes_after_its_guest_and_goes_before_it() {
    let bound = Bound::start();
    let world = &bound.world;
    let files = bound.declare(&small(2));
    bound.held(&files);
    assert_eq!(bound.answer("www.example.org", A), nothing(), "no guest runs yet");
    world.run(&["op", "retry", "last"]).expect(0);
    assert_eq!(bound.answer("www.example.org", A), "10.50.0.10, 10.50.0.11");

    let files = bound.declare(&small(1));
    refuse(world, "/nodes/*/lxc/*/status/*", None);
    world.run_files(&["apply", "--yes"], &files).expect(4);
    assert_eq!(bound.answer("www.example.org", A), "10.50.0.10", "the guest that goes is there still");
    assert_eq!(world.stamped().len(), 2);
    world.sim.clear_faults();
    world.run(&["op", "retry", "last"]).expect(0);
    assert_eq!((world.stamped().len(), bound.answer("11.0.50.10.in-addr.arpa", Ptr)), (1, nothing()));

    refuse(world, "/nodes/*/lxc/*/status/*", None);
    world.run(&["destroy", "shop", "--yes"]).expect(4);
    assert_eq!((world.stamped().len(), bound.answer("www.example.org", A)), (1, nothing()));
    world.sim.clear_faults();
    world.run(&["op", "retry", "last"]).expect(0);
    world.finish();
}

#[test]
fn what_somebody_changes_is_told_by_the_proof_and_put_right() {
    let mut bound = Bound::followed();
    let files = bound.declare(&small(1));
    bound.world.apply(&files).expect(0);
    bound.put("www.example.org", A, &["192.0.2.66"]);
    let world = &bound.world;
    let server = bound.server.address.clone();
    let verify = world.run(&["verify", "shop"]);
    failed(verify, &[&format!("DNS www.example.org A at {server}: expected 10.50.0.10, found 192.0.2.66")]);
    let drift = world.run(&["drift", "shop"]).expect(3).stdout;
    says(&drift, &["the record www.example.org A is `192.0.2.66` and was applied as `10.50.0.10`"]);
    let json = world.run(&["drift", "shop", "-o", "json"]).expect(3).json();
    assert_eq!(json["stacks"]["shop"][0]["kind"]["kind"], "record", "{json:#}");
    says(&world.run_files(&["plan"], &files).expect(0).stdout, &["www A 192.0.2.66 -> 10.50.0.10"]);
    world.apply(&files).expect(0);
    world.run(&["verify", "shop"]).expect(0);
    // A server that is away is told by its name, whatever the other one answers.
    let follower = bound.follower.take().unwrap().address.clone();
    failed(bound.world.run(&["verify", "shop"]), &[&format!("DNS www.example.org A at {follower}"), "does not answer"]);
    // Whoever takes it off the list is asked for it no more.
    let files = bound.declare(&small(1));
    bound.world.run_files(&["destroy", "--yes"], &files).expect(0);
    bound.world.finish();
}

/// What an operation wrote that never came to its end is found and removed.
#[test]
fn a_stack_that_was_never_applied_leaves_no_record() {
    let bound = Bound::start();
    let world = &bound.world;
    // The record is written, then the other guest cannot be made.
    let late = small(1).replace("dns:", "  db: { image: debian-12, memory: 256 MiB, disk: 1 GiB, after: [web], nics: { eth0: { network: lan } } }\ndns:");
    let files = bound.declare(&late);
    refuse(world, CREATE, Some(2));
    world.run_files(&["apply", "--yes"], &files).expect(4);
    assert_ne!(bound.answer("www.example.org", A), nothing());
    world.run(&["op", "cancel", "last"]);
    world.run(&["destroy", "shop", "--yes"]).expect(0);
    assert_eq!(bound.answer("www.example.org", A), nothing());
    world.finish_with(crate::harness::Allow { made_again: true, ..Default::default() });
}

#[test]
fn records_in_powerdns_by_its_api() {
    let world = World::new();
    let server = world.runtime.block_on(dns_lab::powerdns());
    let keys = tempfile::tempdir().unwrap();
    world.hide(API_KEY);
    let file = keys.path().join("api.key");
    std::fs::write(&file, API_KEY).unwrap();
    let (url, address) = (server.api.as_ref().unwrap().as_str(), &server.address);
    let zones = format!(
        "dns:\n  example.org: {{ provider: {{ powerdns: {{ url: \"{url}\", api_key: {{ file: {} }} }} }}, servers: [\"{address}\"] }}\n",
        file.display()
    );
    let files = declare(&world, STACK, &zones);
    says(&world.run_files(&["plan"], &files).expect(0).stdout, &["www A 10.50.0.10, 10.50.0.11", "shop CNAME"]);
    let proof = world.apply(&files).expect(0).json()["stacks"][0]["proof"].clone();
    for (name, kind, values) in &ANSWERS[..5] {
        assert!(checks(&proof).contains(&(format!("DNS {name} {kind} at {address}"), true)), "{proof:#}");
        assert_eq!(answer(&world, address, name, *kind), *values);
    }
    world.needs_nothing(&files);
    let files = declare(&world, &STACK.replace("count: 2", "count: 1"), &zones);
    world.apply(&files).expect(0);
    assert_eq!(answer(&world, address, "www.example.org", A), "10.50.0.10");
    // The zone has ten records with those of others, and half of them go.
    world.run(&["destroy", "shop", "--yes", "--allow-dns-mass-change"]).expect(0);
    for (name, kind, _) in &ANSWERS[..5] {
        assert_eq!(answer(&world, address, name, *kind), nothing());
    }
    world.finish();
}
