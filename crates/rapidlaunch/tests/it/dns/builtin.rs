//! Zones of the store, with and without a server that answers them.

use std::process::Command;

use rl_model::RecordType::{A, Ptr};
use rustix::process::Signal;

use super::{REVERSE, answer, checks, declare, says, small};
use crate::harness::{Run, World};

fn zones() -> String {
    format!("dns:\n  example.org: {{ provider: builtin }}\n  {REVERSE}: {{ provider: builtin }}\n")
}

fn proof(run: Run) -> std::collections::BTreeSet<(String, bool)> {
    checks(&run.expect(0).json()["proofs"][0])
}

#[test]
fn without_a_server_the_store_is_compared_and_that_is_said() {
    let world = World::new();
    let files = declare(&world, &small(2), &zones());
    let applied = world.apply(&files).expect(0);
    let note = "no server of the zone example.org is known here, so its records were compared with the store alone";
    says(&applied.stderr, &[note, REVERSE]);
    let wanted = |name: &str| (format!("DNS {name} at the store (no server is known to be asked)"), true);
    let verified = world.run(&["verify", "shop", "-o", "json"]);
    says(&verified.stderr, &[note]);
    let names = ["10.0.50.10.in-addr.arpa PTR", "11.0.50.10.in-addr.arpa PTR", "www.example.org A"];
    assert_eq!(proof(verified), names.map(wanted).into());
    world.run(&["drift", "shop"]).expect(0);
    let destroyed = world.run(&["destroy", "shop", "--yes", "-o", "json"]).expect(0);
    says(&destroyed.stderr, &[note]);
    let proof = checks(&destroyed.json()["stacks"][0]["proof"]);
    assert!(proof.len() == 5 && proof.iter().all(|(_, ok)| *ok), "{proof:?}");
    world.finish();
}

#[test]
fn the_server_carries_out_answers_and_bears_witness() {
    let world = World::new();
    world.apply(&declare(&world, &small(1), &zones())).expect(0);
    let files = declare(&world, &small(2), &zones());
    world.run_files(&["apply", "--yes", "--detach"], &files).expect(0);
    let server = world.spawn(&["serve", "--dns", "127.0.0.1:0"]);
    // Only when it holds the data directory: a command that looks in before would hold it, and the server would give up.
    let told = || std::fs::read_to_string(world.data.join("dns-address")).is_ok_and(|text| !text.is_empty());
    world.until("the server tells its address", told);
    world.until("the operation is done", || {
        world.run(&["op", "show", "last", "-o", "json"]).expect(0).json()["state"] == "done"
    });
    let file = std::fs::read_to_string(world.data.join("dns-address")).unwrap();
    let address = file.parse().unwrap();
    assert_eq!(answer(&world, &address, "www.example.org", A), "10.50.0.10, 10.50.0.11");
    assert_eq!(answer(&world, &address, "11.0.50.10.in-addr.arpa", Ptr), "www.example.org.");
    let (host, port) = file.split_once(':').unwrap();
    let dig = Command::new("dig")
        .args(["+short", "+norecurse", "+tries=10", "-p", port, &format!("@{host}"), "www.example.org", "A"])
        .output()
        .expect("dig is missing: run `scripts/setup test`, or apt-get install bind9-dnsutils");
    let mut lines: Vec<String> = String::from_utf8(dig.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["10.50.0.10", "10.50.0.11"]);
    // Another command asks the server that runs beside it.
    let verified = world.run(&["verify", "shop", "-o", "json"]);
    assert!(!verified.stderr.contains("compared with the store"), "{verified:?}");
    let names = ["10.0.50.10.in-addr.arpa PTR", "11.0.50.10.in-addr.arpa PTR", "www.example.org A"];
    assert_eq!(proof(verified), names.map(|name| (format!("DNS {name} at {address}"), true)).into());
    server.signal(Signal::TERM);
    world.wait(server).expect(0);
    // It is away, and what it left behind misleads nobody.
    says(&world.run(&["verify", "shop"]).expect(0).stderr, &["compared with the store alone"]);
    world.run(&["destroy", "shop", "--yes"]).expect(0);
    world.finish();
}

#[test]
fn much_of_a_zone_changes_only_when_that_is_meant() {
    let world = World::new();
    let stack = |text: &str| {
        let texts = (0..12).map(|n| format!("  - {{ zone: example.org, name: t{n}, type: TXT, text: {text} }}\n"));
        small(1) + &texts.collect::<String>()
    };
    world.apply(&declare(&world, &stack("a"), &zones())).expect(0);
    let files = declare(&world, &stack("b"), &zones());
    let many = "12 of the 13 records of the zone example.org would change or go, more than 30 %";
    says(&world.run_files(&["apply", "--yes"], &files).expect(4).text(), &[many, "--allow-dns-mass-change"]);
    world.run(&["verify", "shop"]).expect(0);
    world.run_files(&["apply", "--yes", "--allow-dns-mass-change"], &files).expect(0);
    world.needs_nothing(&files);
    let destroy = ["destroy", "shop", "--yes"];
    says(&world.run(&destroy).expect(4).text(), &["13 of the 13 records", "--allow-dns-mass-change"]);
    assert_eq!(world.stamped().len(), 1, "nothing was begun");
    world.run(&["destroy", "shop", "--yes", "--allow-dns-mass-change"]).expect(0);
    world.finish();
}
