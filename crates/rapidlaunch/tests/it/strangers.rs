//! Guests that are not ours: whatever they do to our numbers, they are not touched, and the operation says what happened.

use serde_json::{Value, json};

use crate::harness::{Allow, Farm, Run, World, farm};

/// The call that makes a container.
const CREATE: &str = "/nodes/*/lxc";
/// The first number of the site's range, which the first container gets.
const FIRST: u64 = 3000;
/// Kinds of strangers.
const KINDS: [&str; 2] = ["lxc", "qemu"];

#[track_caller]
fn proven(run: &Run, containers: usize) {
    let result = run.json();
    let proof = &result["stacks"][0]["proof"];
    assert_eq!(proof["ok"], true, "{proof:#}");
    assert_eq!(proof["items"].as_array().unwrap().len(), containers);
}

#[track_caller]
fn untouched(world: &World, vmid: u64, before: &Value) {
    assert_eq!(&world.guest(vmid), before, "guest {vmid} was touched");
}

/// The description that our guest has, and its tags.
fn stamp_of(world: &World, vmid: u64) -> Value {
    let config = &world.guest(vmid)["config"];
    json!({ "description": config["description"], "tags": config["tags"], "hostname": config["hostname"] })
}

#[test]
fn there_before_the_plan() {
    for kind in KINDS {
        let world = World::new();
        let files = world.write_farm(&farm(3));
        let before = world.stranger(FIRST, kind, false);
        proven(&world.apply(&files).expect(0), 3);
        untouched(&world, FIRST, &before);
        world.run(&["destroy", "farm", "--yes"]).expect(0);
        untouched(&world, FIRST, &before);
        world.finish();
    }
}

#[test]
fn comes_between_plan_and_create() {
    for kind in KINDS {
        let world = World::new();
        let files = world.write_farm(&farm(3));
        world.faults(
            json!([{ "when": { "method": "POST", "path": CREATE }, "action": { "do": "delay", "seconds": 0.7 } }]),
        );
        let child = world.spawn_files(&["apply", "--yes"], &files);
        world.until("a create waits at the door", || world.struck(0) > 0);
        let before = world.stranger(FIRST, kind, false);
        let run = world.wait(child).expect(0);
        assert!(run.text().contains("left alone"), "the operation must say what happened: {}", run.text());
        untouched(&world, FIRST, &before);
        assert_eq!(world.stamped().len(), 3);
        world.run(&["verify", "farm"]).expect(0);
        world.needs_nothing(&files);
        world.finish();
    }
}

#[test]
fn comes_while_a_create_is_retried() {
    for kind in KINDS {
        let world = World::new();
        let files = world.write_farm(&farm(2));
        // Forbidden: a person must act; meanwhile somebody takes the numbers.
        world.faults(json!([{ "when": { "method": "POST", "path": CREATE }, "action": { "do": "refuse", "status": 403, "message": "Permission check failed (/vms/3000, VM.Allocate)" } }]));
        let run = world.run_files(&["apply", "--yes"], &files).expect(4);
        assert!(run.stderr.contains("op retry"), "{}", run.stderr);
        let (first, second) = (world.stranger(FIRST, kind, false), world.stranger(FIRST + 1, kind, false));
        world.sim.clear_faults();
        world.run(&["op", "retry", "last"]).expect(0);
        untouched(&world, FIRST, &first);
        untouched(&world, FIRST + 1, &second);
        proven(&world.apply(&files).expect(0), 2);
        world.finish();
    }
}

#[test]
fn comes_while_the_process_is_dead() {
    for kind in KINDS {
        for point in ["ops.call.before", "ops.call.after", "engine.submitted.after"] {
            eprintln!("{kind}, {point}");
            let world = World::new();
            let files = world.write_farm(&farm(2));
            let args: Vec<&str> = ["apply", "--yes"].into_iter().chain(files.iter().map(String::as_str)).collect();
            assert!(world.run_with(&args, "RAPIDLAUNCH_FAILPOINT", point).killed());
            world.until("nothing is being made", || {
                world.state()["guests"].as_object().unwrap().values().all(|guest| guest["config"]["lock"].is_null())
            });
            let ours: Vec<u64> = [FIRST, FIRST + 1].into_iter().filter(|vmid| !world.guest(*vmid).is_null()).collect();
            ours.iter().for_each(|vmid| world.delete_guest(*vmid));
            let (first, second) = (world.stranger(FIRST, kind, false), world.stranger(FIRST + 1, kind, false));
            proven(&world.apply(&files).expect(0), 2);
            untouched(&world, FIRST, &first);
            untouched(&world, FIRST + 1, &second);
            world.finish_with(Allow { made_again: true, copies: true, ..Allow::default() });
        }
    }
}

