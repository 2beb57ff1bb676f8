//! Row 13: the same submit, again and again.

use std::time::Duration;

use pg_lab::Options;

use crate::harness::{Allow, World, seed};
use crate::lab::Lab;
use crate::report::{Outcome, row, size};
use crate::worker::{Acknowledged, Place, Settings, guests};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

#[test]
fn row_13_one_key_many_submits() {
    let how = "a worker submits an operation 100 times at once under one idempotency key, is killed on the way, and does it again after the restart; over SQLite and over PostgreSQL";
    row("13", "same idempotency key in parallel and across a restart", how, || {
        let mut chance = StdRng::seed_from_u64(u64::from(seed()));
        let world = World::with(|config| config.time_scale = 10_000.0);
        let settings = Settings::new(&world, Place::Dir(world.data.clone()), &guests(&world, 4));
        let (keys, answers) = one_key(&world, settings, size(3, 50), &mut chance);
        world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
        let lab = match Lab::open(&Options::default()) {
            Ok(lab) => lab,
            Err(why) => return Outcome::Skipped(why),
        };
        let (shared_keys, shared_answers) = one_key(&lab.world, lab.settings("p"), size(1, 20), &mut chance);
        lab.close();
        Outcome::Pass(format!(
            "{keys} keys on SQLite, {shared_keys} on PostgreSQL, {} answers after the last restarts alone: one operation and one effect for each key",
            answers + shared_answers
        ))
    });
}

/// So many keys, each submitted again and again. How many keys, and how many answers the last workers gave.
fn one_key(world: &World, settings: Settings, rounds: usize, chance: &mut StdRng) -> (usize, usize) {
    let mut answers = 0;
    for round in 0..rounds {
        let mut heard = Acknowledged::default();
        let mut settings = settings.clone();
        settings.tag = format!("{}{round}x", settings.tag);
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
        let ours = ledger.by_description_line.iter().filter(|(line, _)| line.starts_with(&settings.tag));
        let made: u64 = ours.map(|(_, kinds)| kinds["config"]).sum();
        assert_eq!(made, 1, "one key, several effects");
    }
    (rounds, answers)
}
