//! Typical plans, and the hard cases of identity, each as a person would be told. Goal: what is done, what is left alone
//! and what is hinted can be read in one place. Method: a stack is applied, the world or the stack changes, and the plan
//! is shown as lines.

use std::fmt::Write as _;

use insta::assert_snapshot;
use rl_model::manifest::{Container, Location, Section, SectionKind, Spread};
use rl_model::{ActionKind, DiskSize, Memory, Observed, Plan, PlanReport, Policy, Unread};
use rl_planner::{configs_needed, plan, plan_destroy, resolve};

use crate::plan_world::{Reality, container, manifest, nic, stack_name, volume};

fn db() -> Container {
    Container { volumes: vec![volume("data", 10)], ..container("db") }
}

fn web() -> Container {
    let (count, spread, after) = (Some(2), Spread::Node, vec!["db".parse().unwrap()]);
    Container { count, spread, after, ..container("web") }
}

/// A world in which these containers were applied.
fn applied(containers: Vec<Container>) -> Reality {
    let mut reality = Reality::new(&manifest(Vec::new()).sites);
    let (plan, report) = planned(&reality, containers, &Policy::default());
    assert!(!report.is_blocked(), "{:?}", report.notes);
    reality.apply(&plan);
    reality
}

fn planned(reality: &Reality, containers: Vec<Container>, policy: &Policy) -> (Plan, PlanReport) {
    planned_from(reality, &reality.observe(), containers, policy)
}

fn planned_from(reality: &Reality, seen: &Observed, containers: Vec<Container>, policy: &Policy) -> (Plan, PlanReport) {
    let manifest = manifest(containers);
    let resolved = resolve(&manifest, &stack_name(), seen, &reality.leases);
    let (resolved, placements) = resolved.unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
    let (plan, mut report) = plan(&resolved, seen, &reality.leases, policy, 1);
    report.placements = placements;
    (plan, report)
}

fn allow(replace: &[&str], data_loss: &[&str]) -> Policy {
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    Policy { allow_replace: names(replace), allow_data_loss: names(data_loss), ..Policy::default() }
}

