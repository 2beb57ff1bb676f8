//! Strangers on our VMID, copies of our guests, other installations: left alone in every step, and told.

use std::time::Duration;

use pve_sim::Action as Fault;
use rl_engine::OperationState;
use rl_model::{ControllerId, GuestId, ResolvedGuest, Stamp, Vmid};
use serde_json::{Value, json};

use crate::lab::{Came, Lab, action, create, guest, job, jobs, p, stamp};
use crate::scripted::{Case, Left, interrupted};

/// Steps that must find our guest, by the job they belong to.
const ON_OURS: [&str; 9] = ["update", "drop", "move", "start", "stop", "replace", "remove", "restart", "snapshot"];

/// A guest under our VMID that is not ours, in each of the ways that matter.
fn strangers() -> Vec<(&'static str, Value, &'static str)> {
    let ours = guest(1, true);
    let line = |stamp: Stamp| format!("{stamp}\n");
    let mac = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:01,type=veth,ip=10.20.0.51/24,gw=10.20.0.1";
    let other_mac = mac.replace("00:01,type", "AB:CD,type");
    let foreign = Stamp { controller: ControllerId::from_bits(4711), ..stamp(&ours) };
    let sibling = Stamp { guest: GuestId::from_bits(4711), ..stamp(&ours) };
    let lxc =
        |config: Value| json!({ "vmid": 2001, "node": "pve2", "replace": true, "running": true, "config": config });
    let rootfs = "local-zfs:subvol-2001-disk-7,size=1G";
    vec![
        (
            "without stamp",
            lxc(json!({ "hostname": "web-1", "rootfs": rootfs, "net0": mac })),
            "bears no stamp of RapidLaunch",
        ),
        (
            "of another installation",
            lxc(json!({ "hostname": "web-1", "rootfs": rootfs, "net0": mac, "description": line(foreign) })),
            "bears the stamp of another RapidLaunch installation",
        ),
        (
            "of another guest",
            lxc(json!({ "hostname": "web-1", "rootfs": rootfs, "net0": mac, "description": line(sibling) })),
            "bears the stamp of another guest",
        ),
        (
            "a copy with another MAC",
            lxc(json!({ "hostname": "web-1", "rootfs": rootfs, "net0": other_mac, "description": line(stamp(&ours)) })),
            "it looks like a clone",
        ),
        (
            "a copy with another name",
            lxc(json!({ "hostname": "copy", "rootfs": rootfs, "net0": mac, "description": line(stamp(&ours)) })),
            "its host name is `copy`",
        ),
        (
            "a virtual machine",
            json!({ "vmid": 2001, "node": "pve2", "type": "qemu", "replace": true, "running": true, "config": { "name": "web-1", "description": line(stamp(&ours)) } }),
            "belongs to a virtual machine",
        ),
    ]
}

