//! Every kind of job, every step: it runs, repeated, killed at each write, failed at each point and undone, undone twice,
//! cancelled at each step; and after every unwinding a clean slate.
//!
//! What cannot be taken back is asked of no unwinding: a disk that grew stays grown, what is destroyed stays destroyed, and
//! jobs that change or remove a guest keep what they did.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::testing::{ProofReport, ProofScene, ProofWorld, Proofs};
use rl_engine::{Envelope, Ids, JobSpec, OnFailure};
use rl_model::{ActionKind, Consequence, DiskSize, Memory, ResolvedGuest};
use rl_ops::{GuestVerb, Target, compile_guest};
use serde_json::Value;

use crate::lab::{self, Lab, action, guest, p, remove, stamp, update, volume};

/// Worlds with the same guests in them.
struct Worlds {
    /// Guests that are there.
    there: Vec<ResolvedGuest>,
    /// Guests that are only booked.
    booked: Vec<ResolvedGuest>,
    /// Snapshots that are there.
    snapshots: Vec<&'static str>,
}

impl Worlds {
    fn with(there: &[&ResolvedGuest]) -> Self {
        Self { there: there.iter().map(|g| (*g).clone()).collect(), booked: Vec::new(), snapshots: Vec::new() }
    }

    fn booking(guest: &ResolvedGuest) -> Self {
        Self { booked: vec![guest.clone()], ..Self::with(&[]) }
    }
}

#[async_trait]
impl ProofWorld for Worlds {
    async fn fresh(&self) -> Box<dyn ProofScene> {
        let lab = Lab::of(2).await;
        for guest in &self.there {
            lab.make(guest).await;
            for name in &self.snapshots {
                let send = rl_pve::api::lxc::take_snapshot(&guest.node, guest.vmid, &p(name), None);
                let upid = lab.api.pve().send(send).await.unwrap();
                lab.api.pve().watch(&upid).await.unwrap();
            }
        }
        self.booked.iter().for_each(|guest| lab.book.reserve(guest));
        Box::new(Scene(lab))
    }
}

struct Scene(Lab);

#[async_trait]
impl ProofScene for Scene {
    fn context(&self) -> Arc<dyn Any + Send + Sync> {
        self.0.ctx.clone()
    }

    /// Guests, volumes, who holds what, and whether any guest was made twice without having been destroyed between.
    async fn snapshot(&self) -> String {
        let state = self.0.state().await;
        let mut out = String::new();
        for (vmid, guest) in state["guests"].as_object().unwrap() {
            let mut guest = guest.clone();
            guest.as_object_mut().unwrap().remove("digest");
            writeln!(out, "guest {vmid} {guest}").unwrap();
        }
        for volume in state["volumes"].as_array().unwrap().iter().filter(|volume| volume["vmid"] != Value::Null) {
            writeln!(out, "volume {volume}").unwrap();
        }
        writeln!(out, "book {}", self.0.book.text()).unwrap();
        let mut alive: BTreeMap<u32, i64> = BTreeMap::new();
        for effect in self.0.ledger().effects {
            let count = alive.entry(effect.vmid).or_default();
            match effect.kind.as_str() {
                "create" => *count += 1,
                "destroy" => *count -= 1,
                _ => {}
            }
            assert!((0..=1).contains(count), "guest {} was made twice", effect.vmid);
        }
        out
    }
}

async fn prove(worlds: &Worlds, job: &JobSpec, on_failure: OnFailure) -> ProofReport {
    let kind = rl_ops::registry().get(&job.payload.kind).unwrap().clone();
    let proofs = Proofs {
        kind,
        payload: job.payload.clone(),
        operation_payload: Envelope::new("nothing", 1, Value::Null),
        on_failure,
        clock: lab::clock(),
        config: lab::engine(),
    };
    proofs.run(worlds).await
}

/// The job of one action, and the way it fails.
async fn action_job(guest: &ResolvedGuest, kind: ActionKind, awaited: bool) -> JobSpec {
    let lab = Lab::of(1).await;
    let mut actions = vec![action(0, guest, kind)];
    if awaited {
        let mut next = action(1, &lab::guest(99, false), ActionKind::Forget);
        next.after.push(actions[0].id);
        actions.push(next);
    }
    lab::jobs(&lab, actions).swap_remove(0)
}

