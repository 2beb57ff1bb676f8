//! Records of a stack in a zone of the store, from the plan to the proof.

use crate::harness::World;

const STACK: &str = "kind: stack
name: shop
site: lab
containers:
  web:
    count: 2
    image: debian-12
    disk: 1 GiB
    nics: { eth0: { network: lan } }
dns:
  - { zone: example.org, name: www, type: A, to: web.eth0 }
  - { zone: example.org, name: shop, type: CNAME, target: www.example.org }
";

/// The files, with zones in the site's.
fn declare(world: &World, stack: &str, zones: &str) -> [String; 4] {
    let files = world.write_stack("shop", stack);
    let site = std::fs::read_to_string(&files[1]).unwrap();
    std::fs::write(&files[1], format!("{site}{zones}")).unwrap();
    files
}

const ZONES: &str =
    "dns:\n  example.org: { provider: builtin }\n  0.50.10.in-addr.arpa: { provider: { builtin: {} } }\n";

#[test]
fn a_zone_that_no_site_declares_blocks_the_plan() {
    let world = World::new();
    let files = world.write_stack("shop", STACK);
    let plan = world.run_files(&["plan"], &files).expect(0);
    assert!(plan.text().contains("no site declares the zone example.org"), "{}", plan.text());
    let without = world.run_files(&["plan", "--without", "dns"], &files).expect(0);
    assert!(!without.stdout.contains("zone example.org"), "{}", without.stdout);
    world.finish();
}

#[test]
fn records_come_and_go_with_their_guests() {
    let world = World::new();
    let files = declare(&world, STACK, ZONES);
    let plan = world.run_files(&["plan"], &files).expect(0).stdout;
    for line in ["www A 10.50.0.10, 10.50.0.11", "shop CNAME www.example.org.", "10 PTR www.example.org."] {
        assert!(plan.contains(line), "{line} is not in {plan}");
    }
    world.apply(&files).expect(0);
    world.needs_nothing(&files);
    world.run(&["verify", "shop"]).expect(0);

    let files = declare(&world, &STACK.replace("count: 2", "count: 1"), ZONES);
    let plan = world.run_files(&["plan"], &files).expect(0).stdout;
    for line in ["www A 10.50.0.10, 10.50.0.11 -> 10.50.0.10", "11 PTR www.example.org."] {
        assert!(plan.contains(line), "{line} is not in {plan}");
    }
    world.apply(&files).expect(0);
    world.needs_nothing(&files);
    let destroyed = world.run(&["destroy", "shop", "--yes"]).expect(0);
    assert!(destroyed.text().contains("zone example.org"), "{}", destroyed.text());
    world.finish();
}
