//! `site check`: what a token lacks, by privilege and path.

use insta::assert_snapshot;
use pve_sim::SeedState;
use serde_json::json;

use super::settings;
use crate::harness::{NODES, World, farm};

/// A site whose only token has these privileges everywhere.
fn with_rights(privileges: &[&str]) -> World {
    World::with(|config| {
        let mut seed =
            serde_json::to_value(SeedState::default_cluster(NODES, "6f3d1f0e-7b8c-4d4e-9a51-0d6f4c1a2b3c")).unwrap();
        seed["roles"] = json!([{ "id": "Launcher", "privs": privileges }]);
        seed["users"].as_array_mut().unwrap().push(json!({ "id": "launch@pve" }));
        seed["tokens"] =
            json!([{ "id": "launch@pve!rl", "secret": "6f3d1f0e-7b8c-4d4e-9a51-0d6f4c1a2b3c", "privsep": false }]);
        seed["acl"] = json!([{ "path": "/", "user": "launch@pve", "role": "Launcher" }]);
        config.seed_state = Some(serde_json::from_value(seed).unwrap());
    })
}

/// All that an apply of the test's stack needs.
const ENOUGH: [&str; 11] = [
    "Datastore.AllocateSpace",
    "Datastore.Audit",
    "SDN.Use",
    "Sys.Audit",
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
];

#[test]
fn every_missing_privilege_is_named() {
    let world = with_rights(&["VM.Audit", "Sys.Audit", "Datastore.Audit"]);
    let files = world.write_farm(&farm(1));
    let run = world.run_files(&["site", "check", "lab"], &files).expect(1);
    settings(&world).bind(|| assert_snapshot!(run.stdout, @r#"
    Check of site lab

      ok   endpoint https://127.0.0.1:PORT: Proxmox VE 9.1.6, answered in N ms
      ok   endpoint https://127.0.0.1:PORT: Proxmox VE 9.1.6, answered in N ms
      ok   endpoint https://127.0.0.1:PORT: Proxmox VE 9.1.6, answered in N ms
      ok   cluster: 3 nodes, 0 guests, quorate
      FAIL plan of stack farm: no node can take `w-1`: each of pve1, pve2, pve3 has no bridge `vmbr0`
           hint: Proxmox hides what the token may not use: mend the privileges below first; what is still missing then is not there
      FAIL privilege SDN.Use on /sdn/zones/localnetwork/vmbr0: missing; needed to use the bridge
           hint: give the token's user (and the token, with privilege separation) a role with SDN.Use on /sdn/zones/localnetwork/vmbr0
      FAIL privilege Datastore.AllocateSpace on /storage/local-zfs: missing; needed to make disks
           hint: give the token's user (and the token, with privilege separation) a role with Datastore.AllocateSpace on /storage/local-zfs
      FAIL privilege VM.Allocate on /vms/3000: missing; needed to create guests
           hint: give the token's user (and the token, with privilege separation) a role with VM.Allocate on /vms/3000
      FAIL privilege VM.Allocate on /vms/3000: missing; needed to switch nesting on or off
           hint: give the token's user (and the token, with privilege separation) a role with VM.Allocate on /vms/3000
      FAIL privilege VM.Config.CPU on /vms/3000: missing; needed to set CPU limits
           hint: give the token's user (and the token, with privilege separation) a role with VM.Config.CPU on /vms/3000
      FAIL privilege VM.Config.Disk on /vms/3000: missing; needed to set disks and mount points
           hint: give the token's user (and the token, with privilege separation) a role with VM.Config.Disk on /vms/3000
      FAIL privilege VM.Config.Memory on /vms/3000: missing; needed to set memory limits
           hint: give the token's user (and the token, with privilege separation) a role with VM.Config.Memory on /vms/3000
      FAIL privilege VM.Config.Network on /vms/3000: missing; needed to set NICs
           hint: give the token's user (and the token, with privilege separation) a role with VM.Config.Network on /vms/3000
      FAIL privilege VM.Config.Network on /vms/3000: missing; needed to set names and name servers
           hint: give the token's user (and the token, with privilege separation) a role with VM.Config.Network on /vms/3000
      FAIL privilege VM.Config.Options on /vms/3000: missing; needed to set options such as tags and description
           hint: give the token's user (and the token, with privilege separation) a role with VM.Config.Options on /vms/3000
      FAIL privilege VM.PowerMgmt on /vms/3000: missing; needed to start guests
           hint: give the token's user (and the token, with privilege separation) a role with VM.PowerMgmt on /vms/3000

    12 of 16 points need attention.
    "#));
    let checked = world.run_files(&["site", "check", "lab", "-o", "json"], &files).expect(1).json();
    assert_eq!(checked["ok"], false);
    world.finish();
}

#[test]
fn what_is_needed_is_enough() {
    let rights: Vec<&str> = ENOUGH.into_iter().chain(["VM.PowerMgmt"]).collect();
    let world = with_rights(&rights);
    let files = world.write_farm(&farm(2));
    world.run_files(&["site", "check", "lab"], &files).expect(0);
    world.apply(&files).expect(0);
    world.run(&["destroy", "farm", "--yes"]).expect(0);
    world.finish();
}

/// Taking any one away is told, so that no apply fails for a right that the check did not name.
#[test]
fn each_single_one_is_missed() {
    for left_out in ENOUGH.iter().chain(["VM.PowerMgmt"].iter()).filter(|right| !right.ends_with("Audit")) {
        let rights: Vec<&str> =
            ENOUGH.iter().chain(["VM.PowerMgmt"].iter()).copied().filter(|right| right != left_out).collect();
        let world = with_rights(&rights);
        let files = world.write_farm(&farm(1));
        let check = world.run_files(&["site", "check", "lab"], &files);
        let apply = world.run_files(&["apply", "--yes"], &files);
        let told = check.code == Some(1) && check.stdout.contains(&format!("privilege {left_out}"));
        assert!(told || apply.code == Some(0), "{left_out} is not told, and the apply fails: {check:?}\n{apply:?}");
        assert!(matches!(apply.code, Some(0 | 1 | 2 | 4)), "{apply:?}");
        if apply.code == Some(4) {
            assert!(apply.text().contains("site check"), "{left_out}: {apply:?}");
            world.run(&["op", "cancel", "last"]);
        }
        world.finish();
    }
}