async fn prove_action(worlds: Worlds, guest: &ResolvedGuest, kind: ActionKind) {
    let job = action_job(guest, kind, false).await;
    prove(&worlds, &job, job.on_failure).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn create_of_a_stopped_guest() {
    let guest = guest(1, false);
    prove_action(Worlds::booking(&guest), &guest, lab::create(&guest)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn create_of_a_running_guest_that_others_wait_for() {
    let mut guest = guest(1, true);
    guest.volumes.push(volume("data", "mp0", 1));
    let job = action_job(&guest, lab::create(&guest), true).await;
    let report = prove(&Worlds::booking(&guest), &job, OnFailure::Undo).await;
    report.assert_ok();
    assert!(report.cases.iter().any(|case| case.name.contains("settle")), "others wait for it:\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn create_of_a_protected_guest_is_taken_back() {
    let mut guest = guest(1, true);
    guest.protection = true;
    prove_action(Worlds::booking(&guest), &guest, lab::create(&guest)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_of_the_configuration_is_taken_back() {
    let old = guest(1, true);
    let mut new = old.clone();
    (new.cores, new.memory, new.onboot) = (2, Memory::from_mib(512), false);
    new.tags = vec![p("test")];
    new.notes = "other words".to_owned();
    let job = action_job(&old, update(&old, &new, Consequence::Keep), false).await;
    assert_eq!(job.on_failure, OnFailure::Keep);
    prove(&Worlds::with(&[&old]), &job, OnFailure::Undo).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn update_with_disks_and_a_restart() {
    let mut old = guest(1, true);
    old.volumes.push(volume("data", "mp0", 1));
    let mut new = old.clone();
    new.disk = DiskSize::from_gib(3);
    new.volumes[0].size = DiskSize::from_gib(2);
    new.volumes.push(volume("logs", "mp1", 1));
    new.timezone = Some("Europe/Berlin".to_owned());
    prove_action(Worlds::with(&[&old]), &old, update(&old, &new, Consequence::Restart)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_drops_a_volume() {
    let mut old = guest(1, true);
    old.volumes.push(volume("data", "mp0", 1));
    let mut new = old.clone();
    new.volumes.clear();
    prove_action(Worlds::with(&[&old]), &old, update(&old, &new, Consequence::Restart)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_moves_a_running_guest() {
    let old = guest(1, true);
    let mut new = old.clone();
    new.node = p("pve2");
    new.cores = 2;
    prove_action(Worlds::with(&[&old]), &old, update(&old, &new, Consequence::Restart)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_moves_a_stopped_guest_is_taken_back() {
    let old = guest(1, false);
    let mut new = old.clone();
    new.node = p("pve2");
    let job = action_job(&old, update(&old, &new, Consequence::Keep), false).await;
    prove(&Worlds::with(&[&old]), &job, OnFailure::Undo).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_starts() {
    let old = guest(1, false);
    let new = ResolvedGuest { running: true, ..old.clone() };
    let job = action_job(&old, update(&old, &new, Consequence::Start), false).await;
    prove(&Worlds::with(&[&old]), &job, OnFailure::Undo).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_stops() {
    let old = guest(1, true);
    let new = ResolvedGuest { running: false, ..old.clone() };
    prove_action(Worlds::with(&[&old]), &old, update(&old, &new, Consequence::Stop)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replace_of_a_protected_guest() {
    let old = ResolvedGuest { protection: true, ..guest(1, true) };
    let new = ResolvedGuest { protection: false, disk: DiskSize::from_gib(1), ..old.clone() };
    let changes = lab::changes(&old, &new);
    let seen_net0 = lab::seen_net0(&old);
    let kind = ActionKind::Replace { guest: Box::new(new), changes, was_running: true, seen_net0 };
    prove_action(Worlds::with(&[&old]), &old, kind).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn remove_of_a_running_guest() {
    let (old, other) = (guest(1, true), guest(2, true));
    prove_action(Worlds::with(&[&old, &other]), &old, remove(&old)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forget_of_a_guest_that_is_gone() {
    let gone = guest(1, true);
    prove_action(Worlds::booking(&gone), &gone, ActionKind::Forget).await;
}

async fn prove_verb(running: bool, snapshots: Vec<&'static str>, verb: GuestVerb) -> ProofReport {
    let there = guest(1, running);
    let worlds = Worlds { snapshots, ..Worlds::with(&[&there]) };
    let job = compile_guest(Target::applied(stamp(&there), &there), verb, &Ids::from_seed(lab::clock(), 3)).unwrap();
    prove(&worlds, &job, job.on_failure).await
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_start_and_stop() {
    prove_verb(false, vec![], GuestVerb::Start).await.assert_ok();
    prove_verb(true, vec![], GuestVerb::Stop).await.assert_ok();
    prove_verb(true, vec![], GuestVerb::Restart).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_that_make_and_remove_snapshots() {
    let name = || "before".to_owned();
    prove_verb(true, vec![], GuestVerb::SnapshotCreate { name: name() }).await.assert_ok();
    prove_verb(true, vec!["before"], GuestVerb::SnapshotRemove { name: name() }).await.assert_ok();
}

/// Returning to a snapshot twice would lose what was written in between: interrupted between call and answer, it waits
/// for a person. Every other case is as for other jobs.
#[tokio::test(flavor = "multi_thread")]
async fn returning_to_a_snapshot_is_never_repeated_on_its_own() {
    let report = prove_verb(false, vec!["before"], GuestVerb::SnapshotRollback { name: "before".to_owned() }).await;
    let wrong: Vec<_> = report.cases.iter().filter(|case| case.wrong.is_some()).collect();
    assert!(!wrong.is_empty() && wrong.len() < 6, "only kills between announcing and answering are blocked:\n{report}");
    for case in wrong {
        let why = case.wrong.as_deref().unwrap();
        assert!(
            case.name.starts_with("killed") && why.contains("nothing tells whether it was carried out"),
            "{report}"
        );
    }
}
