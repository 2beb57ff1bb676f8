//! Exit codes of looking: what has changed, what differs, what is blocked.

use insta::assert_snapshot;
use serde_json::json;

use super::settings;
use crate::harness::{Allow, Farm, World, farm};

#[test]
fn plan_tells_by_its_exit_code() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.run_files(&["plan"], &files).expect(0);
    world.run_files(&["plan", "--exit-code"], &files).expect(3);
    assert!(world.stamped().is_empty(), "a plan makes nothing");
    world.apply(&files).expect(0);
    world.needs_nothing(&files);
    world.run(&["plan", "farm", "--exit-code"]).expect(0);
    world.run(&["plan", "farm", "--destroy", "--exit-code"]).expect(3);
    assert_eq!(world.stamped().len(), 2);
    world.finish();
}

/// Applies two containers, lets somebody change the world, and gives what `drift` says of it.
fn drift_after(change: impl FnOnce(&World)) -> String {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    world.run(&["drift"]).expect(0);
    change(&world);
    // As in Proxmox, the list of resources is collected in rounds: it may be a moment old.
    world.until("the site shows it", || world.run(&["drift", "farm"]).code == Some(3));
    let run = world.run(&["drift", "farm"]).expect(3);
    world.finish_with(Allow { volumes: true, copies: true, ..Allow::default() });
    run.stdout
}

#[test]
fn drift_of_a_change() {
    assert_snapshot!(drift_after(|world| world.put_guest(json!({ "vmid": 3000, "config": { "memory": "512", "cores": "3" } }))), @r#"
    farm 2 differences
      ~ w-1 (lab, VMID 3000)
          cores of `w-1` is `3` and was applied as `1`
      ~ w-1 (lab, VMID 3000)
          memory of `w-1` is `512` and was applied as `256`
    "#);
}

#[test]
fn drift_of_a_stop() {
    assert_snapshot!(drift_after(|world| world.put_guest(json!({ "vmid": 3001, "running": false }))), @r#"
    farm 1 difference
      ~ w-2 (lab, VMID 3001)
          `w-2` does not run
    "#);
}

#[test]
fn drift_of_a_move() {
    assert_snapshot!(drift_after(|world| world.put_guest(json!({ "vmid": 3000, "node": "pve3" }))), @r#"
    farm 1 difference
      ~ w-1 (lab, VMID 3000)
          `w-1` lies on pve3 and was put on pve1
    "#);
}

#[test]
fn drift_of_a_removal() {
    assert_snapshot!(drift_after(|world| world.delete_guest(3000)), @r#"
    farm 1 difference
      ~ w-1 (lab, VMID 3000)
          `w-1` is gone from lab
    "#);
}

#[test]
fn drift_of_a_stranger_in_our_place() {
    assert_snapshot!(drift_after(|world| drop(world.stranger(3000, "qemu", true))), @r#"
    farm 1 difference
      ~ w-1 (lab, VMID 3000)
          `w-1` is gone, and `precious` holds its VMID: it is a virtual machine
    "#);
}

#[test]
fn drift_of_an_addition() {
    let drift = drift_after(|world| {
        let config = &world.guest(3000)["config"];
        let copy = json!({ "description": config["description"], "tags": config["tags"], "hostname": "w-1",
            "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:77:77:77,ip=10.0.9.9/16,type=veth" });
        world.put_guest(json!({ "vmid": 3700, "config": copy }));
    });
    assert_snapshot!(drift, @r#"
    farm 1 difference
      ~ w-1 (lab, VMID 3700)
          lab/3700 bears the stamp of `w-1`: it is a copy of it
    "#);
}

#[test]
fn verify_names_the_very_difference() {
    let world = World::new();
    let files = world.write_farm(&farm(2));
    world.apply(&files).expect(0);
    world.run(&["verify", "farm"]).expect(0);
    world
        .put_guest(json!({ "vmid": 3001, "config": { "memory": "300" }, "live_address": { "net0": "10.50.0.99/24" } }));
    let run = world.run(&["verify", "farm"]).expect(1);
    settings(&world).bind(|| {
        assert_snapshot!(run.stdout, @r#"
    Proof of stack farm

      ok   w-1  lab/pve1, VMID 3000, 22 comparisons
      FAIL w-2  lab/pve2, VMID 3001, 22 comparisons
             memory: expected 256, found 300
             live address of eth0: expected 10.50.0.11/24, found 10.50.0.99/24

    Not proven: 2 of 44 comparisons failed.
    "#)
    });
    let proof = world.run(&["verify", "farm", "-o", "json"]).expect(1).json();
    let failed: Vec<&str> = proof["proofs"][0]["items"][1]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["ok"] == false)
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    assert_eq!(failed, ["memory", "live address of eth0"]);
    world.finish();
}

#[test]
fn blocked_is_four_and_partial_does_the_rest() {
    let world = World::new();
    let before = farm(2);
    world.apply(&world.write_farm(&before)).expect(0);
    world.put_guest(json!({ "vmid": 3000, "delete": ["description", "tags"] }));
    let files = world.write_farm(&Farm { cores: 2, ..before });
    let run = world.run_files(&["apply", "--yes"], &files).expect(4);
    settings(&world).bind(|| assert_snapshot!(run.text(), @r#"
    Plan for stack farm

      ~ update  w-2  (lab/pve2, VMID 3001)
          cores        1 -> 2
          because cores differs from the stack

      blocked: w-1: VMID 3000 of `w-1` is held on pve1 by container `w-1`, which is not ours because it bears no stamp; it is not touched
        hint: it bears the MAC address leased to `w-1`, so it is most likely that guest with its stamp lost; to adopt it, put the tag `TAG` and the line `rapidlaunch: guest=ID stack=farm name=w-1 controller=ID` into its notes

    1 to update. plan PLAN.

    error: a part of the plan is blocked until a person acts, so nothing was begun
    hint: do what the hints above say, or carry out the rest with --partial
    "#));
    assert_eq!(world.guest(3001)["config"]["cores"], 1, "nothing is begun");
    world.run_files(&["apply", "--yes", "--partial"], &files).expect(4);
    assert_eq!(world.guest(3001)["config"]["cores"], 2);
    assert_eq!(world.guest(3000)["config"]["cores"], 1);
    world.finish();
}

also_through_a_server![
    plan_tells_by_its_exit_code,
    drift_of_a_change,
    drift_of_a_removal,
    verify_names_the_very_difference,
    blocked_is_four_and_partial_does_the_rest,
];
