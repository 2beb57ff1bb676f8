//! Killed anywhere, the same command again: every container exactly once.
//!
//! The points at which the process dies are those of `rl_engine::failpoints`, all of them, in the first pass and in a
//! later one; beside them, moments drawn from a seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rl_engine::failpoints::{ALL, VARIABLE};
use serde_json::json;

use crate::harness::{Allow, Farm, Run, World, farm};

/// Containers of each apply.
const CONTAINERS: usize = 20;
/// Tests that the points are dealt out to, so that they run side by side.
const SHARDS: usize = 8;
/// A pass in the thick of an apply of twenty.
const LATER: u32 = 9;

/// Points that no apply passes, with the reason. Every other point must kill the process.
const NOT_PASSED: [(&str, &str); 6] = [
    ("engine.schedule.before", "an apply fires no schedule"),
    ("engine.schedule.after", "an apply fires no schedule"),
    ("engine.submit.before", "operations are started together with their stack, through store.start"),
    ("engine.submit.after", "operations are started together with their stack, through store.start"),
    ("ops.secret.before", "these containers have no secrets; secrets.rs kills there"),
    ("ops.secret.after", "these containers have no secrets; secrets.rs kills there"),
];

/// What must happen for a point to be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// A plain apply passes it.
    Plain,
    /// A call is refused first.
    Refused,
    /// A stranger takes the VMID while the apply runs.
    Stranger,
    /// The operation is cancelled.
    Cancelled,
    /// Tasks fail, so that jobs turn round and undo what they did.
    Failing,
}

fn course(point: &str) -> Course {
    match point {
        "engine.withdraw.before" | "engine.withdraw.after" | "engine.finish.before" | "engine.finish.after" => {
            Course::Refused
        }
        "ops.reserve.after" => Course::Stranger,
        "engine.cancel.before" | "engine.cancel.after" => Course::Cancelled,
        "engine.turn.before" | "engine.turn.after" => Course::Failing,
        _ => Course::Plain,
    }
}

/// Points that one apply passes once or twice, so that a later pass does not come.
fn passed_often(point: &str) -> bool {
    !(point.starts_with("store.start")
        || point.starts_with("engine.cancel")
        || point == "ops.proof.before"
        || point == "ops.reserve.after")
}

/// The result of an apply that must have made and proven all there is to be.
#[track_caller]
fn whole(world: &World, run: &Run, containers: usize) {
    let result = run.json();
    let stack = &result["stacks"][0];
    assert_eq!(stack["ok"], true, "{result:#}");
    assert_eq!(stack["proof"]["ok"], true, "{:#}", stack["proof"]);
    assert_eq!(stack["proof"]["items"].as_array().unwrap().len(), containers);
    assert_eq!(world.stamped().len(), containers);
}

/// Every stamp was created once, by the site's own ledger.
#[track_caller]
fn each_once(world: &World, containers: usize) {
    let ledger = world.sim.ledger();
    let made: Vec<u64> = ledger
        .by_description_line
        .iter()
        .filter(|(line, _)| line.contains(" controller="))
        .map(|(_, kinds)| kinds.get("create").copied().unwrap_or(0))
        .collect();
    assert_eq!(made, vec![1; containers], "{:#?}", ledger.by_description_line);
}

/// Applies with a point armed; then again without.
fn die_and_go_on(point: &str, pass: u32) {
    eprintln!("{point}:{pass}");
    let world = World::new();
    let files = world.write_farm(&farm(CONTAINERS));
    let args = apply_args(&files);
    prepare(&world, point);
    let first = world.run_with(&args, VARIABLE, &format!("{point}:{pass}"));
    let expected = pass == 1 && !NOT_PASSED.iter().any(|(name, _)| *name == point);
    if expected {
        assert!(first.killed(), "{point} did not kill the process: {first:#?}");
    } else {
        assert!(
            first.killed() || first.code == Some(0) || course(point) == Course::Failing,
            "{point}:{pass}: {first:#?}"
        );
    }
    world.sim.clear_faults();
    let mut second = world.apply(&files);
    if course(point) == Course::Failing && second.code == Some(1) {
        // What had failed before the kill is undone and told; the next apply makes it.
        second = world.apply(&files);
    }
    let second = second.expect(0);
    whole(&world, &second, CONTAINERS);
    each_once(&world, CONTAINERS);
    world.finish();
}

