//! Rows 1 and 2: SIGKILL at every fail-point and at random moments.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rl_engine::failpoints::{ALL, VARIABLE};
use serde_json::json;

use crate::harness::{Allow, Farm, World, farm, seed};
use crate::launch::{SETTLED, each_once, started};
use crate::process::{READY, killed};
use crate::report::{Outcome, full, row, size};
use crate::worker::{Acknowledged, Place, Settings, guests};

/// Containers of each operation.
const CONTAINERS: usize = 4;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Workflow {
    Create,
    Update,
    Destroy,
}

/// What must happen for a point to be passed.
fn prepare(world: &World, point: &str) {
    let create = json!({ "method": "POST", "path": "/nodes/*/lxc", "times": 6 });
    match point {
        "engine.withdraw.before" | "engine.withdraw.after" | "engine.finish.before" | "engine.finish.after" => {
            let message = "can't lock file '/run/lock/lxc/pve-config-1.lock' - got timeout";
            world.faults(json!([
                { "when": create, "action": { "do": "refuse", "status": 500, "message": message } },
                { "when": { "method": "PUT", "path": "/nodes/*/lxc/*/config", "times": 6 }, "action": { "do": "refuse", "status": 500, "message": message } },
            ]));
        }
        "engine.turn.before" | "engine.turn.after" => world.faults(
            json!([{ "when": create, "action": { "do": "fail-task", "text": "command 'mkfs.ext4' failed: exit code 1" } }]),
        ),
        _ => {}
    }
}

/// The process that starts the operation dies at the point, or the one that carries it out; both are started again. Answers whether the
/// point was passed, and how long the way to the end took after that.
fn die(point: &str, workflow: Workflow) -> (bool, Duration) {
    eprintln!("{point} in {workflow:?}");
    let world = World::new();
    let before = farm(CONTAINERS);
    let mut files = world.write_farm(&before);
    if workflow != Workflow::Create {
        world.apply(&files).expect(0);
    }
    if workflow == Workflow::Update {
        files = world.write_farm(&Farm { cores: 3, memory: 320, ..before });
    }
    prepare(&world, point);
    let verb = if workflow == Workflow::Destroy { "destroy" } else { "apply" };
    let mut args = vec![verb, "--yes", "--detach", "--output", "json"];
    match workflow {
        Workflow::Destroy => args.push("farm"),
        _ => args.extend(files.iter().map(String::as_str)),
    }
    let first = world.run_with(&args, VARIABLE, point);
    let mut was_killed = first.killed();
    let id = started(&if was_killed { world.run(&args).expect(0) } else { first.expect(0) });
    if !was_killed {
        if point.starts_with("engine.cancel") {
            // The wish to cancel is left where the server finds it.
            std::fs::write(world.data.join(format!("cancel-{id}")), b"").unwrap();
        }
        let mut server = world.serve_with(&[], &[(VARIABLE, point)]);
        match world.settled(&mut server, &id, SETTLED) {
            Some(_) if server.runs() => drop(server.end(SETTLED)),
            _ => was_killed = killed(server.wait_end(SETTLED)),
        }
    }
    world.sim.clear_faults();
    let began = Instant::now();
    let state = world.serve_to_end(&[], &id);
    let took = began.elapsed();
    end(&world, workflow, &state, &args);
    (was_killed, took)
}

/// Whatever ended otherwise than well is undone; started again it comes to its end.
#[track_caller]
fn end(world: &World, workflow: Workflow, state: &str, args: &[&str]) {
    let mut allow = Allow::default();
    if state != "done" {
        assert!(state == "failed" || state == "cancelled", "the operation is {state}");
        allow.made_again = true;
        let id = started(&world.run(args).expect(0));
        assert_eq!(world.serve_to_end(&[], &id), "done");
    }
    match workflow {
        Workflow::Destroy => {
            assert_eq!(world.state()["guests"], json!({}));
            assert_eq!(world.sim.ledger().by_kind["destroy"] as usize, CONTAINERS);
        }
        _ if allow.made_again => assert_eq!(world.stamped().len(), CONTAINERS),
        _ => each_once(world, CONTAINERS),
    }
    if workflow != Workflow::Destroy {
        world.run(&["verify", "farm"]).expect(0);
    }
    world.finish_with(allow);
}

