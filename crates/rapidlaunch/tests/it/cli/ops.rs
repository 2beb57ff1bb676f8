//! Operations that are left, watched, cancelled and tried again.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Allow, Child, World, farm};

const CONTAINERS: usize = 12;

/// An apply that has made some containers and is making others.
fn half_done(world: &World) -> (Child, [String; 4]) {
    let files = world.write_farm(&farm(CONTAINERS));
    let child = world.spawn_files(&["apply", "--yes"], &files);
    world.until("some containers are made", || world.creates() >= 3);
    (child, files)
}

/// A world slow enough that a test can step in.
fn slow() -> World {
    World::with(|config| {
        config.time_scale = 20.0;
        config.max_creates = 1;
    })
}

#[test]
fn ctrl_c_detaches_and_watch_goes_on() {
    let world = slow();
    let (child, files) = half_done(&world);
    child.signal(Signal::INT);
    let run = world.wait(child).expect(130);
    assert!(run.stderr.contains("op watch") && run.stderr.contains("op cancel"), "{}", run.stderr);
    let open = world.run(&["op", "ls", "--unfinished", "-o", "json"]).expect(0).json();
    assert_eq!(open["operations"].as_array().unwrap().len(), 1);
    world.run(&["op", "watch", "last"]).expect(0);
    world.needs_nothing(&files);
    assert_eq!(world.creates(), CONTAINERS as u64);
    assert_eq!(world.stamped().len(), CONTAINERS);
    // Watching what is done says so.
    let again = world.run(&["op", "watch", "last"]).expect(0);
    assert!(again.stderr.contains("is done"), "{}", again.stderr);
    world.finish();
}

#[test]
fn ctrl_c_then_the_same_command() {
    let world = slow();
    let (child, files) = half_done(&world);
    child.signal(Signal::INT);
    world.wait(child).expect(130);
    let run = world.apply(&files).expect(0).json();
    assert!(run["stacks"][0]["resumed"].is_string(), "{run:#}");
    assert_eq!(run["stacks"][0]["proof"]["ok"], true);
    assert_eq!(world.creates(), CONTAINERS as u64);
    world.finish();
}

#[test]
fn cancelled_after_ctrl_c() {
    let world = slow();
    let (child, files) = half_done(&world);
    child.signal(Signal::INT);
    world.wait(child).expect(130);
    world.run(&["op", "cancel", "last"]).expect(0);
    let operation = world.run(&["op", "show", "last", "-o", "json"]).expect(0).json();
    assert_eq!((&operation["state"], &operation["cancelled_by"]), (&json!("cancelled"), &json!("tester")));
    half_is_gone(&world);
    world.run(&["op", "cancel", "last"]).expect(2);
    world.apply(&files).expect(0);
    world.finish_with(Allow { made_again: true, ..Allow::default() });
}

/// After a cancel nothing is half made: each guest there is whole and known.
#[track_caller]
fn half_is_gone(world: &World) {
    world.check_now(Allow { made_again: true, ..Allow::default() });
    let stamped = world.stamped();
    assert!(stamped.len() < CONTAINERS, "nothing was cancelled");
    let state = world.state();
    for guest in state["guests"].as_object().unwrap().values() {
        assert!(guest["config"]["lock"].is_null() && guest["config"]["description"].is_string(), "{guest:#}");
    }
}

#[test]
fn cancelled_by_another_process() {
    let world = slow();
    let (child, files) = half_done(&world);
    let asked = world.run(&["op", "cancel", "last"]).expect(0);
    assert!(asked.stderr.contains("Asked the process"), "{}", asked.stderr);
    let run = world.wait(child).expect(1);
    assert!(run.stderr.contains("was cancelled"), "{}", run.stderr);
    half_is_gone(&world);
    world.apply(&files).expect(0);
    world.finish_with(Allow { made_again: true, ..Allow::default() });
}

/// A destroy takes precedence over what the stack's own apply had left.
#[test]
fn destroy_in_the_middle_of_an_apply() {
    let world = slow();
    let (mut child, _) = half_done(&world);
    child.kill();
    assert!(world.wait(child).killed());
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    assert_eq!(world.state()["guests"], json!({}));
    world.finish_with(Allow { made_again: true, ..Allow::default() });
}

#[test]
fn nothing_to_try_again() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.apply(&files).expect(0);
    let run = world.run(&["op", "retry", "last"]).expect(2);
    assert!(run.stderr.contains("hint"), "{}", run.stderr);
    world.finish();
}

/// What another release wrote is kept, named by its own id or the end of it.
#[test]
fn an_operation_is_named_by_the_end_of_its_id() {
    let world = World::new();
    let files = world.write_farm(&farm(1));
    world.apply(&files).expect(0);
    let listed = world.run(&["op", "ls", "-o", "json"]).expect(0).json();
    let id = listed["operations"][0]["id"].as_str().unwrap().to_owned();
    for name in ["last", &id, &id[20..], &id[20..].to_lowercase()] {
        let shown = world.run(&["op", "show", name, "-o", "json"]).expect(0).json();
        assert_eq!(shown["id"], json!(id));
    }
    world.finish();
}

also_through_a_server![
    destroy_in_the_middle_of_an_apply,
    nothing_to_try_again,
    an_operation_is_named_by_the_end_of_its_id,
];
