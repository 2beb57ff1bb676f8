//! Typical plans as a person would be told them. Goal: what is done, what is left alone and what is hinted can be read in
//! one place. Method: a stack is applied, the world or the stack changes, and the plan is shown as lines.

use insta::assert_snapshot;
use rl_model::manifest::{Container, Location, Section, SectionKind};
use rl_model::{DiskSize, Memory, Policy};
use rl_planner::{plan, plan_destroy, resolve};

use crate::plan_world::show::{allow, applied, db, planned, show, web};
use crate::plan_world::{Reality, container, manifest, nic, stack_name, volume};

#[test]
fn a_new_stack_is_created_in_the_order_of_after() {
    let reality = Reality::new(&manifest(Vec::new()).sites);
    assert_snapshot!(show(&planned(&reality, vec![web(), db()], &Policy::default())), @"
    0 create db fra1/2000 on pve1: it does not exist yet
    1 create web-1 fra1/2001 on pve2 after 0: it does not exist yet
    2 create web-2 fra1/2002 on pve3 after 0: it does not exist yet
    placed db: pve1 has the most memory left (382.9 GiB) among 3 nodes that can take it {}
    placed web-1: pve2 has the fewest guests of `web` (0) among 3 nodes that can take it, and of these the most memory left (382.9 GiB) {}
    placed web-2: pve3 has the fewest guests of `web` (0) among 3 nodes that can take it, and of these the most memory left (382.9 GiB) {}
    ");
}

#[test]
fn an_applied_stack_needs_nothing() {
    let reality = applied(vec![web(), db()]);
    assert_snapshot!(show(&planned(&reality, vec![web(), db()], &Policy::default())), @"unchanged: db, web-1, web-2 (shallow 0)");
}

#[test]
fn what_changed_in_the_file_is_changed_in_place() {
    let reality = applied(vec![db()]);
    let mut changed = db();
    changed.cores = 4;
    changed.memory = Memory::from_mib(2048);
    changed.disk = DiskSize::from_gib(16);
    changed.volumes[0].size = DiskSize::from_gib(20);
    changed.tags = vec!["prod".parse().unwrap()];
    changed.notes = "The only database".to_owned();
    changed.nics.push(nic("eth1", "lan"));
    assert_snapshot!(show(&planned(&reality, vec![changed], &Policy::default())), @"
    0 update db fra1/2000 on pve1: cores, memory, rootfs, mp0, net1, tags, description differ from the stack
        power Keep
        cores: `1` -> `4`
        memory: `512` -> `2048`
        rootfs: `size=4G,storage=local-zfs` -> `size=16G,storage=local-zfs`
        mp0: `backup=1,mp=/srv/data,ro=0,size=10G,storage=local-zfs` -> `backup=1,mp=/srv/data,ro=0,size=20G,storage=local-zfs`
        net1: `` -> `bridge=vmbr1,gw=10.21.0.1,hwaddr=52:F5:C0:06:57:47,ip=10.21.0.50/24,name=eth1,tag=21,type=veth`
        tags: `rl-h5qsgxdfyeep` -> `prod;rl-h5qsgxdfyeep`
        description: `rapidlaunch: guest=h5qsgxdfyeepnr7j79hh stack=shop name=db controller=a1000000000000000000` -> `The only database

    rapidlaunch: guest=h5qsgxdfyeepnr7j79hh stack=shop name=db controller=a1000000000000000000`
    ");
}

#[test]
fn changes_that_need_a_restart_say_so() {
    let reality = applied(vec![db()]);
    let mut changed = db();
    changed.timezone = Some("host".to_owned());
    changed.volumes[0].path = "/var/lib/data".parse().unwrap();
    assert_snapshot!(show(&planned(&reality, vec![changed.clone()], &Policy::default())), @"
    0 update db fra1/2000 on pve1: mp0, timezone differ from the stack; it has to restart for it
        power Restart
        mp0: `backup=1,mp=/srv/data,ro=0,size=10G,storage=local-zfs` -> `backup=1,mp=/var/lib/data,ro=0,size=10G,storage=local-zfs`
        timezone: `` -> `host`
    ");
    let later = Policy { no_restart: true, ..Policy::default() };
    assert_snapshot!(show(&planned(&reality, vec![changed], &later)), @"
    0 update db fra1/2000 on pve1: mp0, timezone differ from the stack; part of it waits for its next start
        power NextStart
        mp0: `backup=1,mp=/srv/data,ro=0,size=10G,storage=local-zfs` -> `backup=1,mp=/var/lib/data,ro=0,size=10G,storage=local-zfs`
        timezone: `` -> `host`
    ");
}

#[test]
fn a_guest_that_others_changed_is_put_back_but_their_tags_stay() {
    let mut reality = applied(vec![db()]);
    let real = reality.at("fra1", 2000);
    real.running = false;
    let tags = format!("{};backup-daily", real.text("tags"));
    real.raw.insert("tags".to_owned(), tags);
    real.raw.insert("memory".to_owned(), "4096".to_owned());
    real.raw.insert("net3".to_owned(), "name=byhand,bridge=vmbr1,hwaddr=BC:24:11:00:00:01,type=veth".to_owned());
    real.raw.insert("mp5".to_owned(), "/mnt/host,mp=/host".to_owned());
    real.raw.insert("features".to_owned(), "mount=nfs,nesting=1".to_owned());
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    0 update db fra1/2000 on pve1: memory, net3 differ from the stack; it shall run and does not
        power Start
        memory: `4096` -> `512`
        net3: `bridge=vmbr1,hwaddr=BC:24:11:00:00:01,name=byhand,type=veth` -> ``
    Info: mp5 of `db` (backup=0,mp=/host,ro=0,size=,volume=/mnt/host) is not in the stack and is left alone
    ");
}

#[test]
fn replacing_has_to_be_allowed() {
    let reality = applied(vec![container("web"), db()]);
    let change = |mut container: Container| {
        container.image = "local:vztmpl/alpine-3.20.tar.xz".parse().unwrap();
        container.cores = 2;
        container
    };
    let wanted = || vec![change(container("web")), change(db())];
    assert_snapshot!(show(&planned(&reality, wanted(), &Policy::default())), @"
    0 update db fra1/2000 on pve1: cores differs from the stack
        power Keep
        cores: `1` -> `2`
    1 update web fra1/2001 on pve2: cores differs from the stack
        power Keep
        cores: `1` -> `2`
    Blocked: `db` would have to be replaced: its image changes from `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` to `local:vztmpl/alpine-3.20.tar.xz`; its data volumes (mp0) would be lost with it
        hint: to lose them: `--allow-replace db --allow-data-loss db`; or put the old value back into the stack
    Blocked: `web` would have to be replaced: its image changes from `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` to `local:vztmpl/alpine-3.20.tar.xz`
        hint: to destroy it and make it anew: `--allow-replace web`; or put the old value back into the stack
    ");
    assert_snapshot!(show(&planned(&reality, wanted(), &allow(&["web", "db"], &[]))), @"
    0 update db fra1/2000 on pve1: cores differs from the stack
        power Keep
        cores: `1` -> `2`
    1 replace web fra1/2001 on pve2: its image changes from `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` to `local:vztmpl/alpine-3.20.tar.xz`
        ostemplate: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` -> `local:vztmpl/alpine-3.20.tar.xz`
    Blocked: `db` would have to be replaced: its image changes from `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` to `local:vztmpl/alpine-3.20.tar.xz`; its data volumes (mp0) would be lost with it
        hint: to lose them: `--allow-replace db --allow-data-loss db`; or put the old value back into the stack
    ");
    assert_snapshot!(show(&planned(&reality, wanted(), &allow(&["web", "db"], &["db"]))), @"
    0 replace db fra1/2000 on pve1: its image changes from `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` to `local:vztmpl/alpine-3.20.tar.xz`
        ostemplate: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` -> `local:vztmpl/alpine-3.20.tar.xz`
    1 replace web fra1/2001 on pve2: its image changes from `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` to `local:vztmpl/alpine-3.20.tar.xz`
        ostemplate: `local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst` -> `local:vztmpl/alpine-3.20.tar.xz`
    ");
}

#[test]
fn a_declined_replacement_is_remembered() {
    let mut reality = applied(vec![container("web")]);
    let mut wanted = container("web");
    wanted.image = "local:vztmpl/alpine-3.20.tar.xz".parse().unwrap();
    wanted.cores = 2;
    let first = planned(&reality, vec![wanted.clone()], &Policy::default());
    reality.apply(&first.0);
    let again = planned(&reality, vec![wanted], &allow(&["web"], &[]));
    assert_eq!(again.0.actions[0].kind.verb(), "replace");
}

#[test]
fn disks_never_shrink_and_volumes_are_never_dropped_unasked() {
    let reality = applied(vec![db()]);
    let mut smaller = db();
    smaller.disk = DiskSize::from_gib(2);
    smaller.volumes.clear();
    assert_snapshot!(show(&planned(&reality, vec![smaller.clone()], &Policy::default())), @"
    Blocked: `db` would have to be replaced: its root disk would have to shrink from 4 GiB to 2 GiB; its data volumes (mp0) would be lost with it
        hint: to lose them: `--allow-replace db --allow-data-loss db`; or put the old value back into the stack
    Blocked: volume `data` (mp0 at /srv/data) of `db` left the stack, but holds data and stays
        hint: to have it deleted with its data: `--allow-data-loss db`; to keep it, put it back into the stack
    unchanged: db (shallow 0)
    ");
    assert_snapshot!(show(&planned(&reality, vec![smaller], &allow(&[], &["db"]))), @"
    0 update db fra1/2000 on pve1: mp0 differs from the stack; it has to restart for it
        power Restart
        mp0: `backup=1,mp=/srv/data,ro=0,size=10G,storage=local-zfs` -> ``
    Blocked: `db` would have to be replaced: its root disk would have to shrink from 4 GiB to 2 GiB
        hint: to destroy it and make it anew: `--allow-replace db`; or put the old value back into the stack
    ");
}

#[test]
fn volumes_of_a_protected_guest_stay_but_may_grow() {
    let protected = || Container { protection: true, ..db() };
    let mut reality = applied(vec![protected()]);
    let mut changed = protected();
    changed.volumes[0].path = "/elsewhere".parse().unwrap();
    changed.volumes[0].size = DiskSize::from_gib(30);
    changed.volumes.push(volume("more", 1));
    let first = planned(&reality, vec![changed.clone()], &Policy::default());
    assert_snapshot!(show(&first), @"
    0 update db fra1/2000 on pve1: mp0 differs from the stack
        power Keep
        mp0: `backup=1,mp=/srv/data,ro=0,size=10G,storage=local-zfs` -> `backup=1,mp=/srv/data,ro=0,size=30G,storage=local-zfs`
    Blocked: mp0, mp1 of `db` cannot change while protection is on
        hint: set `protection: false` for `db`, apply, and set it again afterwards
    ");
    reality.apply(&first.0);
    let freed = vec![Container { protection: false, ..changed }];
    assert_snapshot!(show(&planned(&reality, freed, &Policy::default())), @"
    0 update db fra1/2000 on pve1: mp0, mp1, protection differ from the stack; it has to restart for it
        power Restart
        mp0: `backup=1,mp=/srv/data,ro=0,size=30G,storage=local-zfs` -> `backup=1,mp=/elsewhere,ro=0,size=30G,storage=local-zfs`
        mp1: `` -> `backup=1,mp=/srv/more,ro=0,size=1G,storage=local-zfs`
        protection: `1` -> `0`
    ");
}

#[test]
fn a_new_volume_never_takes_a_mount_point_that_is_in_use() {
    let mut reality = applied(vec![container("db")]);
    let stranger = "local-zfs:subvol-2000-disk-77,mp=/by-hand,size=3G";
    reality.at("fra1", 2000).raw.insert("mp0".to_owned(), stranger.to_owned());
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    0 update db fra1/2000 on pve1: mp1 differs from the stack
        power Keep
        mp1: `` -> `backup=1,mp=/srv/data,ro=0,size=10G,storage=local-zfs`
    Info: mp0 of `db` (backup=0,mp=/by-hand,ro=0,size=3G,storage=local-zfs) is not in the stack and is left alone
    ");
}

#[test]
fn a_mount_made_by_hand_is_adopted_by_its_path() {
    let mut reality = applied(vec![container("db")]);
    let by_hand = "local-zfs:subvol-2000-disk-77,mp=/srv/data,size=10G,backup=1";
    reality.at("fra1", 2000).raw.insert("mp4".to_owned(), by_hand.to_owned());
    let (plan, report) = planned(&reality, vec![db()], &Policy::default());
    assert!(plan.is_empty(), "{:?}", plan.actions);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    assert_eq!(plan.resolved.guests[&"db".parse().unwrap()].volumes[0].slot.number(), 4);
}

#[test]
fn guests_that_leave_are_removed_dependents_first() {
    let reality = applied(vec![web(), db()]);
    assert_snapshot!(show(&planned(&reality, vec![container("new")], &Policy::default())), @"
    0 create new fra1/2003 on pve1: it does not exist yet
    1 remove web-1 fra1/2001 on pve2: it is no longer in the stack
    2 remove web-2 fra1/2002 on pve3: it is no longer in the stack
    placed new: pve1 has the most memory left (382.4 GiB) among 3 nodes that can take it {}
    Blocked: `db` (fra1/2000) is to be removed, but its data volumes (mp0) would be lost with it
        hint: to lose them: `--allow-data-loss db`
    ");
    assert_snapshot!(show(&planned(&reality, vec![container("new")], &allow(&[], &["db"]))), @"
    0 create new fra1/2003 on pve1: it does not exist yet
    1 remove web-1 fra1/2001 on pve2: it is no longer in the stack
    2 remove web-2 fra1/2002 on pve3: it is no longer in the stack
    3 remove db fra1/2000 on pve1 after 1, 2: it is no longer in the stack
    placed new: pve1 has the most memory left (382.4 GiB) among 3 nodes that can take it {}
    ");
}

#[test]
fn a_stack_is_destroyed_in_reverse() {
    let mut reality = applied(vec![web(), db()]);
    reality.at("fra1", 2001).raw.insert("protection".to_owned(), "1".to_owned());
    let gone = reality.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    gone.remove(&2002.try_into().unwrap());
    let observed = reality.observe();
    let destroy = plan_destroy(&stack_name(), &reality.leases, &observed, &allow(&[], &["db"]), 3);
    assert_snapshot!(show(&destroy), @"
    0 forget web-2 fra1/2002 on pve3: it is gone already
    1 remove db fra1/2000 on pve1 after 0: it is no longer in the stack
    Blocked: `web-1` (fra1/2001) is to be removed, but protection is on
        hint: switch protection off with `pct set 2001 --protection 0` on pve2
    ");
}

#[test]
fn locks_and_pending_changes_are_told() {
    let mut reality = applied(vec![db()]);
    let real = reality.at("fra1", 2000);
    real.raw.insert("lock".to_owned(), "backup".to_owned());
    real.pending = vec!["nameserver".to_owned()];
    let mut changed = db();
    changed.cores = 2;
    assert_snapshot!(show(&planned(&reality, vec![changed], &Policy::default())), @"
    0 update db fra1/2000 on pve1: cores differs from the stack
        power Keep
        cores: `1` -> `2`
    Info: changes of nameserver in `db` wait for its next start
        hint: stop and start VMID 2000 to have them
    Info: `db` (fra1/2000) is locked (backup); its steps wait until the lock is gone
    ");
}

#[test]
fn a_pinned_guest_moves_back() {
    let mut reality = applied(vec![db()]);
    reality.at("fra1", 2000).node = "pve3".parse().unwrap();
    assert!(
        planned(&reality, vec![db()], &Policy::default()).0.is_empty(),
        "a node that is not pinned is an observation"
    );
    let pinned = || vec![Container { node: Some("pve1".parse().unwrap()), ..db() }];
    assert_snapshot!(show(&planned(&reality, pinned(), &Policy::default())), @"
    0 update db fra1/2000 on pve3: the stack wants it on pve1; it has to restart for it
        power Restart, move to pve1
    ");
    let later = Policy { no_restart: true, ..Policy::default() };
    assert_snapshot!(show(&planned(&reality, pinned(), &later)), @"
    Warning: `db` stays on pve3 for now: a running container moves only with a restart
        hint: plan without `--no-restart`
    unchanged: db (shallow 0)
    ");
    reality.at("fra1", 2000).raw.insert("mp5".to_owned(), "/mnt/host,mp=/host".to_owned());
    assert_snapshot!(show(&planned(&reality, pinned(), &Policy::default())), @"
    Info: mp5 of `db` (backup=0,mp=/host,ro=0,size=,volume=/mnt/host) is not in the stack and is left alone
    Blocked: `db` cannot move to pve1: mp5 is not of the stack
        hint: take the mount away, or let the stack name the node it lies on
    unchanged: db (shallow 0)
    ");
}

#[test]
fn what_only_root_may_do_is_not_tried() {
    let reality = applied(vec![db()]);
    let mut fuse = db();
    fuse.features.fuse = true;
    let mut privileged = container("old");
    privileged.unprivileged = false;
    let waits = Container { after: vec!["old".parse().unwrap()], ..container("web") };
    assert_snapshot!(show(&planned(&reality, vec![fuse.clone(), privileged, waits], &Policy::default())), @"
    placed old: pve2 has the most memory left (382.9 GiB) among 3 nodes that can take it {}
    placed web: pve3 has the most memory left (382.9 GiB) among 3 nodes that can take it {}
    Blocked: features of `db` stay as they are: only `root@pam` itself may change them
        hint: run `pct set 2000 --features fuse=1,nesting=1` on pve1
    Blocked: `old` cannot be created: only `root@pam` itself may set features `nesting=1` of a privileged container
        hint: write `features: { nesting: false }` and apply; to have them all the same, run `pct set 2001 --features nesting=1` on pve2 then and write them again
    Blocked: `web` waits for `old`, which is not there and is not made by this plan
        hint: mend what keeps `old` from being made, then plan again
    unchanged: db (shallow 0)
    ");
    let mut by_hand = applied(vec![db()]);
    by_hand.at("fra1", 2000).raw.insert("features".to_owned(), "fuse=1,nesting=1".to_owned());
    assert!(planned(&by_hand, vec![fuse], &Policy::default()).0.is_empty());
}

#[test]
fn parts_that_are_left_out_are_told() {
    let reality = Reality::new(&manifest(Vec::new()).sites);
    let mut declared = manifest(vec![container("web")]);
    let location = Location { file: "shop.yaml".into(), line: 7, column: 5, span: 0..1 };
    let section = Section { kind: SectionKind::Secrets, container: Some("web".parse().unwrap()), location };
    declared.stacks.get_mut(&stack_name()).unwrap().sections.push(section);
    let seen = reality.observe();
    let (resolved, _) = resolve(&declared, &stack_name(), &seen, &reality.leases).unwrap();
    let notes = |policy: &Policy| plan(&resolved, &seen, &reality.leases, policy, 0).1.notes;
    assert_eq!(notes(&Policy::default()), []);
    let without = notes(&Policy { without: [SectionKind::Secrets].into(), ..Policy::default() });
    let told = "`secrets` is declared (`web` at shop.yaml:7:5), but is not carried out: left out as asked";
    assert_eq!(without.iter().map(|note| note.message.as_str()).collect::<Vec<_>>(), [told]);
}

#[test]
fn a_plan_is_named_by_what_it_does() {
    let reality = applied(vec![db()]);
    let more = |cores| vec![Container { cores, ..db() }];
    let id = |cores| planned(&reality, more(cores), &Policy::default()).0.id;
    assert_eq!(id(2), id(2));
    assert_ne!(id(2), id(3));
    assert_eq!(id(2).0.len(), 16);
}