/// Our guest was removed by hand and another one has its number.
#[test]
fn sits_on_our_number_when_we_destroy() {
    for kind in KINDS {
        let world = World::new();
        let files = world.write_farm(&farm(2));
        world.apply(&files).expect(0);
        let before = world.stranger(FIRST, kind, true);
        world.run(&["drift", "farm"]).expect(3);
        let run = world.run(&["destroy", "farm", "--yes"]).expect(0);
        assert!(run.stdout.contains("held by another guest (lab/3000), which is not touched"), "{run:?}");
        untouched(&world, FIRST, &before);
        assert!(world.guest(FIRST + 1).is_null());
        world.finish_with(Allow { volumes: true, ..Allow::default() });
    }
}

/// The same, in the moment between the plan to destroy and the first look of its job.
#[test]
fn takes_the_number_while_we_destroy() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.apply(&files).expect(0);
    world.faults(json!([{ "when": { "method": "GET", "path": "/nodes/*/lxc/3000/pending", "nth": 2 }, "action": { "do": "delay", "seconds": 0.7 } }]));
    let mut child = world.spawn(&["destroy", "farm", "--yes"]);
    world.until("the job looks", || world.struck(0) > 0 || !child.runs());
    assert!(child.runs(), "{:?} {:#}", world.wait(child), json!(world.sim.ledger().calls));
    let before = world.stranger(FIRST, "lxc", true);
    let run = world.wait(child).expect(4);
    assert!(run.stderr.contains("nothing was done to it") && run.stderr.contains("op cancel"), "{run:?}");
    untouched(&world, FIRST, &before);
    world.run(&["op", "cancel", "last"]);
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    untouched(&world, FIRST, &before);
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

/// An update finds a stranger in the place of its guest.
#[test]
fn takes_the_number_before_a_change() {
    for kind in KINDS {
        let world = World::new();
        let before = farm(2);
        world.apply(&world.write_farm(&before)).expect(0);
        let files = world.write_farm(&Farm { cores: 4, ..before });
        let stranger = world.stranger(FIRST, kind, true);
        // Ours is gone: it is made anew under another number, and the stranger is not written over.
        proven(&world.apply(&files).expect(0), 2);
        untouched(&world, FIRST, &stranger);
        world.finish_with(Allow { made_again: true, volumes: true, copies: true, ..Allow::default() });
    }
}

/// A clone by hand carries our stamp. Neither the clone nor the original is touched for it.
#[test]
fn a_clone_with_our_stamp() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    let mut config = stamp_of(&world, FIRST);
    config["net0"] = json!("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:77:77:77,ip=10.50.0.10/24,type=veth");
    world.put_guest(json!({ "vmid": 3500, "config": config, "running": false }));
    let clone = world.guest(3500);
    let original = world.guest(FIRST);
    let drift = world.run(&["drift", "farm"]).expect(3);
    assert!(drift.stdout.contains("3500") && drift.stdout.contains("copy"), "{}", drift.stdout);
    let verify = world.run(&["verify", "farm"]).expect(1);
    assert!(verify.stdout.contains("3500"), "{}", verify.stdout);
    let apply = world.run_files(&["apply", "--yes"], &files);
    eprintln!("{apply:?}");
    assert!(apply.code != Some(0), "a copy of a guest is no clean state: {apply:?}");
    untouched(&world, 3500, &clone);
    untouched(&world, FIRST, &original);
    let destroy = world.run(&["destroy", "farm", "--yes"]);
    eprintln!("{destroy:?}");
    untouched(&world, 3500, &clone);
    world.finish_with(Allow { copies: true, volumes: true, ..Allow::default() });
}

#[test]
fn the_stamp_was_taken_off() {
    let world = World::new();
    let before = farm(2);
    world.apply(&world.write_farm(&before)).expect(0);
    let stamp = stamp_of(&world, FIRST);
    world.put_guest(json!({ "vmid": FIRST, "delete": ["description", "tags"] }));
    let bare = world.guest(FIRST);
    let files = world.write_farm(&Farm { cores: 2, ..before });
    let run = world.run_files(&["apply", "--yes"], &files).expect(4);
    assert!(run.text().contains("stamp"), "{}", run.text());
    untouched(&world, FIRST, &bare);
    let run = world.run(&["destroy", "farm", "--yes"]);
    eprintln!("{run:?}");
    untouched(&world, FIRST, &bare);
    // The stamp comes back: all is as before.
    world.put_guest(json!({ "vmid": FIRST, "config": stamp }));
    if run.code == Some(4) {
        proven(&world.apply(&files).expect(0), 2);
    }
    world.finish_with(Allow { volumes: true, copies: true, ..Allow::default() });
}

/// A MAC changed by hand is told, shown in the plan with both values, and put right.
#[test]
fn the_mac_was_changed() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    world.put_guest(json!({ "vmid": FIRST, "config": { "net0": other_net() } }));
    let drift = world.run(&["drift", "farm"]).expect(3);
    assert!(drift.stdout.contains(OTHER_MAC), "{}", drift.stdout);
    let plan = world.run_files(&["plan", "--exit-code"], &files).expect(3);
    assert!(plan.stdout.contains(OTHER_MAC), "{}", plan.stdout);
    proven(&world.apply(&files).expect(0), 2);
    world.finish();
}

