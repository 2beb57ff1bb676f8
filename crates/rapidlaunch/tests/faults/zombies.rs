//! Rows 7 and 24: servers that are stopped for longer than their lease, alone or together with the database.

use std::time::Duration;

use pg_lab::{Options, PgServer};
use rustix::process::Signal;

use crate::harness::{Allow, World, farm};
use crate::lab::{LEASE_MS, Lab, acks, made, until};
use crate::launch::{each_once, started};
use crate::report::{Outcome, row, size};
use crate::worker::Settings;

#[test]
fn row_07_a_stopped_server_comes_back() {
    let how = "two workers share a PostgreSQL; one is stopped (SIGSTOP) beyond its lease of 3 s while the other goes on, then continued (SIGCONT)";
    row("07", "zombie: SIGSTOP beyond the lease, then CONT", how, || {
        let mut lab = match Lab::open(&Options::default()) {
            Ok(lab) => lab,
            Err(why) => return Outcome::Skipped(why),
        };
        let rounds = size(2, 40);
        let settings = Settings { rate: 100, jobs: 1_000_000, hold_ms: 100, ..lab.settings("za") };
        let other = Settings { tag: "zb".to_owned(), ..settings.clone() };
        let workers = [settings.start(), other.start()];
        let mut lost = 0;
        for round in 0..rounds {
            let (zombie, healthy) = (&workers[round % 2], &workers[(round + 1) % 2]);
            std::thread::sleep(Duration::from_millis(300 + (round as u64 * 37) % 200));
            zombie.signal(Signal::STOP);
            let before = (acks(healthy), made(&lab.world, "z"));
            std::thread::sleep(Duration::from_millis(LEASE_MS + LEASE_MS / 3 + 700));
            until("the other server goes on", Duration::from_secs(60), || {
                acks(healthy) > before.0 && made(&lab.world, "z") > before.1
            });
            zombie.signal(Signal::CONT);
        }
        std::thread::sleep(Duration::from_millis(500));
        let mut workers = workers;
        for worker in &mut workers {
            lost += worker.end(Duration::from_secs(60))["leases_lost"].as_u64().unwrap();
        }
        let took = lab.settle(&[&workers[0], &workers[1]], "z", &settings);
        assert!(lost > 0, "no lease was lost, so nothing was shown");
        let jobs = lab.heard.marks.len();
        lab.close();
        Outcome::Pass(format!(
            "{rounds} rounds, {lost} leases lost and told, {jobs} jobs acknowledged: 0 lost, 0 doubled; all done {:.1} s after the last",
            took.as_secs_f64()
        ))
    });
}

/// A launch that two servers of the binary share.
fn launched_by_two() -> Result<usize, String> {
    let pg = PgServer::start(&Options::default()).map_err(|error| error.to_string())?;
    let world = World::with(|config| config.time_scale = 10.0);
    let url = pg.url();
    let containers = size(6, 20);
    let files = world.write_farm(&farm(containers));
    let run =
        world.run_files(&["apply", "--yes", "--detach", "--output", "json", "--database", &url], &files).expect(0);
    let id = started(&run);
    let args = ["--database", url.as_str(), "--lease", "3s"];
    let mut servers = [world.serve(&args), world.serve(&args)];
    world.until("a container is made", || world.creates() > 0);
    for server in &servers {
        server.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(LEASE_MS + 1_000));
        server.signal(Signal::CONT);
    }
    until("the launch is done", Duration::from_secs(90), || {
        let done = |line: &String| line.contains(&id) && line.contains("\"done\"");
        servers.iter().any(|server| server.lines().iter().any(done))
    });
    servers.iter_mut().for_each(|server| drop(server.end(Duration::from_secs(60))));
    each_once(&world, containers);
    world.run(&["verify", "farm", "--database", &url]).expect(0);
    world.run(&["op", "ls"]).expect(0);
    world.finish_with(Allow { copies: true, ..Allow::default() });
    Ok(containers)
}

#[test]
fn row_07b_two_servers_of_the_binary() {
    let how = "`apply --detach --database`, two `serve --database --lease 3s`, each stopped beyond its lease in turn while containers are made";
    row("07b", "zombie: the binary", how, || match launched_by_two() {
        Ok(containers) => Outcome::Pass(format!(
            "{containers} containers, each made once and proven; both servers stopped and came back"
        )),
        Err(why) => Outcome::Skipped(why),
    });
}

#[test]
fn row_24_everything_is_stopped() {
    let how = "two workers and every process of PostgreSQL are stopped (SIGSTOP) and continued, as when the machine below is paused";
    row("24", "the machine is paused for a minute", how, || {
        let mut lab = match Lab::open(&Options::default()) {
            Ok(lab) => lab,
            Err(why) => return Outcome::Skipped(why),
        };
        let settings = Settings { rate: 100, jobs: 1_000_000, hold_ms: 100, ..lab.settings("pa") };
        let other = Settings { tag: "pb".to_owned(), ..settings.clone() };
        let mut workers = [settings.start(), other.start()];
        let pause = Duration::from_secs(size(8, 60));
        std::thread::sleep(Duration::from_secs(1));
        workers.iter().for_each(|worker| worker.signal(Signal::STOP));
        lab.pg.signal(Signal::STOP).unwrap();
        std::thread::sleep(pause);
        lab.pg.signal(Signal::CONT).unwrap();
        workers.iter().for_each(|worker| worker.signal(Signal::CONT));
        let before: Vec<usize> = workers.iter().map(acks).collect();
        let back = until("both go on", Duration::from_secs(30), || {
            workers.iter().zip(&before).all(|(worker, acked)| acks(worker) > acked + 3)
        });
        std::thread::sleep(Duration::from_secs(1));
        let ends = workers.each_mut().map(|worker| worker.end(Duration::from_secs(60)));
        let lost: u64 = ends.iter().map(|figures| figures["leases_lost"].as_u64().unwrap()).sum();
        lab.settle(&[&workers[0], &workers[1]], "p", &settings);
        let jobs = lab.heard.marks.len();
        lab.close();
        Outcome::Pass(format!(
            "{} s of pause, both at work again after {:.1} s, {lost} leases lost and told, {jobs} jobs acknowledged: 0 lost, 0 doubled",
            pause.as_secs(),
            back.as_secs_f64()
        ))
    });
}