/// Brings about what the point needs.
fn prepare(world: &World, point: &str) {
    match course(point) {
        Course::Plain | Course::Cancelled => {}
        Course::Refused => world.faults(json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "times": 30 },
            "action": { "do": "refuse", "status": 500, "message": "can't lock file '/run/lock/lxc/pve-config-1.lock' - got timeout" } }])),
        Course::Failing => world.faults(json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "times": 12 },
            "action": { "do": "fail-task", "text": "command 'mkfs.ext4' failed: exit code 1" } }])),
        // The plan sees an empty site; the stranger comes with a delay of the first create, below.
        Course::Stranger => {}
    }
}

fn shard(number: usize) {
    for (_, point) in ALL.iter().enumerate().filter(|(at, _)| at % SHARDS == number) {
        match course(point) {
            Course::Plain | Course::Refused | Course::Failing => {
                die_and_go_on(point, 1);
                if passed_often(point) && !NOT_PASSED.iter().any(|(name, _)| name == point) {
                    die_and_go_on(point, LATER);
                }
            }
            Course::Stranger => die_while_a_stranger_comes(point),
            Course::Cancelled => die_while_cancelling(point),
        }
    }
}

macro_rules! shards {
    ($($name:ident = $number:literal),* $(,)?) => {
        $(#[test] fn $name() { shard($number); })*

        #[test]
        fn every_shard_has_a_test() {
            assert_eq!([$($number),*], std::array::from_fn::<usize, SHARDS, _>(|at| at));
        }
    };
}

shards! {
    points_0 = 0, points_1 = 1, points_2 = 2, points_3 = 3, points_4 = 4, points_5 = 5, points_6 = 6, points_7 = 7,
}

/// The process dies just after it has leased another VMID because a stranger holds the first.
fn die_while_a_stranger_comes(point: &str) {
    eprintln!("{point} with a stranger");
    let world = World::new();
    let files = world.write_farm(&farm(CONTAINERS));
    // The creates wait at the site's door for a moment, in which the stranger takes the first VMID.
    world.faults(json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "times": 12 }, "action": { "do": "delay", "seconds": 0.7 } }]));
    let args = apply_args(&files);
    let mut command = world.command(&args);
    command.env(VARIABLE, point);
    let child = world.spawn_command(command);
    world.until("a create waits at the door", || world.struck(0) > 0);
    let before = world.stranger(3000, "lxc", false);
    let first = world.wait(child);
    assert!(first.killed(), "{point} did not kill the process: {first:#?}");
    world.sim.clear_faults();
    let second = world.apply(&files).expect(0);
    whole(&world, &second, CONTAINERS);
    assert_eq!(world.guest(3000), before, "the stranger was touched");
    world.finish();
}

/// The process dies while it cancels what an earlier one left.
fn die_while_cancelling(point: &str) {
    eprintln!("{point}");
    let world = World::new();
    let files = world.write_farm(&farm(CONTAINERS));
    let args: Vec<&str> = ["apply", "--yes"].into_iter().chain(files.iter().map(String::as_str)).collect();
    assert!(world.run_with(&args, VARIABLE, "ops.call.after:7").killed());
    assert!(world.run_with(&["op", "cancel", "last"], VARIABLE, point).killed(), "{point} did not kill the process");
    world.run(&["op", "cancel", "last"]).expect(0);
    world.check_now(Allow { made_again: true, ..Allow::default() });
    let second = world.apply(&files).expect(0);
    whole(&world, &second, CONTAINERS);
    world.finish_with(Allow { made_again: true, ..Allow::default() });
}

