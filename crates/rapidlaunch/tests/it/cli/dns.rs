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

#[test]
fn a_zone_that_no_site_declares_blocks_the_plan() {
    let world = World::new();
    let files = world.write_stack("shop", STACK);
    let plan = world.run(&with(&["plan"], &files)).expect(4);
    assert!(plan.stdout.contains("no site declares the zone example.org"), "{}", plan.stdout);
    let without = world.run(&with(&["plan", "--without", "dns"], &files)).expect(0);
    assert!(!without.stdout.contains("zone example.org"), "{}", without.stdout);
}

fn with<'a>(command: &[&'a str], files: &'a [String]) -> Vec<&'a str> {
    let mut args = command.to_vec();
    args.extend(files.iter().flat_map(|file| ["-f", file.as_str()]));
    args
}
