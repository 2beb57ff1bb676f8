//! The site misbehaves while twenty containers are made: it ends well, or says what a person must do; nothing is doubled.

use serde_json::{Value, json};

use crate::harness::{Allow, Farm, Run, World, farm};

const CONTAINERS: usize = 20;
/// The call that makes a container.
const CREATE: &str = "/nodes/*/lxc";

/// How an apply under faults may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It must come through by itself.
    Well,
    /// Some containers may fail and be undone; the next apply makes them.
    FailedThenWell,
    /// As above, and a container whose making died on its node may need a person, because the API cannot unlock it.
    HelpedThenWell,
}

#[track_caller]
fn proven(run: &Run, containers: usize) {
    let result = run.json();
    let proof = &result["stacks"][0]["proof"];
    assert_eq!(proof["ok"], true, "{proof:#}");
    assert_eq!(proof["items"].as_array().unwrap().len(), containers);
}

/// Applies under faults, and once more without them when it had to give up.
#[track_caller]
fn apply_under(faults: Value, end: End) -> World {
    let world = World::new();
    let files = world.write_farm(&farm(CONTAINERS));
    world.faults(faults);
    let first = world.apply(&files);
    struck(&world);
    settle(&world, &files, first, end);
    world
}

/// Every fault of the test must have struck, or the test shows nothing.
#[track_caller]
fn struck(world: &World) {
    for fault in world.control("GET", "/faults", Value::Null).as_array().unwrap() {
        assert!(fault["struck"].as_u64().unwrap() > 0, "this fault never struck: {fault}");
    }
}

#[track_caller]
fn settle(world: &World, files: &[String], first: Run, end: End) {
    let first = if end == End::Well { first.expect(0) } else { first };
    world.sim.clear_faults();
    let last = match first.code {
        Some(0) => first,
        Some(1) => {
            assert!(
                first.stderr.contains("apply again to go on"),
                "the message must tell what to do: {}",
                first.stderr
            );
            world.apply(files).expect(0)
        }
        Some(4) if end == End::HelpedThenWell => {
            help(world, &first);
            // What was undone meanwhile is made by the apply after the retry.
            world.run(&["op", "retry", "last"]);
            world.apply(files).expect(0)
        }
        code => panic!("ended with {code:?}: {}", first.text()),
    };
    proven(&last, CONTAINERS);
    assert_eq!(world.stamped().len(), CONTAINERS);
    world.finish_with(Allow { made_again: end != End::Well, volumes: end == End::HelpedThenWell, ..Allow::default() });
}

/// Does what the message of a blocked operation asks for: takes away the containers whose making died.
#[track_caller]
fn help(world: &World, run: &Run) {
    assert!(run.stderr.contains("op retry"), "{}", run.stderr);
    let troubles = run.json()["stacks"][0]["operation"]["troubles"].to_string();
    assert!(troubles.contains("pct unlock"), "the result must say what to do: {troubles}");
    let shown = world.run(&["op", "show", "last"]).expect(0).stdout;
    assert!(shown.contains("pct unlock") && shown.contains("pct destroy"), "{shown}");
    let state = world.state();
    let guests = state["guests"].as_object().unwrap();
    eprintln!("a person is asked to help");
    let broken: Vec<&String> =
        guests.iter().filter(|(_, guest)| guest["config"]["lock"] == "create").map(|(vmid, _)| vmid).collect();
    assert!(!broken.is_empty(), "it asked for help although no container is half made: {shown}");
    for vmid in broken {
        world.delete_guest(vmid.parse().unwrap());
    }
}

#[test]
fn answers_lost_after_the_work() {
    let lose = |how: &str| json!({ "when": { "method": "POST", "path": CREATE, "probability": 0.3 }, "action": { "do": "lose-answer", "how": how } });
    apply_under(json!([lose("close")]), End::Well);
    apply_under(json!([lose("timeout")]), End::Well);
}

#[test]
fn requests_lost_before_the_work() {
    let lose = |how: &str| json!({ "when": { "method": "POST", "path": CREATE, "probability": 0.3 }, "action": { "do": "lose-request", "how": how } });
    apply_under(json!([lose("close")]), End::Well);
    apply_under(json!([lose("timeout")]), End::Well);
}

#[test]
fn every_kind_of_read_is_lost_now_and_then() {
    apply_under(
        json!([{ "when": { "method": "GET", "path": "**", "probability": 0.1 }, "action": { "do": "lose-request" } }]),
        End::Well,
    );
}

#[test]
fn tasks_fail_late() {
    let fail = |done: bool| {
        json!([{ "when": { "method": "POST", "path": CREATE, "times": 4 },
            "action": { "do": "fail-task", "text": "command 'mkfs.ext4' failed: exit code 1", "done": done } }])
    };
    apply_under(fail(false), End::FailedThenWell);
    apply_under(fail(true), End::FailedThenWell);
}

