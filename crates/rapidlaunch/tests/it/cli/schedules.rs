//! Schedules: set up, listed, stopped, carried out by a server, and true to guests that change.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::audited;
use crate::harness::{Farm, World, farm};

fn made() -> World {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    world
}

fn schedules(world: &World) -> Vec<Value> {
    world.run(&["schedule", "ls", "-o", "json"]).expect(0).json()["schedules"].as_array().unwrap().clone()
}

#[test]
fn set_replaced_paused_resumed_removed() {
    let world = made();
    let nightly = ["schedule", "set", "nightly", "--at", "0 3 * * *", "--zone", "Europe/Berlin", "restart", "w-1"];
    let said = world.run(&nightly).expect(0);
    assert!(said.stderr.contains("Schedule nightly is set; next at 20"), "{}", said.stderr);
    let listed = schedules(&world);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["at"], &listed[0]["zone"], &listed[0]["starts"], &listed[0]["stack"], &listed[0]["missed"]),
        (&json!("0 3 * * *"), &json!("Europe/Berlin"), &json!("restart w-1 (nightly)"), &json!("farm"), &json!("skip"))
    );
    world.run(&["schedule", "pause", "nightly"]).expect(0);
    assert_eq!((&schedules(&world)[0]["paused"], &schedules(&world)[0]["next_at"]), (&json!(true), &Value::Null));
    world.run(&["schedule", "resume", "nightly"]).expect(0);
    assert_eq!(schedules(&world)[0]["paused"], false);
    world.run(&["schedule", "set", "nightly", "--at", "30 4 * * 1", "--missed", "coalesce", "stop", "w-2"]).expect(0);
    assert_eq!(schedules(&world)[0]["starts"], "stop w-2 (nightly)");
    world.run(&["schedule", "rm", "nightly"]).expect(0);
    assert_eq!(schedules(&world).len(), 0);
    let deeds: Vec<String> = audited(&world).into_iter().filter(|deed| deed.starts_with("schedule.")).collect();
    let words = ["set", "pause", "resume", "set", "remove"];
    assert_eq!(deeds, words.map(|word| format!("schedule.{word} /stacks/farm")));
    world.finish();
}

#[test]
fn refused_with_what_to_do() {
    let world = made();
    for (args, text) in [
        (["n", "--at", "every day", "stop", "w-1"], "Five fields"),
        (["n", "--at", "0 3 31 2 *", "stop", "w-1"], "no moment that ever comes"),
        (["n", "--at", "0 3 * * *", "stop", "w-9"], "there is no guest `w-9`"),
        (["Nightly!", "--at", "0 3 * * *", "stop", "w-1"], "no name for a schedule"),
    ] {
        let run = world.run(&[&["schedule", "set"], &args[..]].concat()).expect(2);
        assert!(run.stderr.contains(text), "{}", run.stderr);
    }
    let run = world.run(&["schedule", "set", "n", "--at", "0 3 * * *", "--zone", "Mars/Base", "stop", "w-1"]).expect(2);
    assert!(run.stderr.contains("no time zone"), "{}", run.stderr);
    let run = world.run(&["schedule", "rm", "never"]).expect(2);
    assert!(run.stderr.contains("there is no such schedule"), "{}", run.stderr);
    assert_eq!(schedules(&world).len(), 0);
    world.finish();
}

/// Patterns have whole minutes, so this test waits for up to one.
#[test]
fn carried_out_by_a_server_on_the_guest_as_it_is_now() {
    let world = made();
    world.run(&["schedule", "set", "soon", "--at", "* * * * *", "--missed", "coalesce", "stop", "w-1"]).expect(0);
    // What the schedule was told of the guest is old by now.
    let files = world.write_farm(&Farm { memory: 384, ..farm(2) });
    world.apply(&files).expect(0);
    let mut server = world.spawn(&["serve"]);
    world.until("the schedule has stopped the guest", || {
        assert!(server.runs());
        world.guest(3000)["running"] == false
    });
    server.signal(Signal::TERM);
    world.wait(server).expect(0);
    assert!(schedules(&world)[0]["fired"].as_u64().unwrap() >= 1);
    assert_eq!(world.guest(3001)["running"], true);
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    assert_eq!(schedules(&world)[0]["paused"], true, "a schedule whose guest has gone is stopped");
    world.finish();
}

also_through_a_server![set_replaced_paused_resumed_removed, refused_with_what_to_do];
