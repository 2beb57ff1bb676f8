//! Commands about one guest.

use serde_json::{Value, json};

use crate::harness::{Allow, Farm, World, farm};

fn made() -> World {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    world
}

#[test]
fn stopped_started_restarted() {
    let world = made();
    world.run(&["guest", "stop", "w-1"]).expect(0);
    assert_eq!(world.guest(3000)["running"], false);
    assert_eq!(world.guest(3001)["running"], true);
    world.run(&["guest", "stop", "w-1"]).expect(0);
    world.until("the stop shows", || world.run(&["drift"]).code == Some(3));
    world.run(&["guest", "start", "w-1"]).expect(0);
    assert_eq!(world.guest(3000)["running"], true);
    world.run(&["guest", "restart", "farm/w-2"]).expect(0);
    assert_eq!(world.guest(3001)["running"], true);
    world.until("the start shows", || world.run(&["drift"]).code == Some(0));
    world.run(&["verify", "farm"]).expect(0);
    world.finish();
}

#[test]
fn snapshots_from_first_to_last() {
    let world = made();
    let listed = || world.run(&["guest", "snapshot", "ls", "w-1", "-o", "json"]).expect(0).json()["snapshots"].clone();
    assert_eq!(listed(), json!([]));
    world.run(&["guest", "snapshot", "create", "w-1", "before"]).expect(0);
    assert_eq!(listed(), json!(["before"]));
    // Making it again is no second one.
    let again = world.run(&["guest", "snapshot", "create", "w-1", "before"]);
    assert!(again.code.is_some() && listed() == json!(["before"]), "{again:?}");
    world.run(&["guest", "snapshot", "rollback", "w-1", "before"]).expect(2);
    world.run(&["guest", "snapshot", "rollback", "w-1", "before", "--yes"]).expect(0);
    world.run(&["guest", "snapshot", "rm", "w-1", "before"]).expect(0);
    assert_eq!(listed(), json!([]));
    world.run(&["guest", "snapshot", "rollback", "w-1", "never", "--yes"]).expect_not(0);
    assert_eq!(world.guest(3001)["snapshots"], json!([]));
    world.run(&["op", "cancel", "last"]);
    world.finish();
}

#[test]
fn one_name_in_two_stacks() {
    let world = made();
    let files = world.write_farm(&Farm { name: "ranch", ..farm(1) });
    world.apply(&files).expect(0);
    let run = world.run(&["guest", "stop", "w-1"]).expect(2);
    assert!(run.stderr.contains("farm/w-1") && run.stderr.contains("ranch/w-1"), "{}", run.stderr);
    world.run(&["guest", "stop", "ranch/w-1"]).expect(0);
    assert_eq!(world.guest(3000)["running"], true);
    world.finish();
}

#[test]
fn a_stranger_in_its_place_is_not_touched() {
    for kind in ["lxc", "qemu"] {
        let world = made();
        let before = world.stranger(3000, kind, true);
        for command in [
            &["guest", "stop", "w-1"][..],
            &["guest", "restart", "w-1"],
            &["guest", "snapshot", "create", "w-1", "mine"],
            &["guest", "snapshot", "rollback", "w-1", "mine", "--yes"],
        ] {
            let run = world.run(command).expect(4);
            assert!(run.stderr.contains("nothing was done to it"), "{}", run.stderr);
            assert_eq!(world.guest(3000), before);
            world.run(&["op", "cancel", "last"]);
        }
        let listed = world.run(&["guest", "ls", "-o", "json"]).expect(0).json();
        assert_eq!(listed["guests"][0]["state"], "gone");
        world.finish_with(Allow { volumes: true, ..Allow::default() });
    }
}

#[test]
fn listed_and_shown() {
    let world = made();
    let listed = world.run(&["guest", "ls", "farm", "-o", "json"]).expect(0).json();
    let names: Vec<&Value> = listed["guests"].as_array().unwrap().iter().map(|guest| &guest["name"]).collect();
    assert_eq!(names, ["w-1", "w-2"]);
    let shown = world.run(&["guest", "show", "w-2"]).expect(0).stdout;
    assert!(shown.contains("VMID 3001") && shown.contains("10.50.0.11/24"), "{shown}");
    world.run(&["guest", "ls", "nothing"]).expect(0);
    world.finish();
}

also_through_a_server![
    stopped_started_restarted,
    snapshots_from_first_to_last,
    one_name_in_two_stacks,
    a_stranger_in_its_place_is_not_touched,
    listed_and_shown,
];