/// Points of the small size: each kind of write, before and after.
const FEW: [(&str, Workflow); 7] = [
    ("store.start.after", Workflow::Create),
    ("engine.intent.after", Workflow::Create),
    ("ops.call.after", Workflow::Update),
    ("engine.outcome.before:3", Workflow::Create),
    ("engine.turn.after", Workflow::Create),
    ("engine.cancel.after", Workflow::Create),
    ("store.commit.before:5", Workflow::Destroy),
];

#[test]
fn row_01_killed_at_every_fail_point() {
    let how = "`apply --detach`, then `serve` with `RAPIDLAUNCH_FAILPOINT` at each point of the sources, for a create, an update and a destroy; started again";
    row("01", "kill -9 at every fail-point", how, || {
        let all = ALL
            .iter()
            .flat_map(|point| [Workflow::Create, Workflow::Update, Workflow::Destroy].map(|flow| (*point, flow)));
        let runs: Vec<(&str, Workflow)> = if full() { all.collect() } else { FEW.to_vec() };
        let (mut kills, mut longest) = (0, Duration::ZERO);
        for (point, workflow) in &runs {
            let (died, took) = die(point, *workflow);
            assert!(died || full(), "{point} did not kill a process");
            kills += usize::from(died);
            longest = longest.max(took);
        }
        assert!(longest < SETTLED);
        Outcome::Pass(format!(
            "{} runs, {kills} ended by the kill; 0 lost, each effect once; settled at most {:.1} s after the restart",
            runs.len(),
            longest.as_secs_f64()
        ))
    });
}

#[test]
fn row_02_killed_at_random_under_load() {
    let how = "a worker over SQLite submits and runs 500 jobs a second and is killed at random, again and again; its acknowledgements are kept outside";
    row("02", "kill -9 at random times under load", how, || {
        let kills = size(10, 200);
        let mut chance = StdRng::seed_from_u64(u64::from(seed()));
        let world = World::with(|config| {
            config.time_scale = 10_000.0;
            config.worker_limit = 64;
        });
        let guests = guests(&world, 64);
        let mut settings = Settings::new(&world, Place::Dir(world.data.clone()), &guests);
        settings.rate = 500;
        let mut heard = Acknowledged::default();
        let (mut recovery, began) = (Duration::ZERO, Instant::now());
        for kill in 0..kills {
            settings.tag = format!("k{kill}");
            settings.jobs = 100_000;
            let started = Instant::now();
            let mut worker = settings.start_only();
            worker.wait_line("ready", READY);
            recovery = recovery.max(started.elapsed());
            std::thread::sleep(Duration::from_millis(chance.random_range(1..400)));
            worker.kill();
            heard.hear(&worker);
        }
        settings.jobs = 0;
        settings.until_idle = true;
        let last = Instant::now();
        let mut worker = settings.start();
        worker.wait_line("idle", Duration::from_secs(300));
        let rest = last.elapsed();
        assert!(heard.marks.len() > kills, "too little was acknowledged: {}", heard.marks.len());
        heard.check(&world, "k");
        let (jobs, refused) = (heard.marks.len(), heard.refused.len());
        world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
        Outcome::Pass(format!(
            "{kills} kills in {:.0} s, {jobs} jobs acknowledged, {refused} refused: 0 lost, 0 doubled; ready again at most {:.2} s after a kill; what the last kill left took {:.1} s",
            began.elapsed().as_secs_f64(),
            recovery.as_secs_f64(),
            rest.as_secs_f64()
        ))
    });
}