/// Kills the run when the site has been asked so often.
fn kill_after_calls(world: &World, args: &[&str], calls: u64) -> Run {
    let goal = world.sim.ledger().calls_total + calls;
    let mut child = world.spawn(args);
    while child.runs() && world.sim.ledger().calls_total < goal {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill();
    world.wait(child)
}

fn apply_args(files: &[String]) -> Vec<&str> {
    ["apply", "--yes", "--output", "json"].into_iter().chain(files.iter().map(String::as_str)).collect()
}

/// Killed again and again at moments drawn from a seed, until a run comes to its end.
fn killed_at_random(seed: u64) {
    eprintln!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let world = World::with(|config| config.seed = seed);
    let files = world.write_farm(&farm(CONTAINERS));
    for _ in 0..3 {
        kill_after_calls(&world, &apply_args(&files), chance.random_range(1..60));
    }
    let last = world.apply(&files).expect(0);
    whole(&world, &last, CONTAINERS);
    each_once(&world, CONTAINERS);
    world.finish();
}

/// Fixed, so that a run says the same everywhere; `RAPIDLAUNCH_TEST_SEED` draws other moments.
fn drawn() -> u64 {
    u64::from(crate::harness::seed()) * 100
}

#[test]
fn random_moments_a() {
    (drawn() + 1..=drawn() + 4).for_each(killed_at_random);
}

#[test]
fn random_moments_b() {
    (drawn() + 5..=drawn() + 8).for_each(killed_at_random);
}

/// Points that a destroy and an update pass, each with the pass in which the process dies.
const WITHIN: [&str; 8] = [
    "engine.claim.after:1",
    "engine.intent.after:3",
    "engine.submitted.before:3",
    "engine.outcome.before:3",
    "engine.outcome.after:3",
    "ops.call.before:3",
    "ops.call.after:3",
    "store.commit.before:3",
];

fn die_in_destroy(points: &[&str]) {
    for point in points {
        eprintln!("destroy, {point}");
        let world = World::new();
        let files = world.write_farm(&farm(6));
        world.apply(&files).expect(0);
        let first = world.run_with(&["destroy", "farm", "--yes"], VARIABLE, point);
        assert!(first.killed(), "{point} did not kill the process: {first:#?}");
        world.run(&["destroy", "farm", "--yes"]).expect(0);
        assert_eq!(world.stamped(), []);
        assert_eq!(world.state()["guests"], json!({}));
        assert_eq!(world.sim.ledger().by_kind["destroy"], 6);
        world.finish();
    }
}

#[test]
fn killed_in_destroy_a() {
    die_in_destroy(&WITHIN[..4]);
}

#[test]
fn killed_in_destroy_b() {
    die_in_destroy(&WITHIN[4..]);
}

fn die_in_update(points: &[&str]) {
    for point in points {
        eprintln!("update, {point}");
        let world = World::new();
        let before = farm(6);
        world.apply(&world.write_farm(&before)).expect(0);
        let files = world.write_farm(&Farm { cores: 3, memory: 320, ..before });
        let first = world.run_with(&apply_args(&files), VARIABLE, point);
        assert!(first.killed(), "{point} did not kill the process: {first:#?}");
        let last = world.apply(&files).expect(0);
        whole(&world, &last, 6);
        each_once(&world, 6);
        let state = world.state();
        for guest in state["guests"].as_object().unwrap().values() {
            assert_eq!((&guest["config"]["cores"], &guest["config"]["memory"]), (&json!(3), &json!(320)), "{guest:#}");
            assert_eq!(guest["pending"], json!({}));
        }
        world.needs_nothing(&files);
        world.finish();
    }
}

#[test]
fn killed_in_update_a() {
    die_in_update(&WITHIN[..4]);
}

#[test]
fn killed_in_update_b() {
    die_in_update(&WITHIN[4..]);
}