async fn untouched(lab: &Lab, before: &Value, what: &str) {
    assert_eq!(lab.guest(p("2001")).await.as_ref(), Some(before), "{what}");
    let effects = lab.ledger().effects;
    let theirs = effects.iter().filter(|effect| effect.node == "pve2" && effect.vmid == 2001);
    assert_eq!(theirs.count(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_on_our_vmid_is_left_alone_in_every_step() {
    for name in ON_OURS {
        for (what, stranger, says) in strangers() {
            let case = Case::of(name).await;
            case.lab.control("POST", "/guests", stranger).await;
            let before = case.lab.guest(p("2001")).await.unwrap();
            let came = case.lab.run(case.jobs.clone()).await;
            came.must_be(OperationState::Blocked);
            assert!(came.text().contains(says), "{name}, {what}: {}", came.text());
            assert!(came.text().contains("nothing was done to it"), "{name}, {what}: {}", came.text());
            untouched(&case.lab, &before, &format!("{name}, {what}")).await;
        }
    }
}

/// The same when the step had announced a call, or even had it answered, before the stranger came.
#[tokio::test(flavor = "multi_thread")]
async fn stranger_met_on_going_on_is_left_alone() {
    for left in [Left::Intent, Left::ForgottenTask] {
        for name in ["update", "move", "start", "stop", "replace", "remove", "snapshot"] {
            let (what, stranger, says) = strangers().swap_remove(0);
            let case = Case::of(name).await;
            case.lab.control("POST", "/guests", stranger).await;
            let before = case.lab.guest(p("2001")).await.unwrap();
            let came = case.lab.run_with(case.jobs.clone(), &interrupted(left), |_, _| async {}).await;
            came.must_be(OperationState::Blocked);
            assert!(came.text().contains(says), "{name}, {left:?}: {}", came.text());
            untouched(&case.lab, &before, &format!("{name}, {what}, {left:?}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hint_tells_how_to_adopt() {
    let case = Case::of("stop").await;
    case.lab.control("POST", "/guests", strangers().swap_remove(0).1).await;
    let came = case.lab.run(case.jobs.clone()).await;
    insta::assert_snapshot!(came.text(), @"update web-1 is blocked: shut down: web-1: container 2001 on node pve2 bears no stamp of RapidLaunch; nothing was done to it (if that guest is yours and shall be web-1, put the line `rapidlaunch: guest=9z000000000000000000 stack=shop name=web-1 controller=90000000000000000000` into its notes and the tag rl-9z0000000000 on it, then plan again; if it is a copy, take the line out of its notes)");
}

/// Creates a guest whose VMID a stranger holds.
async fn create_beside(stranger: Value) -> (Lab, ResolvedGuest, Value, Came) {
    let (lab, guest) = (Lab::new().await, guest(1, true));
    lab.book.reserve(&guest);
    lab.control("POST", "/guests", stranger).await;
    let before = lab.guest(guest.vmid).await.unwrap();
    let came = lab.run(job(&lab, &guest, create(&guest))).await;
    (lab, guest, before, came)
}

#[tokio::test(flavor = "multi_thread")]
async fn create_takes_the_next_vmid() {
    for (what, stranger, says) in strangers().into_iter().filter(|(what, ..)| !what.starts_with("a copy")) {
        let (lab, guest, before, came) = create_beside(stranger).await;
        came.must_be(OperationState::Done);
        untouched(&lab, &before, what).await;
        let page = lab.book.page(&guest.id).unwrap();
        assert_eq!(page.vmid, p::<Vmid>("2000"), "{what}: the lowest that is free");
        assert_eq!(page.recorded.as_ref().map(|guest| guest.vmid), Some(page.vmid));
        assert!(
            came.notes().contains(says) && came.notes().contains("gets VMID 2000 instead"),
            "{what}: {}",
            came.notes()
        );
        let made = ResolvedGuest { vmid: page.vmid, ..guest };
        assert!(
            rl_ops::prove(&lab.sites(), &crate::lab::stack(&[made]), 0).await.items[0]
                .checks
                .iter()
                .skip(1)
                .all(|c| c.ok)
        );
    }
}

/// A container that claims to be the very guest is no stranger to be passed by: a second one would be a duplicate.
#[tokio::test(flavor = "multi_thread")]
async fn create_beside_a_copy_of_itself_is_blocked() {
    for (what, stranger, says) in strangers().into_iter().filter(|(what, ..)| what.starts_with("a copy")) {
        let (lab, guest, before, came) = create_beside(stranger).await;
        came.must_be(OperationState::Blocked);
        assert!(came.text().contains(says), "{what}: {}", came.text());
        untouched(&lab, &before, what).await;
        assert_eq!(lab.book.page(&guest.id).unwrap().vmid, guest.vmid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn create_with_strangers_on_many_vmids_goes_on_to_a_free_one() {
    let (lab, guest) = (Lab::new().await, guest(1, false));
    lab.book.reserve(&guest);
    for vmid in [2000, 2001, 2002, 2003] {
        lab.control("POST", "/guests", json!({ "vmid": vmid, "node": "pve3", "config": { "hostname": "other" } }))
            .await;
    }
    lab.run(job(&lab, &guest, create(&guest))).await.must_be(OperationState::Done);
    assert_eq!(lab.book.page(&guest.id).unwrap().vmid, p::<Vmid>("2004"));
}

/// The range is full of strangers: a person is told what to do.
#[tokio::test(flavor = "multi_thread")]
async fn create_without_a_free_vmid_is_blocked() {
    let (mut lab, guest) = (Lab::new().await, guest(1, false));
    lab.site.vmids = rl_model::VmidRange::new(p("2001"), p("2002")).unwrap();
    lab.book.reserve(&guest);
    for vmid in [2001, 2002] {
        lab.control("POST", "/guests", json!({ "vmid": vmid, "node": "pve3", "config": { "hostname": "other" } }))
            .await;
    }
    let came = lab.run(job(&lab, &guest, create(&guest))).await;
    came.must_be(OperationState::Blocked);
    assert!(came.text().contains("widen `vmids` in the site file"), "{}", came.text());
}

/// A stranger who is just making a container under our VMID is waited for, and his task is never stopped.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_create_in_progress_is_waited_out() {
    let (lab, ours) = (Lab::new().await, guest(1, false));
    lab.book.reserve(&ours);
    let mut theirs = guest(2, false);
    (theirs.vmid, theirs.node) = (ours.vmid, p("pve2"));
    let foreign = Stamp { controller: ControllerId::from_bits(4711), ..stamp(&theirs) };
    let upid = lab.api.pve().send(rl_pve::api::lxc::create(&theirs.node, &theirs, &foreign, false)).await.unwrap();
    let came = lab.run(job(&lab, &ours, create(&ours))).await;
    came.must_be(OperationState::Done);
    assert_eq!(format!("{:?}", lab.api.pve().watch(&upid).await.unwrap()), "Ok");
    assert_eq!(lab.book.page(&ours.id).unwrap().vmid, p::<Vmid>("2000"));
    assert_eq!(lab.config(ours.vmid, "hostname").await, "web-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_does_not_stop_a_strangers_create() {
    let (lab, ours) = (Lab::new().await, guest(1, false));
    lab.book.reserve(&ours);
    let mut theirs = guest(2, false);
    (theirs.vmid, theirs.node) = (ours.vmid, p("pve2"));
    lab.fault("POST", "/nodes/pve2/lxc", 1, Fault::HangTask {});
    let upid =
        lab.api.pve().send(rl_pve::api::lxc::create(&theirs.node, &theirs, &stamp(&theirs), false)).await.unwrap();
    let cancel = |journal: std::sync::Arc<dyn rl_engine::Journal>, id| async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        journal.request_cancel(id, "test".to_owned(), rl_engine::UnixMs(0)).await.unwrap();
    };
    let came = lab.run_with(job(&lab, &ours, create(&ours)), &rl_ops::registry(), cancel).await;
    came.must_be(OperationState::Cancelled);
    let status = lab.api.pve().send(rl_pve::api::tasks::status(&upid)).await.unwrap();
    assert_eq!(status.status, "running", "it is not ours to stop");
}

/// The log of a task that takes long is looked at, so that a step which moves does not count as stalled.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_long_task_writes_is_read() {
    let (lab, ours) = (Lab::new().await, guest(1, false));
    lab.book.reserve(&ours);
    lab.fault("POST", "/nodes/pve1/lxc", 1, Fault::HangTask {});
    let looks = || {
        let calls = lab.sim.ledger().calls;
        calls.iter().filter(|(call, _)| call.ends_with("/tasks/{upid}/log")).map(|(_, count)| *count).sum::<u64>()
    };
    assert_eq!(looks(), 0);
    let cancel = |journal: std::sync::Arc<dyn rl_engine::Journal>, id| async move {
        while looks() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        journal.request_cancel(id, "test".to_owned(), rl_engine::UnixMs(0)).await.unwrap();
    };
    let came = lab.run_with(job(&lab, &ours, create(&ours)), &rl_ops::registry(), cancel).await;
    came.must_be(OperationState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn guest_moved_by_hand_is_followed() {
    for name in ["update", "stop", "start", "restart", "snapshot", "remove"] {
        let case = Case::of(name).await;
        case.lab.control("POST", "/guests", json!({ "vmid": 2001, "node": "pve2" })).await;
        case.lab.run(case.jobs.clone()).await.must_be(OperationState::Done);
    }
}

/// Two guests of one stack do not disturb each other: one is removed, the other stays as it was.
#[tokio::test(flavor = "multi_thread")]
async fn neighbours_are_left_alone() {
    let (lab, old, neighbour) = (Lab::new().await, guest(1, true), guest(2, true));
    lab.make(&old).await;
    lab.make(&neighbour).await;
    let before = lab.guest(neighbour.vmid).await;
    lab.run(jobs(&lab, vec![action(0, &old, crate::lab::remove(&old))])).await.must_be(OperationState::Done);
    assert_eq!((lab.guest(old.vmid).await, lab.guest(neighbour.vmid).await), (None, before));
}
