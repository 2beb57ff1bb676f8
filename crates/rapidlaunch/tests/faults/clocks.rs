//! Row 6: the wall clock jumps.

use std::time::{Duration, Instant};

use rl_engine::{Clock, SystemClock};
use serde_json::json;

use crate::harness::{Allow, World, farm};
use crate::lab::until;
use crate::launch::each_once;
use crate::process::{Process, READY};
use crate::report::{Outcome, row, size};
use crate::shim::Shim;
use crate::worker::{Acknowledged, Place, Settings, guests};

const HOUR: i64 = 3_600;
const TEN_YEARS: i64 = 10 * 365 * 24 * HOUR;
/// How much later a process may read the clock than the row has read it, in milliseconds.
const SLACK_MS: i64 = 120_000;

#[test]
fn row_06_the_wall_clock_jumps() {
    let how = "a preloaded library moves the wall clock of a worker under load, and of `serve`, by an hour and by ten years, forth and back, while calls fail now and then";
    row("06", "clock jumps of 1 h and 10 years, both ways", how, || {
        let world = World::with(|config| {
            config.time_scale = 10_000.0;
            config.worker_limit = 64;
        });
        let shim = match Shim::build(&world) {
            Ok(shim) => shim,
            Err(why) => {
                world.finish();
                return Outcome::Skipped(why);
            }
        };
        let ticks = schedules(&world, &shim);
        let (jobs, given_up) = under_load(&world, &shim);
        launching(&shim, &world);
        Outcome::Pass(format!(
            "an hourly schedule through an hour and ten years, forth and back: {ticks} starts, each hour at most once, and on time at the end; {} jumps, {jobs} jobs done: none lost or doubled, no lease ended early, no wait stood still; {given_up} jobs were given up, with the reason, because ten years ahead their deadline had passed",
            size(1, 4) * 8 + 4
        ))
    });
}

fn jumps() -> Vec<i64> {
    [HOUR, 0, -HOUR, 0, TEN_YEARS, 0, -TEN_YEARS, 0].repeat(size(1, 4))
}

/// A schedule whose server is started anew after each jump. How often it started something.
fn schedules(world: &World, shim: &Shim) -> i64 {
    let mut settings = Settings::new(world, Place::Dir(world.data.clone()), &guests(world, 1));
    // Half an hour from now, so that no hour becomes due by itself while the row runs.
    let minute = (SystemClock::new().now().0 / 60_000 + 30) % 60;
    settings.schedule = Some(format!("{minute} * * * *"));
    // The first worker sets it up; an hour later it is due. Back again the same hour comes a second time.
    let jumps = [(0, 0), (HOUR, 1), (0, 1), (HOUR, 1), (2 * HOUR, 2), (TEN_YEARS, 3), (0, 3), (3 * HOUR, 4)];
    for (jump, fired) in jumps {
        shim.jump(jump);
        let mut command = settings.command();
        shim.preload(&mut command);
        let mut worker = Process::start("worker", command);
        worker.wait_line("ready", READY);
        let seen_from = SystemClock::new().now().0 as i64 + jump * 1_000;
        until("the schedule is seen to", READY, || {
            let (next_at, seen) = schedule(world);
            seen == fired && next_at > seen_from && next_at <= seen_from + HOUR * 1_000 + SLACK_MS
        });
        worker.end(READY);
        settings.schedule = None;
    }
    let database = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    let sql = "select count(*) from operation_info where idempotency_key like 'schedule:tick:%'";
    let started = database.query_row(sql, (), |row| row.get(0)).unwrap();
    drop(database);
    std::fs::remove_dir_all(&world.data).unwrap();
    shim.jump(0);
    started
}

/// When the schedule is due, and how often it has started something.
fn schedule(world: &World) -> (i64, i64) {
    let database = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    let sql = "select next_at, json_extract(state, '$.fired') from schedule where name = 'tick'";
    database.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// Jobs are submitted, fail, wait and are run again while the clock jumps.
fn under_load(world: &World, shim: &Shim) -> (usize, usize) {
    let guests = guests(world, 32);
    let mut settings = Settings::new(world, Place::Dir(world.data.clone()), &guests);
    settings.rate = 100;
    settings.jobs = jumps().len() * 40;
    settings.until_idle = true;
    world.faults(json!([{ "when": { "method": "PUT", "path": "/nodes/*/lxc/*/config", "probability": 0.1 },
        "action": { "do": "refuse", "status": 500, "message": "can't lock file - got timeout" } }]));
    let mut command = settings.command();
    shim.preload(&mut command);
    let mut worker = Process::start("worker", command);
    worker.wait_line("ready", READY);
    for jump in jumps() {
        shim.jump(jump);
        std::thread::sleep(Duration::from_millis(400));
    }
    // Waits that were begun in another time must not last longer for it.
    worker.wait_line("idle", Duration::from_secs(60));
    worker.wait_end(Duration::from_secs(20));
    assert_eq!(worker.figures()["leases_lost"], 0, "{:?}", worker.lines().last());
    let mut heard = Acknowledged::default();
    heard.hear(&worker);
    assert_eq!(heard.refused, Vec::<String>::new());
    // The deadline of a job is a moment of the wall clock: ten years later it has passed, and the job says so.
    let given_up = given_up(world);
    heard.marks.retain(|mark| !given_up.contains(mark));
    heard.check(world, "mark");
    world.sim.clear_faults();
    (heard.marks.len(), given_up.len())
}

/// Jobs that were given up because their deadline passed; any other end but a good one fails the row.
fn given_up(world: &World) -> Vec<String> {
    let database = rusqlite::Connection::open(world.data.join("rapidlaunch.db")).unwrap();
    let sql = "select json_extract(spec, '$.key'), state, coalesce(reason, '') from job join job_spec using (id) where state <> 'done'";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let rows: Vec<(String, String, String)> = rows.map(Result::unwrap).collect();
    for (key, state, reason) in &rows {
        assert!(state == "failed" && reason.contains("deadline passed"), "{key} is {state}: {reason}");
    }
    rows.into_iter().map(|(key, ..)| key).collect()
}

/// A launch through the binary while the clock jumps.
fn launching(shim: &Shim, world: &World) {
    shim.jump(0);
    for guest in world.state()["guests"].as_object().unwrap().keys() {
        world.delete_guest(guest.parse().unwrap());
    }
    std::fs::remove_dir_all(&world.data).unwrap();
    let id = world.detach(&world.write_farm(&farm(6)));
    let mut command = world.command(&["serve", "--output", "json"]);
    shim.preload(&mut command);
    let mut server = Process::start("serve", command);
    server.wait_line("\"ready\"", READY);
    let began = Instant::now();
    for jump in [HOUR, -HOUR, TEN_YEARS, 0] {
        shim.jump(jump);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(world.settled(&mut server, &id, Duration::from_secs(30)).as_deref(), Some("done"));
    assert!(began.elapsed() < Duration::from_secs(30));
    server.end(Duration::from_secs(20));
    each_once(world, 6);
    world.run(&["verify", "farm"]).expect(0);
    world.finish_with(Allow::default());
}
