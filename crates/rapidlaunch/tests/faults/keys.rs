//! Row 13: the same submit, again and again.

use std::time::Duration;

use crate::harness::{Allow, World, seed};
use crate::report::{Outcome, row, size};
use crate::worker::{Acknowledged, Place, Settings, guests};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[test]
fn row_13_one_key_many_submits() {
    let how = "a worker submits an operation 100 times at once under one idempotency key, is killed on the way, and does it again after the restart";
    row("13", "same idempotency key in parallel and across a restart", how, || {
        let rounds = size(3, 50);
        let mut chance = StdRng::seed_from_u64(u64::from(seed()));
        let world = World::with(|config| config.time_scale = 10_000.0);
        let guests = guests(&world, 4);
        let mut answers = 0;
        for round in 0..rounds {
            let mut heard = Acknowledged::default();
            let mut settings = Settings::new(&world, Place::Dir(world.data.clone()), &guests);
            settings.tag = format!("r{round}x");
            settings.key = Some(format!("key {round}"));
            (settings.jobs, settings.jobs_per_operation, settings.hold_ms) = (100, 1, 50);
            for _ in 0..2 {
                let mut worker = settings.start();
                std::thread::sleep(Duration::from_millis(chance.random_range(0..30)));
                worker.kill();
                heard.hear(&worker);
            }
            settings.until_idle = true;
            let mut worker = settings.start();
            worker.wait_line("idle", Duration::from_secs(60));
            worker.wait_end(Duration::from_secs(20));
            heard.hear(&worker);
            answers += worker.lines().iter().filter(|line| line.starts_with("ack ")).count();
            assert_eq!(heard.operations.len(), 1, "one key, several operations: {:?}", heard.operations);
            let ledger = world.sim.ledger();
            let made: u64 = ledger
                .by_description_line
                .iter()
                .filter(|(line, _)| line.starts_with(&settings.tag))
                .map(|(_, kinds)| kinds["config"])
                .sum();
            assert_eq!(made, 1, "one key, several effects");
        }
        world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
        Outcome::Pass(format!(
            "{rounds} keys, {answers} answers after the last restart alone: one operation and one effect for each key"
        ))
    });
}