fn show((plan, report): &(Plan, PlanReport)) -> String {
    let mut out = String::new();
    for action in &plan.actions {
        let after: Vec<String> = action.after.iter().map(|id| id.0.to_string()).collect();
        let (verb, name) = (action.kind.verb(), &action.stamp.name);
        let wait = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        let place = format!("{}/{} on {}", action.site, action.vmid, action.node);
        writeln!(out, "{} {verb} {name} {place}{wait}: {}", action.id.0, action.reasons.join("; ")).unwrap();
        let changes = match &action.kind {
            ActionKind::Update { changes, move_to, power, .. } => {
                let moves = move_to.as_ref().map_or_else(String::new, |node| format!(", move to {node}"));
                writeln!(out, "    power {power:?}{moves}").unwrap();
                &changes[..]
            }
            ActionKind::Replace { changes, .. } => &changes[..],
            _ => &[],
        };
        for change in changes {
            writeln!(out, "    {}: `{}` -> `{}`", change.key, change.from, change.to).unwrap();
        }
    }
    for placement in &report.placements {
        writeln!(out, "placed {}: {} {:?}", placement.guest, placement.why, placement.refused).unwrap();
    }
    for note in &report.notes {
        writeln!(out, "{:?}: {}", note.level, note.message).unwrap();
        if let Some(hint) = &note.hint {
            writeln!(out, "    hint: {hint}").unwrap();
        }
    }
    if !report.unchanged.is_empty() {
        let names: Vec<String> = report.unchanged.iter().map(ToString::to_string).collect();
        writeln!(out, "unchanged: {} (shallow {})", names.join(", "), report.shallow).unwrap();
    }
    out
}

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
fn a_guest_is_followed_when_its_vmid_changed() {
    let mut reality = applied(vec![db()]);
    let guests = reality.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    let moved = guests.remove(&2000.try_into().unwrap()).unwrap();
    guests.insert(2050.try_into().unwrap(), moved);
    let mut changed = db();
    changed.cores = 2;
    assert_snapshot!(show(&planned(&reality, vec![changed], &Policy::default())), @"
    0 update db fra1/2050 on pve1: cores differs from the stack
        power Keep
        cores: `1` -> `2`
    Info: `db` now has VMID 2050 and not 2000; its stamp is valid, so it is followed
    ");
}

#[test]
fn a_copy_of_a_guest_stops_everything_about_it() {
    let mut reality = applied(vec![db()]);
    let mut copy = reality.at("fra1", 2000).clone();
    copy.raw.insert("net0".to_owned(), copy.text("net0").replace("hwaddr=52", "hwaddr=BC"));
    reality.sites.get_mut(&"fra1".parse().unwrap()).unwrap().insert(150.try_into().unwrap(), copy);
    let mut changed = db();
    changed.cores = 2;
    assert_snapshot!(show(&planned(&reality, vec![changed], &Policy::default())), @"
    Blocked: fra1/150, fra1/2000 all bear the stamp of `db` or look like it; none of them is touched
        hint: fra1/150 looks like the copy, by its VMID and MAC address; take the tag `rl-h5qsgxdfyeep` and the line that begins with `rapidlaunch:` out of the copy, then plan again
    ");
    let observed = reality.observe();
    let destroy = plan_destroy(&stack_name(), &reality.leases, &observed, &allow(&[], &["db"]), 3);
    assert!(destroy.0.is_empty() && destroy.1.is_blocked());
}

#[test]
fn a_copy_is_not_followed_while_the_original_may_be_the_guest_that_lost_its_stamp() {
    let mut reality = applied(vec![db()]);
    let original = reality.at("fra1", 2000);
    let mut copy = original.clone();
    original.raw.insert("description".to_owned(), "all mine now".to_owned());
    copy.raw.insert("net0".to_owned(), copy.text("net0").replace("hwaddr=52", "hwaddr=BC"));
    reality.sites.get_mut(&"fra1".parse().unwrap()).unwrap().insert(2050.try_into().unwrap(), copy);
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    Blocked: fra1/2000, fra1/2050 all bear the stamp of `db` or look like it; none of them is touched
        hint: fra1/2050 looks like the copy, by its VMID and MAC address; take the tag `rl-h5qsgxdfyeep` and the line that begins with `rapidlaunch:` out of the copy, then plan again
    ");
}

#[test]
fn a_guest_that_lost_its_stamp_is_not_touched_and_not_made_again() {
    let mut reality = applied(vec![db()]);
    let real = reality.at("fra1", 2000);
    real.raw.remove("tags");
    real.raw.insert("description".to_owned(), "my notes".to_owned());
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    Blocked: VMID 2000 of `db` is held on pve1 by container `db`, which is not ours because it bears no stamp; it is not touched
        hint: it bears the MAC address leased to `db`, so it is most likely that guest with its stamp lost; to adopt it, put the tag `rl-h5qsgxdfyeep` and the line `rapidlaunch: guest=h5qsgxdfyeepnr7j79hh stack=shop name=db controller=a1000000000000000000` into its notes
    ");
    let catalogue = reality.catalogue();
    let unread = planned_from(&reality, &catalogue, vec![db()], &Policy::default());
    assert_snapshot!(show(&unread), @"
    Warning: fra1/2000 could not be compared with `db` and is left alone: its configuration was not read
        hint: plan again when it can be read
    ");
}

#[test]
fn a_stranger_on_our_vmid_gets_out_of_no_ones_way() {
    let mut reality = applied(vec![db()]);
    let real = reality.at("fra1", 2000);
    real.raw.clear();
    real.raw.insert("hostname".to_owned(), "theirs".to_owned());
    let resolved_before_reading = planned_from(&reality, &reality.catalogue(), vec![db()], &Policy::default());
    assert_snapshot!(show(&resolved_before_reading), @"
    Warning: fra1/2000 could not be compared with `db` and is left alone: its configuration was not read
        hint: plan again when it can be read
    ");
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    0 create db fra1/2001 on pve1: it was applied before and is gone from fra1
    placed db: pve1: it was promised to this guest before {}
    Warning: `db` (VMID 2000) is gone from fra1, and with it its volumes (data); it is created anew, empty
        hint: if it can be restored from a backup, do so before you apply
    ");
    let destroy = plan_destroy(&stack_name(), &reality.leases, &reality.observe(), &Policy::default(), 3);
    assert_snapshot!(show(&destroy), @"
    0 forget db fra1/2000 on pve1: it is gone and another guest holds its VMID
    Info: `db` is gone; its VMID is now held by another guest (fra1/2000), which is not touched
    ");
}

#[test]
fn a_guest_being_created_is_waited_for() {
    let mut reality = applied(vec![db()]);
    let real = reality.at("fra1", 2000);
    real.raw.clear();
    real.raw.insert("lock".to_owned(), "create".to_owned());
    assert_snapshot!(show(&planned(&reality, vec![db(), web()], &Policy::default())), @"
    placed web-1: pve2 has the fewest guests of `web` (0) among 3 nodes that can take it, and of these the most memory left (382.9 GiB) {}
    placed web-2: pve3 has the fewest guests of `web` (0) among 3 nodes that can take it, and of these the most memory left (382.9 GiB) {}
    Warning: fra1/2000 is just being created on pve1, so `db` is left alone
        hint: plan again when its task has ended; if no task creates it, remove what is left of it on pve1 with `pct unlock 2000` and `pct destroy 2000`
    Blocked: `web-1` waits for `db`, which is not there and is not made by this plan
        hint: mend what keeps `db` from being made, then plan again
    Blocked: `web-2` waits for `db`, which is not there and is not made by this plan
        hint: mend what keeps `db` from being made, then plan again
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
        hint: let the stack ask for less, apply, run `pct set 2001 --features nesting=1` on pve2, then ask for them
    Blocked: `web` waits for `old`, which is not there and is not made by this plan
        hint: mend what keeps `old` from being made, then plan again
    unchanged: db (shallow 0)
    ");
    let mut by_hand = applied(vec![db()]);
    by_hand.at("fra1", 2000).raw.insert("features".to_owned(), "fuse=1,nesting=1".to_owned());
    assert!(planned(&by_hand, vec![fuse], &Policy::default()).0.is_empty());
}

#[test]
fn a_site_that_was_not_read_or_has_no_quorum_gives_one_line() {
    let reality = applied(vec![web(), db()]);
    let changed = || vec![Container { cores: 3, ..web() }, db()];
    let mut unread = reality.observe();
    let site = unread.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    site.guests.clear();
    site.unread.push(Unread::guests("connection refused"));
    assert_snapshot!(show(&planned_from(&reality, &unread, changed(), &Policy::default())), @"
    Warning: site fra1 could not be read: connection refused; 3 guests are left alone
        hint: look at it with `rapidlaunch site check`, then plan again
    ");
    let mut stuck = reality.observe();
    stuck.sites.get_mut(&"fra1".parse().unwrap()).unwrap().quorate = false;
    assert_snapshot!(show(&planned_from(&reality, &stuck, changed(), &Policy::default())), @"
    Blocked: site fra1 has no quorum, so nothing can be changed on it; 3 guests are left alone
        hint: look at it with `rapidlaunch site check`, then plan again
    ");
}

#[test]
fn a_guest_whose_node_or_row_was_not_read_is_not_made_again() {
    let reality = applied(vec![db()]);
    let id = "fra1".parse().unwrap();
    for unread in [Unread::node(&"pve1".parse().unwrap(), "no answer"), Unread::row("lxc/2000", "no node")] {
        let mut seen = reality.observe();
        let site = seen.sites.get_mut(&id).unwrap();
        site.guests.clear();
        site.unread.push(unread);
        let (plan, report) = planned_from(&reality, &seen, vec![db()], &Policy::default());
        assert!(plan.is_empty() && !report.notes.is_empty(), "{:?}", plan.actions);
        let (plan, report) = plan_destroy(&stack_name(), &reality.leases, &seen, &allow(&[], &["db"]), 1);
        assert!(plan.is_empty() && !report.notes.is_empty(), "{:?}", plan.actions);
    }
}

#[test]
fn a_guest_that_is_gone_is_made_anew_with_a_warning() {
    let mut reality = applied(vec![db()]);
    reality.sites.get_mut(&"fra1".parse().unwrap()).unwrap().clear();
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    0 create db fra1/2000 on pve1: it was applied before and is gone from fra1
    placed db: pve1: it was promised to this guest before {}
    Warning: `db` (VMID 2000) is gone from fra1, and with it its volumes (data); it is created anew, empty
        hint: if it can be restored from a backup, do so before you apply
    ");
}

#[test]
fn parts_that_are_not_carried_out_block_unless_left_out() {
    let reality = Reality::new(&manifest(Vec::new()).sites);
    let mut declared = manifest(vec![container("web")]);
    let location = Location { file: "shop.yaml".into(), line: 7, column: 5, span: 0..1 };
    let section = Section { kind: SectionKind::Firewall, container: Some("web".parse().unwrap()), location };
    declared.stacks.get_mut(&stack_name()).unwrap().sections.push(section);
    let seen = reality.observe();
    let (resolved, _) = resolve(&declared, &stack_name(), &seen, &reality.leases).unwrap();
    let notes = |policy: &Policy| plan(&resolved, &seen, &reality.leases, policy, 0).1;
    assert_snapshot!(show(&(planned(&reality, vec![], &Policy::default()).0, notes(&Policy::default()))), @"
    Blocked: `firewall` is declared (`web` at shop.yaml:7:5), but is not carried out
        hint: to apply the stack without it: `--without firewall`
    ");
    let without = Policy { without: [SectionKind::Firewall].into(), ..Policy::default() };
    assert!(!notes(&without).is_blocked());
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

#[test]
fn everything_about_a_stamp_is_read_before_it_is_judged() {
    let mut reality = applied(vec![db()]);
    let copy = reality.at("fra1", 2000).clone();
    reality.sites.get_mut(&"ams1".parse().unwrap()).unwrap().insert(150.try_into().unwrap(), copy);
    let seen = reality.catalogue();
    let (resolved, _) = resolve(&manifest(vec![db()]), &stack_name(), &seen, &reality.leases).unwrap();
    let needed = configs_needed(&resolved, &seen, &reality.leases, 0);
    let shown: Vec<String> = needed.iter().map(|(site, vmid)| format!("{site}/{vmid}")).collect();
    assert_eq!(shown, ["ams1/150", "fra1/2000"]);
}
