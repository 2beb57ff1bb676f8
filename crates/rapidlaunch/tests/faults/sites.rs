//! Rows 9 and 20: the site cannot be reached, loses answers, reboots a node, hangs.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Allow, World, farm, seed, site};
use crate::launch::{SETTLED, each_once};
use crate::proxy::Proxy;
use crate::report::{Outcome, row, size};

/// How long an operation may take under faults that last.
const PATIENT: Duration = Duration::from_secs(120);

#[test]
fn row_09_answers_of_the_site_are_lost() {
    let how = "pve-sim drops the answer after the work, or the request before it; a proxy before it holds requests, answers, or both";
    row("09", "partition server - Proxmox, lost answers", how, || {
        let (seeds, containers) = size((1, 8), (10, 20));
        let mut struck = 0;
        for seed in u64::from(seed())..u64::from(seed()) + seeds {
            struck += answers_lost(seed, containers);
        }
        let held = [(true, false), (false, true), (true, true)];
        for (requests, answers) in held {
            partition(containers, requests, answers, Duration::from_secs_f64(size(1.0, 20.0)));
        }
        Outcome::Pass(format!(
            "{seeds} seeds, {struck} calls lost, 3 partitions: every container made once, UPIDs taken up again, 0 doubled"
        ))
    });
}

fn answers_lost(seed: u64, containers: usize) -> u64 {
    let world = World::with(|config| config.seed = seed);
    let id = world.detach(&world.write_farm(&farm(containers)));
    let lose = |action: &str, how: &str, method: &str, path: &str| json!({ "when": { "method": method, "path": path, "probability": 0.2 }, "action": { "do": action, "how": how } });
    let create = "/nodes/*/lxc";
    let faults = [
        lose("lose-answer", "close", "POST", create),
        lose("lose-answer", "timeout", "POST", create),
        lose("lose-request", "close", "POST", create),
        lose("lose-answer", "close", "POST", "/nodes/*/lxc/*/status/*"),
        lose("lose-request", "close", "GET", "/nodes/*/tasks/**"),
    ];
    world.faults(json!(faults));
    let mut server = world.serve(&[]);
    assert_eq!(world.settled(&mut server, &id, PATIENT).as_deref(), Some("done"));
    server.end(SETTLED);
    let struck = (0..faults.len()).map(|fault| world.struck(fault)).sum();
    assert!(struck > 0, "no fault struck");
    each_once(&world, containers);
    world.run(&["verify", "farm"]).expect(0);
    world.finish();
    struck
}

/// A silent partition in the middle of a launch.
fn partition(containers: usize, requests: bool, answers: bool, lasts: Duration) {
    let world = World::new();
    let address: SocketAddr = world.sim.url().trim_start_matches("https://").trim_end_matches('/').parse().unwrap();
    let proxy = Proxy::before(address);
    let token = format!("{{ file: {} }}", world.path("lab.token").display());
    let url = format!("https://127.0.0.1:{}", proxy.port());
    let site = world.write("proxied.yaml", &site(&[url], world.sim.fingerprint(), &token));
    let stack = world.write("farm.yaml", &farm(containers).yaml());
    let files =
        [site, stack].into_iter().flat_map(|file| ["-f".to_owned(), file.display().to_string()]).collect::<Vec<_>>();
    let id = world.detach(&files);
    let mut server = world.serve(&["--lease", "5s"]);
    world.until("a container is made", || world.creates() > 0);
    proxy.hold(requests, answers);
    std::thread::sleep(lasts);
    proxy.hold(false, false);
    assert_eq!(world.settled(&mut server, &id, PATIENT).as_deref(), Some("done"));
    server.end(SETTLED);
    each_once(&world, containers);
    world.run(&["verify", "farm"]).expect(0);
    world.finish();
}

#[test]
fn row_20_nodes_reboot_and_tasks_hang() {
    let how = "pve-sim takes a node off the network under `serve`, kills a task's worker, forgets every second task when it has ended, lets a task hang until the operation is cancelled";
    row("20", "node reboot, UPID gone, task hung", how, || {
        let containers = size(6, 20);
        node_lost(containers);
        worker_killed();
        let gone = upids_gone(containers);
        task_hangs();
        Outcome::Pass(format!(
            "a node lost under {containers} containers, a task without an end, {gone} UPIDs gone, a task that hangs: settled by the state of the guest or by a person's word; no slot leaked"
        ))
    });
}

