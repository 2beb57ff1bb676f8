//! The demo as a newcomer meets it, and as one meets it who keeps killing it.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::harness::World;

/// Times the demo is killed before it may end.
const KILLS: usize = 10;
/// Longest time a demo lives before it is killed, in milliseconds: within it the sites start, and much of the work is done.
const LIFE_MS: u64 = 1500;
/// The demo that ends by itself.
const DEMO: [&str; 6] = ["demo", "--once", "--speed", "50", "--output", "json"];

/// The demo has sites of its own; the world lends it a data directory and looks through what it said.
#[track_caller]
fn ends_well(world: &World, killed_before: bool) {
    let result = world.run(&DEMO).expect(0).json();
    let told = (&result["ok"], &result["proof"]["ok"], &result["guests_made_twice"]);
    assert_eq!(told, (&json!(true), &json!(true), &json!(0)));
    assert!(result["guests"].as_u64() > Some(5), "{result:#}");
    let ids = result["operation_ids"].as_array().map_or(0, Vec::len);
    // A demo that was killed at its very end has left nothing to do.
    assert!((ids > 0 || killed_before) && result["operations"] == ids, "{result:#}");
    world.finish();
}

#[test]
fn once() {
    ends_well(&World::new(), false);
}

#[test]
fn killed_ten_times_and_started_again() {
    let world = World::new();
    let mut chance = StdRng::seed_from_u64(10);
    for _ in 0..KILLS {
        let mut child = world.spawn(&DEMO);
        std::thread::sleep(std::time::Duration::from_millis(chance.random_range(20..LIFE_MS)));
        child.kill();
        world.wait(child);
    }
    ends_well(&world, true);
}
