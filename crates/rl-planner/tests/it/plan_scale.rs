//! Goal: planning grows with the number of guests and not with its square. Method: ten thousand applied guests are
//! resolved and planned again, by the resource list alone and with every configuration read.

use std::time::{Duration, Instant};

use rl_model::manifest::{Container, NicAddress, Spread};
use rl_model::{Observed, Policy};
use rl_planner::{configs_needed, drift, plan, resolve};

use crate::plan_world::{Reality, container, manifest, stack_name};

/// Guests of the large stack.
const GUESTS: u32 = 10_000;
/// Far more than an unoptimised build needs on a busy machine, and far less than anything quadratic would take.
const LONGEST: Duration = Duration::from_secs(60);

fn large() -> rl_model::manifest::Manifest {
    let mut web = Container { count: Some(GUESTS), spread: Spread::Node, ..container("web") };
    web.nics[0].ipv4 = NicAddress::Lease;
    let mut manifest = manifest(vec![web]);
    let site = manifest.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    site.vmids = "10000-29999".parse().unwrap();
    let dmz = site.networks.get_mut(&"dmz".parse().unwrap()).unwrap();
    dmz.subnet = Some("10.64.0.0/16".parse().unwrap());
    dmz.gateway = Some("10.64.0.1".parse().unwrap());
    dmz.addresses = vec!["10.64.1.0-10.64.250.255".parse().unwrap()];
    manifest
}

#[test]
fn ten_thousand_unchanged_guests_are_planned_in_linear_time() {
    let manifest = large();
    let mut reality = Reality::new(&manifest.sites);
    for node in reality.nodes.values_mut().flat_map(|nodes| nodes.values_mut()) {
        node.memory_bytes = 16 << 40;
        node.storages.values_mut().for_each(|storage| storage.total_bytes = 1 << 50);
    }
    let began = Instant::now();
    let (resolved, placements) =
        resolve(&manifest, &stack_name(), &reality.catalogue(), &reality.leases).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(placements.len(), GUESTS as usize);
    let (made, _) = plan(&resolved, &reality.catalogue(), &reality.leases, &Policy::default(), 0);
    assert_eq!(made.actions.len(), GUESTS as usize);
    let placed = began.elapsed();
    reality.apply_quickly(&made);
    let time = |seen: &Observed| {
        let began = Instant::now();
        let (resolved, _) = resolve(&manifest, &stack_name(), seen, &reality.leases).unwrap();
        assert!(configs_needed(&resolved, seen, &reality.leases, 200).is_empty());
        let (again, report) = plan(&resolved, seen, &reality.leases, &Policy::default(), 1);
        assert!(again.is_empty());
        assert_eq!(report.unchanged.len(), GUESTS as usize);
        assert!(drift(&resolved, seen).is_empty());
        began.elapsed()
    };
    let (shallow, deep) = (time(&reality.catalogue()), time(&reality.observe()));
    println!("{GUESTS} guests: created {placed:?}, unchanged {shallow:?}, unchanged with configurations {deep:?}");
    assert!(placed < LONGEST && shallow < LONGEST && deep < LONGEST, "{placed:?} {shallow:?} {deep:?}");
}