#[test]
fn tasks_fail_for_a_reason_that_passes() {
    let fault = json!([{ "when": { "method": "POST", "path": CREATE, "times": 4 },
        "action": { "do": "fail-task", "text": "storage 'local-zfs' is locked: got timeout" } }]);
    apply_under(fault, End::Well);
}

#[test]
fn refused_for_a_while() {
    let refuse = |status: u16, message: &str| json!([{ "when": { "method": "POST", "path": CREATE, "times": 8 }, "action": { "do": "refuse", "status": status, "message": message } }]);
    apply_under(refuse(500, "can't lock file '/run/lock/lxc/pve-config-3001.lock' - got timeout"), End::Well);
    apply_under(refuse(595, "Connection refused"), End::Well);
    apply_under(refuse(503, "Service Unavailable"), End::Well);
}

#[test]
fn the_proxy_restarts() {
    apply_under(
        json!([{ "when": { "method": "GET", "path": "**", "probability": 0.05 }, "action": { "do": "restart-proxy" } }]),
        End::Well,
    );
}

#[test]
fn the_quorum_is_lost_for_a_while() {
    apply_under(
        json!([{ "when": { "method": "POST", "path": CREATE, "nth": 5 }, "action": { "do": "lose-quorum", "seconds": 1.5 } }]),
        End::FailedThenWell,
    );
}

#[test]
fn a_node_is_lost_and_comes_back() {
    apply_under(
        json!([{ "when": { "method": "POST", "path": CREATE, "nth": 8 }, "action": { "do": "drop-node", "node": "pve2", "seconds": 2.0 } }]),
        End::HelpedThenWell,
    );
}

#[test]
fn everything_is_slow() {
    apply_under(
        json!([{ "when": { "path": "**", "probability": 0.2 }, "action": { "do": "delay", "seconds": 0.2 } }]),
        End::Well,
    );
}

#[test]
fn a_bit_of_everything() {
    for seed in [1, 2, 3] {
        eprintln!("seed {seed}");
        let world = World::with(|config| config.seed = seed);
        let files = world.write_farm(&farm(CONTAINERS));
        world.faults(json!([
            { "when": { "method": "POST", "path": CREATE, "probability": 0.15 }, "action": { "do": "lose-answer" } },
            { "when": { "method": "POST", "path": CREATE, "probability": 0.15 }, "action": { "do": "lose-request", "how": "timeout" } },
            { "when": { "method": "GET", "path": "**", "probability": 0.05 }, "action": { "do": "lose-answer" } },
            { "when": { "path": "**", "probability": 0.05 }, "action": { "do": "delay", "seconds": 0.1 } },
        ]));
        let first = world.apply(&files);
        settle(&world, &files, first, End::Well);
    }
}

/// A worker that is killed leaves a container that the API can neither finish nor remove: a person is asked.
#[test]
fn a_killed_worker_asks_for_a_person() {
    let world = World::new();
    let files = world.write_farm(&farm(3));
    world.faults(json!([{ "when": { "method": "POST", "path": CREATE, "nth": 1 }, "action": { "do": "kill-task" } }]));
    let first = world.apply(&files);
    if first.code == Some(4) {
        help(&world, &first);
        world.run(&["op", "retry", "last"]).expect(0);
    } else {
        first.expect(0);
    }
    let last = world.apply(&files).expect(0);
    proven(&last, 3);
    world.finish_with(Allow { made_again: true, volumes: true, ..Allow::default() });
}

/// Locks held by somebody else, a backup for one, are waited for.
#[test]
fn a_lock_held_by_a_backup_is_waited_for() {
    let world = World::new();
    let before = farm(4);
    world.apply(&world.write_farm(&before)).expect(0);
    let files = world.write_farm(&Farm { cores: 2, ..before });
    let hold = |vmid: u64| json!({ "when": { "method": "PUT", "path": "/nodes/*/lxc/*/config", "nth": vmid - 2999 }, "action": { "do": "hold-lock", "vmid": vmid, "lock": "backup", "seconds": 0.6 } });
    world.faults(json!([hold(3000), hold(3001)]));
    let run = world.apply(&files).expect(0);
    struck(&world);
    proven(&run, 4);
    world.finish();
}

#[test]
fn answers_lost_while_changing_and_destroying() {
    let world = World::new();
    let before = farm(6);
    world.apply(&world.write_farm(&before)).expect(0);
    let files = world.write_farm(&Farm { cores: 2, memory: 300, ..before });
    let lose = |method: &str, path: &str| json!({ "when": { "method": method, "path": path, "probability": 0.4 }, "action": { "do": "lose-answer" } });
    world.faults(json!([
        lose("PUT", "/nodes/*/lxc/*/config"),
        lose("POST", "/nodes/*/lxc/*/status/*"),
        lose("DELETE", "/nodes/*/lxc/*")
    ]));
    proven(&world.apply(&files).expect(0), 6);
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    assert_eq!(world.state()["guests"], json!({}));
    world.finish();
}
