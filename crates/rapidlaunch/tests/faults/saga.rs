//! Rows 18 and 19: an operation that fails at each step, and one that is cancelled at each moment.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Allow, World, farm};
use crate::launch::SETTLED;
use crate::process::READY;
use crate::report::{Outcome, row, size};

/// How long an operation that fails again and again may take to be undone.
const PATIENT: Duration = Duration::from_secs(150);

/// Every call that makes, starts, or writes, and a way to fail for good.
fn failures() -> Vec<(&'static str, Value)> {
    let fail = |method: &str, path: &str, text: &str, done: bool| json!([{ "when": { "method": method, "path": path }, "action": { "do": "fail-task", "text": text, "done": done } }]);
    let refuse = |method: &str, path: &str, status: u16, message: &str| json!([{ "when": { "method": method, "path": path }, "action": { "do": "refuse", "status": status, "message": message } }]);
    vec![
        (
            "create fails, nothing is there",
            fail("POST", "/nodes/*/lxc", "command 'mkfs.ext4' failed: exit code 1", false),
        ),
        (
            "create fails, the container is there",
            fail("POST", "/nodes/*/lxc", "command 'mkfs.ext4' failed: exit code 1", true),
        ),
        ("create is refused", refuse("POST", "/nodes/*/lxc", 400, "Parameter verification failed.")),
        ("create is not allowed", refuse("POST", "/nodes/*/lxc", 403, "Permission check failed (/vms, VM.Allocate)")),
        (
            "one of several creates fails",
            json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "nth": 2 },
            "action": { "do": "fail-task", "text": "command 'mkfs.ext4' failed: exit code 1", "done": false } }]),
        ),
        (
            "create fails, and so does taking away its trace",
            json!([
                { "when": { "method": "POST", "path": "/nodes/*/lxc", "times": 2 }, "action": { "do": "kill-task" } },
                { "when": { "method": "DELETE", "path": "/nodes/*/lxc/*", "times": 2 }, "action": { "do": "refuse", "status": 500, "message": "got timeout" } },
            ]),
        ),
    ]
}

#[test]
fn row_18_fails_at_each_step() {
    let how = "`apply --detach` and `serve` against a site on which one step fails for good: a create refused, not allowed, failing with and without a trace, failing alone, failing so that its undo fails too; the proofs of rl-ops fail, repeat and undo each step of every kind of job";
    row("18", "saga: fail at each step, undo", how, || {
        let (mut undone, mut came_through, mut waited) = (Vec::new(), Vec::new(), Vec::new());
        for (what, faults) in failures() {
            eprintln!("{what}");
            let world = World::new();
            let files = world.write_farm(&farm(size(2, 6)));
            let id = world.detach(&files);
            world.faults(faults);
            let mut server = world.serve(&[]);
            let state = world.settled(&mut server, &id, PATIENT).unwrap();
            server.end(SETTLED);
            assert!(world.struck(0) > 0, "{what}: nothing failed");
            world.sim.clear_faults();
            if state == "failed" {
                // Other jobs of the operation may be done; what failed has left nothing.
                let (guests, done) = (world.stamped().len(), done(&world, &id));
                assert_eq!(guests, done, "{what}");
                undone.push(what);
            } else if state == "done" {
                // The container was there after all: looked at, and taken as made.
                came_through.push(what);
            } else {
                // What a person must mend first is not undone behind their back, and goes on when it is mended.
                assert_eq!(state, "blocked", "{what}");
                crate::sites::help_if_asked(&world, &id);
                waited.push(what);
            }
            world.apply(&files).expect(0);
            world.run(&["verify", "farm"]).expect(0);
            world.finish_with(Allow { made_again: true, volumes: waited.last() == Some(&what), ..Allow::default() });
        }
        assert!(undone.len() >= 3, "only {undone:?} were undone");
        Outcome::Pass(format!(
            "{} failures: {} undone to the initial state, {} found done after all, the others waited for a person and went on; 0 orphans",
            failures().len(),
            undone.len(),
            came_through.len()
        ))
    });
}

/// Jobs of an operation that are done.
fn done(world: &World, id: &str) -> usize {
    let shown = world.shown(id);
    shown["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "done").count()
}

#[test]
fn row_19_cancelled_at_each_moment() {
    let how = "`op cancel` after the n-th call to the site, for every n that a launch of three containers makes, also while tasks run; `serve` obeys";
    row("19", "cancel at every boundary and in a task", how, || {
        let (mut cancelled, mut done) = (0, 0);
        let steps: Vec<u64> = (0..60).step_by(size(10, 1)).collect();
        for calls in &steps {
            match cancel_after(*calls) {
                true => cancelled += 1,
                false => done += 1,
            }
        }
        assert!(cancelled > 2, "nothing was cancelled");
        Outcome::Pass(format!(
            "{} moments: {cancelled} cancelled and undone, {done} too late and done; no task ran on, 0 orphans",
            steps.len()
        ))
    });
}

/// Cancels when the site was called so often; whether that came in time.
fn cancel_after(calls: u64) -> bool {
    let world = World::with(|config| config.time_scale = 5.0);
    let files = world.write_farm(&farm(3));
    let id = world.detach(&files);
    let before = world.sim.ledger().calls_total;
    let mut server = world.serve_with(&[], &[]);
    server.wait_line("\"ready\"", READY);
    while world.sim.ledger().calls_total < before + calls
        && !server.lines().iter().any(|line| line.contains("\"done\""))
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    let asked = world.run(&["op", "cancel", &id]);
    assert!(matches!(asked.code, Some(0 | 2)), "{asked:?}");
    let state = world.settled(&mut server, &id, SETTLED).unwrap();
    let running = running_tasks(&world);
    assert_eq!(running, 0, "cancelled after {calls} calls, and tasks run on");
    server.end(SETTLED);
    if state == "cancelled" {
        // What was done before stays or is gone; nothing is half there.
        for guest in world.state()["guests"].as_object().unwrap().values() {
            assert!(guest["config"]["lock"].is_null(), "{guest}");
        }
    }
    world.apply(&files).expect(0);
    assert_eq!(world.stamped().len(), 3);
    world.finish_with(Allow { made_again: true, ..Allow::default() });
    state == "cancelled"
}

/// Tasks that the site still works on.
fn running_tasks(world: &World) -> usize {
    let state = world.state();
    let tasks = state["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().filter(|task| task["status"] == "running" || task["endtime"].is_null()).count()
}