/// The node is away for longer than the first calls are patient.
fn node_lost(containers: usize) {
    let world = World::new();
    let files = world.write_farm(&farm(containers));
    let id = world.detach(&files);
    let seconds = size(2.0, 20.0);
    world.faults(json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "nth": 3 }, "action": { "do": "drop-node", "node": "pve2", "seconds": seconds } }]));
    let mut server = world.serve(&[]);
    let state = world.settled(&mut server, &id, PATIENT).unwrap();
    server.end(SETTLED);
    let allow = Allow { made_again: state != "done", volumes: state == "blocked", ..Allow::default() };
    if state == "blocked" {
        help(&world, &id);
    }
    if state != "done" {
        world.sim.clear_faults();
        world.apply(&files).expect(0);
    }
    assert_eq!(world.stamped().len(), containers);
    world.run(&["verify", "farm"]).expect(0);
    world.finish_with(allow);
}

/// Helps where the containers' making died; otherwise what was in the way is gone by now.
#[track_caller]
pub(crate) fn help_if_asked(world: &World, id: &str) {
    if world.shown(id).to_string().contains("pct unlock") {
        return help(world, id);
    }
    world.run(&["op", "retry", id]).expect(0);
}

/// Does what the hint of a blocked job asks for: takes away containers whose making died.
#[track_caller]
fn help(world: &World, id: &str) {
    let shown = world.shown(id).to_string();
    assert!(shown.contains("pct unlock") && shown.contains("pct destroy"), "{shown}");
    let state = world.state();
    for (vmid, guest) in state["guests"].as_object().unwrap() {
        if guest["config"]["lock"] == "create" {
            world.delete_guest(vmid.parse().unwrap());
        }
    }
    world.run(&["op", "retry", id]);
}

/// A task that has no end: its jobs wait for a person, the others go on.
fn worker_killed() {
    let world = World::new();
    let files = world.write_farm(&farm(5));
    let id = world.detach(&files);
    world.faults(
        json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "nth": 1 }, "action": { "do": "kill-task" } }]),
    );
    let mut server = world.serve(&[]);
    let state = world.settled(&mut server, &id, PATIENT).unwrap();
    server.end(SETTLED);
    let counts: Vec<Value> =
        world.shown(&id)["jobs"].as_array().unwrap().iter().map(|job| job["state"].clone()).collect();
    assert_eq!(
        counts.iter().filter(|state| **state == "done").count(),
        if state == "done" { 5 } else { 4 },
        "{counts:?}"
    );
    if state == "blocked" {
        help(&world, &id);
    }
    world.apply(&files).expect(0);
    assert_eq!(world.stamped().len(), 5);
    world.finish_with(Allow { made_again: true, volumes: true, ..Allow::default() });
}

/// Tasks end and are forgotten before anybody has asked how: the guests are looked at. How many were forgotten.
fn upids_gone(containers: usize) -> u64 {
    let world = World::new();
    let id = world.detach(&world.write_farm(&farm(containers)));
    let forget = |method: &str, path: &str| json!({ "when": { "method": method, "path": path, "probability": 0.5 }, "action": { "do": "forget-task" } });
    world.faults(json!([forget("POST", "/nodes/*/lxc"), forget("POST", "/nodes/*/lxc/*/status/*")]));
    let mut server = world.serve(&[]);
    assert_eq!(world.settled(&mut server, &id, PATIENT).as_deref(), Some("done"));
    server.end(SETTLED);
    let gone = world.struck(0) + world.struck(1);
    assert!(gone > 0, "no task was forgotten");
    each_once(&world, containers);
    world.run(&["verify", "farm"]).expect(0);
    world.finish();
    gone
}

/// A task that makes no progress: the operation is cancelled, the task is stopped, and its places are free again.
fn task_hangs() {
    let world = World::new();
    let files = world.write_farm(&farm(3));
    let id = world.detach(&files);
    world.faults(
        json!([{ "when": { "method": "POST", "path": "/nodes/*/lxc", "nth": 1 }, "action": { "do": "hang-task" } }]),
    );
    let mut server = world.serve(&[]);
    world.until("a task hangs", || world.struck(0) > 0);
    std::thread::sleep(Duration::from_millis(300));
    world.run(&["op", "cancel", &id]).expect(0);
    let state = world.settled(&mut server, &id, PATIENT).unwrap();
    let allow = Allow { made_again: true, volumes: state == "blocked", ..Allow::default() };
    server.end(SETTLED);
    world.sim.clear_faults();
    if state == "blocked" {
        help(&world, &id);
        assert!(world.serve_to_end(&[], &id) != "blocked");
    }
    world.apply(&files).expect(0);
    assert_eq!(world.stamped().len(), 3);
    world.finish_with(allow);
}
