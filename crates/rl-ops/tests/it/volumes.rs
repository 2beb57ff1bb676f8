//! Disks, mount points, and the fields that only a create sets.

use rl_engine::OperationState;
use rl_model::{Consequence, DiskSize, Features, ResolvedGuest, ResolvedVolume, StartupOrder};
use serde_json::json;

use crate::lab::{self, Lab, create, guest, job, p, update, volume};
use crate::scripted::{snapshot, verb, volumes};

async fn prove(lab: &Lab, guest: &ResolvedGuest) {
    let proof = rl_ops::prove(&lab.sites(), &lab::stack(std::slice::from_ref(guest)), 0).await;
    assert!(proof.ok, "{proof:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_reaches_the_container() {
    let lab = Lab::new().await;
    let mut one = guest(1, true);
    one.pool = Some(p("shop"));
    one.timezone = Some("Europe/Berlin".to_owned());
    one.startup = Some(StartupOrder { order: Some(2), up_delay_s: Some(5), down_delay_s: Some(10) });
    one.ssh_keys =
        vec!["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKeyKey a@b".to_owned()];
    one.search_domain = Some("example.org".to_owned());
    one.volumes =
        vec![volume("data", "mp0", 1), ResolvedVolume { backup: false, read_only: true, ..volume("logs", "mp3", 2) }];
    one.disk = DiskSize::from_mib(2560);
    lab.book.reserve(&one);
    lab.run(job(&lab, &one, create(&one))).await.must_be(OperationState::Done);
    prove(&lab, &one).await;
    assert_eq!(lab.guest(one.vmid).await.unwrap()["pool"], "shop");
    assert_eq!(lab.config(one.vmid, "timezone").await, "Europe/Berlin");
    assert_eq!(lab.config(one.vmid, "startup").await, "down=10,order=2,up=5");
    assert!(lab.config(one.vmid, "tags").await.contains("prod"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_is_refused_before_anything_is_made() {
    let (lab, mut one) = (Lab::new().await, guest(1, true));
    one.ssh_keys = vec!["this is no key".to_owned()];
    lab.book.reserve(&one);
    let mut jobs = job(&lab, &one, create(&one));
    jobs[0].max_attempts = 3;
    let came = lab.run(jobs).await;
    came.must_be(OperationState::Failed);
    assert!(came.text().contains("SSH public key validation error"), "{}", came.text());
    assert_eq!(lab.guest(one.vmid).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_is_added_to_a_running_container() {
    let (lab, old) = (Lab::new().await, guest(1, true));
    lab.make(&old).await;
    let mut new = old.clone();
    new.volumes.push(volume("data", "mp0", 1));
    lab.run(job(&lab, &old, update(&old, &new, Consequence::Keep))).await.must_be(OperationState::Done);
    prove(&lab, &new).await;
    assert_eq!((volumes(&lab).await, lab.done(old.vmid, "shutdown")), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_volume_is_removed_and_no_other() {
    for running in [true, false] {
        let (lab, mut old) = (Lab::new().await, guest(1, running));
        old.volumes = vec![volume("data", "mp0", 1), volume("logs", "mp1", 1)];
        lab.make(&old).await;
        // Somebody has parted a volume of theirs from it earlier: it is not ours to remove.
        lab.control(
            "POST",
            "/guests",
            json!({ "vmid": 2001, "config": { "unused7": "local-zfs:subvol-2001-disk-9" } }),
        )
        .await;
        let mut new = old.clone();
        new.volumes.remove(0);
        let power = if running { Consequence::Restart } else { Consequence::Keep };
        lab.run(job(&lab, &old, update(&old, &new, power))).await.must_be(OperationState::Done);
        prove(&lab, &new).await;
        assert_eq!(volumes(&lab).await, 2, "the root disk and the logs");
        assert_eq!(lab.config(old.vmid, "unused7").await, "local-zfs:subvol-2001-disk-9");
        assert_eq!(lab.config(old.vmid, "unused0").await, "");
    }
}

/// Left for the next start: nothing is removed under a running guest, and it is said.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_volume_waits_for_the_next_start() {
    let (lab, mut old) = (Lab::new().await, guest(1, true));
    old.volumes = vec![volume("data", "mp0", 1)];
    lab.make(&old).await;
    let mut new = old.clone();
    new.volumes.clear();
    let came = lab.run(job(&lab, &old, update(&old, &new, Consequence::NextStart))).await;
    came.must_be(OperationState::Done);
    assert!(came.notes().contains("mp0 of web-1 goes at its next start"), "{}", came.notes());
    assert_eq!((volumes(&lab).await, lab.guest(old.vmid).await.unwrap()["running"].clone()), (2, json!(true)));
}

/// The move of a running guest is its restart; it is stopped a second time for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn move_restarts_once() {
    for timezone in [None, Some("Europe/Berlin".to_owned())] {
        let (lab, old) = (Lab::new().await, guest(1, true));
        lab.make(&old).await;
        let starts = lab.done(old.vmid, "start");
        let new =
            ResolvedGuest { node: p("pve2"), node_pinned: true, cores: 2, timezone: timezone.clone(), ..old.clone() };
        lab.run(job(&lab, &old, update(&old, &new, Consequence::Restart))).await.must_be(OperationState::Done);
        prove(&lab, &new).await;
        // Where a change waits for a start, the guest is stopped before the move and started once after it.
        let once = u64::from(timezone.is_some());
        let ours = (lab.done(old.vmid, "shutdown"), lab.done(old.vmid, "start") - starts);
        assert_eq!((lab.done(old.vmid, "migrate"), ours), (1, (once, once)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_and_stopped_guest_stays_stopped() {
    let (lab, old) = (Lab::new().await, guest(1, true));
    lab.make(&old).await;
    let starts = lab.done(old.vmid, "start");
    let new = ResolvedGuest { node: p("pve2"), node_pinned: true, running: false, ..old.clone() };
    lab.run(job(&lab, &old, update(&old, &new, Consequence::Stop))).await.must_be(OperationState::Done);
    prove(&lab, &new).await;
    assert_eq!(lab.done(old.vmid, "start"), starts);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_taken_away() {
    let (lab, mut old) = (Lab::new().await, guest(1, true));
    old.search_domain = Some("example.org".to_owned());
    old.timezone = Some("Europe/Berlin".to_owned());
    old.startup = Some(StartupOrder { order: Some(2), up_delay_s: None, down_delay_s: None });
    lab.make(&old).await;
    let new = ResolvedGuest {
        search_domain: None,
        timezone: None,
        startup: None,
        nameservers: Vec::new(),
        features: Features::default(),
        notes: String::new(),
        ..old.clone()
    };
    lab.run(job(&lab, &old, update(&old, &new, Consequence::Restart))).await.must_be(OperationState::Done);
    prove(&lab, &new).await;
    assert_eq!(lab.config(old.vmid, "searchdomain").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_of_a_protected_guest_is_blocked() {
    let (lab, old) = (Lab::new().await, ResolvedGuest { protection: true, ..guest(1, false) });
    lab.make(&old).await;
    let came = lab.run(job(&lab, &old, lab::remove(&old))).await;
    came.must_be(OperationState::Blocked);
    assert!(came.text().contains("is protected against removal"), "{}", came.text());
    assert!(lab.guest(old.vmid).await.is_some());
}

/// A guest that somebody starts again while it is being removed is shut down again.
#[tokio::test(flavor = "multi_thread")]
async fn guest_started_while_it_is_removed() {
    let (lab, old) = (Lab::new().await, guest(1, true));
    lab.make(&old).await;
    lab.fault("DELETE", "/nodes/*/lxc/*", 1, pve_sim::Action::Delay { seconds: 0.3 });
    let start = async |_, _| {
        for _ in 0..500 {
            if lab.done(old.vmid, "shutdown") > 0 {
                lab.control("POST", "/guests", json!({ "vmid": 2001, "running": true })).await;
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    let came = lab.run_with(job(&lab, &old, lab::remove(&old)), &rl_ops::registry(), start).await;
    came.must_be(OperationState::Done);
    assert_eq!((lab.guest(old.vmid).await, lab.done(old.vmid, "shutdown")), (None, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn return_to_a_snapshot_brings_the_configuration_back() {
    let (lab, old) = (Lab::new().await, guest(1, false));
    lab.make(&old).await;
    lab.run(vec![verb(&old, snapshot("before"))]).await.must_be(OperationState::Done);
    let new = ResolvedGuest { cores: 4, ..old.clone() };
    lab.run(job(&lab, &old, update(&old, &new, Consequence::Keep))).await.must_be(OperationState::Done);
    let back = rl_ops::GuestVerb::SnapshotRollback { name: "before".to_owned() };
    lab.run(vec![verb(&old, back)]).await.must_be(OperationState::Done);
    assert_eq!(lab.config(old.vmid, "cores").await, "1");
    let nowhere = rl_ops::GuestVerb::SnapshotRollback { name: "nosuch".to_owned() };
    let came = lab.run(vec![verb(&old, nowhere)]).await;
    came.must_be(OperationState::Failed);
    assert!(came.text().contains("has no snapshot `nosuch`"), "{}", came.text());
}
