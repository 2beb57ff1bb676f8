//! Which guest is this? Goal: no guest is touched that is not certainly ours, and nothing is made twice. Method: a stack is
//! applied, then guests are copied, moved, stripped of their stamp, taken away or hidden, and the plan is shown.

use insta::assert_snapshot;
use rl_model::manifest::Container;
use rl_model::{Policy, Unread};
use rl_planner::{configs_needed, plan_destroy, resolve};

use crate::plan_world::show::{allow, applied, db, planned, planned_from, show, web};
use crate::plan_world::{container, manifest, stack_name};

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
fn a_stamp_of_another_installation_is_foreign_though_the_guest_id_is_ours() {
    let mut reality = applied(vec![db()]);
    let real = reality.at("fra1", 2000);
    let stamp = rl_model::Stamp { controller: rl_model::ControllerId::from_bits(9), ..real.stamp().unwrap() };
    real.raw.insert("description".to_owned(), stamp.description(""));
    real.raw.insert("cores".to_owned(), "7".to_owned());
    assert_snapshot!(show(&planned(&reality, vec![db()], &Policy::default())), @"
    Blocked: VMID 2000 of `db` is held on pve1 by container `db`, which is not ours because its stamp is of another installation (90000000000000000000); it is not touched
        hint: let only one installation look after it; to take it back, put the tag `rl-h5qsgxdfyeep` and the line `rapidlaunch: guest=h5qsgxdfyeepnr7j79hh stack=shop name=db controller=a1000000000000000000` into its notes
    ");
    let destroy = plan_destroy(&stack_name(), &reality.leases, &reality.observe(), &allow(&[], &["db"]), 3);
    assert!(destroy.0.is_empty() && destroy.1.is_blocked(), "{:?}", destroy.0.actions);
}

#[test]
fn a_guest_without_nics_that_lost_its_stamp_is_known_by_its_host_name() {
    let bare = || vec![Container { nics: Vec::new(), ..container("batch") }];
    let mut reality = applied(bare());
    let real = reality.at("fra1", 2000);
    real.raw.remove("tags");
    real.raw.remove("description");
    let (plan, report) = planned(&reality, bare(), &Policy::default());
    assert!(plan.is_empty() && report.is_blocked(), "{:?}", plan.actions);
    let destroy = plan_destroy(&stack_name(), &reality.leases, &reality.observe(), &Policy::default(), 3);
    assert!(destroy.0.is_empty() && destroy.1.is_blocked(), "{:?}", destroy.0.actions);
    reality.at("fra1", 2000).raw.insert("hostname".to_owned(), "theirs".to_owned());
    let (plan, _) = planned(&reality, bare(), &Policy::default());
    assert_eq!((plan.actions[0].kind.verb(), plan.actions[0].vmid), ("create", 2001.try_into().unwrap()));
}

#[test]
fn a_virtual_machine_is_never_our_container_whatever_it_bears() {
    let reality = applied(vec![db()]);
    let mut seen = reality.observe();
    let site = seen.sites.get_mut(&"fra1".parse().unwrap()).unwrap();
    let machine = site.guests.get_mut(&2000.try_into().unwrap()).unwrap();
    machine.kind = rl_model::GuestKind::Vm;
    assert!(machine.config.as_ref().is_some_and(|config| config.stamp.is_some()));
    let made = planned_from(&reality, &seen, vec![db()], &Policy::default());
    assert_eq!(made.0.actions.len(), 1);
    assert_eq!((made.0.actions[0].kind.verb(), made.0.actions[0].vmid), ("create", 2001.try_into().unwrap()));
    let destroy = plan_destroy(&stack_name(), &reality.leases, &seen, &allow(&[], &["db"]), 3);
    let verbs: Vec<&str> = destroy.0.actions.iter().map(|action| action.kind.verb()).collect();
    assert_eq!(verbs, ["forget"]);
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