/// A MAC that changes between the plan and the act: this may be another guest, so it is left alone.
#[test]
fn the_mac_changes_under_way() {
    let world = World::new();
    let before = farm(1);
    world.apply(&world.write_farm(&before)).expect(0);
    let files = world.write_farm(&Farm { cores: 2, ..before });
    world.faults(json!([{ "when": { "method": "GET", "path": "/nodes/*/lxc/3000/pending", "nth": 2 }, "action": { "do": "delay", "seconds": 0.7 } }]));
    let child = world.spawn_files(&["apply", "--yes"], &files);
    world.until("the job looks", || world.struck(0) > 0);
    world.put_guest(json!({ "vmid": FIRST, "config": { "net0": other_net() } }));
    let changed = world.guest(FIRST);
    let run = world.wait(child).expect(4);
    assert!(run.stderr.contains("op retry"), "{}", run.stderr);
    let shown = world.run(&["op", "show", "last"]).expect(0);
    assert!(shown.stdout.contains(OTHER_MAC) && shown.stdout.contains("hint"), "{}", shown.stdout);
    untouched(&world, FIRST, &changed);
    world.run(&["op", "cancel", "last"]);
    untouched(&world, FIRST, &changed);
    world.finish();
}

const OTHER_MAC: &str = "BC:24:11:55:55:55";

fn other_net() -> String {
    format!("name=eth0,bridge=vmbr0,hwaddr={OTHER_MAC},ip=10.50.0.10/24,type=veth")
}

/// A guest that somebody moved is the same guest still: it is followed, changed and destroyed where it is.
#[test]
fn moved_by_hand() {
    let world = World::new();
    let before = farm(3);
    world.apply(&world.write_farm(&before)).expect(0);
    let from = world.guest(FIRST)["node"].clone();
    let to = ["pve1", "pve2", "pve3"].into_iter().find(|node| from != *node).unwrap();
    world.put_guest(json!({ "vmid": FIRST, "node": to }));
    let drift = world.run(&["drift", "farm"]).expect(3);
    assert!(drift.stdout.contains(&format!("lies on {to}")), "{}", drift.stdout);
    world.run(&["verify", "farm"]).expect(0);
    let files = world.write_farm(&Farm { cores: 2, ..before });
    proven(&world.apply(&files).expect(0), 3);
    assert_eq!((&world.guest(FIRST)["node"], &world.guest(FIRST)["config"]["cores"]), (&json!(to), &json!(2)));
    world.run(&["drift", "farm"]).expect(0);
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    assert_eq!(world.state()["guests"], json!({}));
    world.finish_with(Allow { volumes: true, ..Allow::default() });
}

/// Two installations on one site, with the same stack file: neither touches the other's guests.
#[test]
fn guests_of_another_installation() {
    let world = World::new();
    let files = world.write_farm(&farm(3));
    proven(&world.apply(&files).expect(0), 3);
    let theirs: Vec<(u64, Value)> = world.stamped().iter().map(|guest| (guest.vmid, world.guest(guest.vmid))).collect();
    let other = world.path("other");
    let other = other.to_str().unwrap();
    let with_other = |command: &[&str]| {
        let args: Vec<&str> =
            command.iter().copied().chain(["--data", other]).chain(files.iter().map(String::as_str)).collect();
        world.run(&args)
    };
    let second = with_other(&["apply", "--yes", "--output", "json"]);
    proven(&second.expect(0), 3);
    assert_eq!(world.state()["guests"].as_object().unwrap().len(), 6);
    let addresses: std::collections::BTreeSet<String> =
        world.stamped().into_iter().flat_map(|guest| guest.nics).map(|(_, address)| address).collect();
    assert_eq!(addresses.len(), 6, "two installations gave out one address: {addresses:?}");
    with_other(&["destroy", "--yes"]).expect(0);
    theirs.iter().for_each(|(vmid, before)| untouched(&world, *vmid, before));
    assert_eq!(world.state()["guests"].as_object().unwrap().len(), 3);
    world.run(&["verify", "farm"]).expect(0);
    world.finish();
}

#[test]
fn two_stacks_side_by_side() {
    let world = World::new();
    let farm_files = world.write_farm(&farm(3));
    let ranch_files = world.write_farm(&Farm { name: "ranch", ..farm(3) });
    proven(&world.apply(&farm_files).expect(0), 3);
    proven(&world.apply(&ranch_files).expect(0), 3);
    let listed = world.run(&["guest", "ls", "ranch", "-o", "json"]).expect(0).json();
    let ranch: Vec<u64> =
        listed["guests"].as_array().unwrap().iter().map(|guest| guest["vmid"].as_u64().unwrap()).collect();
    let before: Vec<Value> = ranch.iter().map(|vmid| world.guest(*vmid)).collect();
    world.check_now(Allow::default());
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    let after: Vec<Value> = ranch.iter().map(|vmid| world.guest(*vmid)).collect();
    assert_eq!(before, after);
    assert_eq!(world.state()["guests"].as_object().unwrap().len(), 3);
    world.needs_nothing(&ranch_files);
    world.finish();
}
