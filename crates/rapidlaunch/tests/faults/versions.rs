//! Row 17: two releases.

use std::time::Duration;

use pg_lab::Options;
use serde_json::json;

use crate::harness::{Allow, World};
use crate::lab::Lab;
use crate::poison::wait_all;
use crate::report::{Outcome, row, size};
use crate::worker::{Acknowledged, Place, Settings, guests};

#[test]
fn row_17_upgrade_and_downgrade() {
    let how = "workers that know marks of version 1, or of 1 and 2, take turns on one store with jobs of both, on SQLite and on PostgreSQL, where they then work side by side; a store with a newer schema is opened by the binary";
    row("17", "upgrade and downgrade: two releases", how, || {
        let world = World::with(|config| config.time_scale = 10_000.0);
        let jobs = size(100, 5_000);
        let base = Settings { jobs, ..Settings::new(&world, Place::Dir(world.data.clone()), &guests(&world, 16)) };
        let embedded = in_turn(&world, &base);
        newer_schema(&world);
        world.finish_with(Allow { copies: true, volumes: true, unfinished: true, ..Allow::default() });
        let lab = match Lab::open(&Options::default()) {
            Ok(lab) => lab,
            Err(why) => return Outcome::Skipped(why),
        };
        let base = Settings { jobs: size(50, 2_000), ..lab.settings("p") };
        let shared = in_turn(&lab.world, &base);
        let beside = side_by_side(&lab.world, &base);
        lab.close();
        Outcome::Pass(format!(
            "{embedded} jobs of two versions on SQLite, {shared} on PostgreSQL, {beside} side by side: newer ones parked, run after the upgrade; older ones lifted; a newer schema is refused and left as it was"
        ))
    });
}

/// An older and a newer release take turns. How many jobs they have accepted and done.
fn in_turn(world: &World, base: &Settings) -> usize {
    let mut heard = Acknowledged::default();
    // The newer release submits and is gone before it has run anything.
    let newer = Settings { tag: "new".to_owned(), version: 2, knows: 2, runs: false, ..base.clone() };
    run_until_submitted(&newer, &mut heard);
    // The older one runs its own and leaves the rest alone.
    let older = Settings { tag: "old".to_owned(), ..base.clone() };
    let mut worker = older.start();
    let mut own = Acknowledged::default();
    wait_all(world, &worker, base.jobs, &mut own);
    let ledger = world.sim.ledger();
    let ran = ledger.by_description_line.keys().any(|line| line.starts_with("new"));
    assert!(!ran, "a job was run that this release does not know");
    worker.end(Duration::from_secs(20));
    heard.hear(&worker);
    // The older one submits once more and is gone; the newer one runs both.
    run_until_submitted(&Settings { tag: "lift".to_owned(), runs: false, ..base.clone() }, &mut heard);
    let last = Settings { jobs: 0, knows: 2, until_idle: true, ..base.clone() };
    last.start().wait_line("idle", Duration::from_secs(120));
    for tag in ["new", "old", "lift"] {
        heard.check(world, tag);
    }
    heard.marks.len()
}

/// Both work at once; each submits what it knows, and the older one runs nothing that is newer. How many jobs were done.
fn side_by_side(world: &World, base: &Settings) -> usize {
    let older = Settings { tag: "both-a".to_owned(), ..base.clone() };
    let newer = Settings { tag: "both-b".to_owned(), version: 2, knows: 2, ..base.clone() };
    let mut workers = [older.start(), newer.start()];
    for worker in &mut workers {
        worker.wait_line("submitted", Duration::from_secs(120));
    }
    let [older, newer] = &mut workers;
    newer.end(Duration::from_secs(20));
    older.end(Duration::from_secs(20));
    let last = Settings { jobs: 0, knows: 2, until_idle: true, ..base.clone() };
    last.start().wait_line("idle", Duration::from_secs(120));
    let mut heard = Acknowledged::default();
    for worker in &workers {
        heard.hear(worker);
    }
    heard.check(world, "both-");
    heard.marks.len()
}

fn run_until_submitted(settings: &Settings, heard: &mut Acknowledged) {
    let mut worker = settings.start();
    worker.wait_line("submitted", Duration::from_secs(120));
    worker.end(Duration::from_secs(20));
    heard.hear(&worker);
}

/// A store of a release that is not there yet.
fn newer_schema(world: &World) {
    let path = world.data.join("rapidlaunch.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("insert into migration (version, hash) values (9999, 'of a later release')", ()).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    for command in [&["serve"][..], &["op", "ls"]] {
        let run = world.run(command).expect(1);
        assert!(run.stderr.contains("9999"), "{}", run.stderr);
    }
    assert!(std::fs::read(&path).unwrap() == before, "a store that cannot be read was changed");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("delete from migration where version = 9999", ()).unwrap();
    drop(connection);
    let all = world.run(&["op", "ls", "--output", "json"]).expect(0).json();
    assert_ne!(all["operations"], json!([]));
}
