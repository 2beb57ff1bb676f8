//! Jobs to disturb, and steps that find what an interrupted run of theirs has left.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{Envelope, Ids, JobSpec, OpClass, Receipt, Registry, Step, StepCx, StepError};
use rl_model::{ActionKind, Consequence, DiskSize, ResolvedGuest};
use rl_ops::{GuestVerb, Target, compile_guest};
use serde_json::json;

use crate::lab::{self, Lab, guest, p, remove, stamp, update, volume};

/// A job with the guest it is about.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) lab: Lab,
    pub(crate) guest: ResolvedGuest,
    pub(crate) jobs: Vec<JobSpec>,
}

/// The names of all cases.
pub(crate) const CASES: [&str; 11] =
    ["create", "update", "drop", "move", "start", "stop", "replace", "remove", "forget", "restart", "snapshot"];

impl Case {
    /// A world with the guest in it, and a job about it.
    pub(crate) async fn of(name: &'static str) -> Self {
        let lab = Lab::of(2).await;
        let mut old = guest(1, !matches!(name, "start"));
        old.volumes.push(volume("data", "mp0", 1));
        let mut new = old.clone();
        let update_to = |new: &ResolvedGuest, power| update(&old, new, power);
        let kind = match name {
            "create" => Some(lab::create(&old)),
            "update" => {
                (new.cores, new.disk, new.timezone) = (2, DiskSize::from_gib(3), Some("Europe/Berlin".to_owned()));
                Some(update_to(&new, Consequence::Restart))
            }
            "drop" => {
                new.volumes.clear();
                Some(update_to(&new, Consequence::Restart))
            }
            "move" => {
                new.node = p("pve2");
                Some(update_to(&new, Consequence::Restart))
            }
            "start" => {
                new.running = true;
                Some(update_to(&new, Consequence::Start))
            }
            "stop" => {
                new.running = false;
                Some(update_to(&new, Consequence::Stop))
            }
            "replace" => {
                new.disk = DiskSize::from_gib(1);
                let (changes, seen_net0) = (lab::changes(&old, &new), lab::seen_net0(&old));
                Some(ActionKind::Replace { guest: Box::new(new.clone()), changes, was_running: true, seen_net0 })
            }
            "remove" => Some(remove(&old)),
            "forget" => Some(ActionKind::Forget),
            _ => None,
        };
        match name {
            "create" | "forget" => lab.book.reserve(&old),
            _ => lab.make(&old).await,
        }
        let jobs = match kind {
            Some(kind) => lab::job(&lab, &old, kind),
            None => vec![verb(&old, if name == "restart" { GuestVerb::Restart } else { snapshot("before") })],
        };
        let guest = if name == "remove" || name == "forget" { old } else { new };
        Self { name, lab, guest, jobs }
    }

    /// Whether the world is as the job should leave it, each thing done no more often than it had to be.
    pub(crate) async fn check(&self) {
        let (lab, vmid) = (&self.lab, self.guest.vmid);
        if matches!(self.name, "remove" | "forget") {
            assert_eq!(lab.guest(vmid).await, None, "{}", self.name);
            assert!(lab.book.page(&self.guest.id).unwrap().released);
            return;
        }
        let mut guest = self.guest.clone();
        guest.node_pinned = true;
        let proof = rl_ops::prove(&lab.sites(), &lab::stack(&[guest]), 0).await;
        assert!(proof.ok, "{}: {proof:#?}", self.name);
        let creates = if self.name == "replace" { 2 } else { 1 };
        assert_eq!(lab.done(vmid, "create"), creates, "{}", self.name);
        assert_eq!(lab.done(vmid, "destroy"), creates - 1, "{}", self.name);
        if self.name == "snapshot" {
            assert_eq!(lab.guest(vmid).await.unwrap()["snapshots"], json!(["before"]));
        }
        if self.name == "drop" {
            assert_eq!(volumes(lab).await, 1, "the root disk alone is left");
        }
    }
}

/// Volumes that belong to guests.
pub(crate) async fn volumes(lab: &Lab) -> usize {
    let state = lab.state().await;
    state["volumes"].as_array().unwrap().iter().filter(|volume| !volume["vmid"].is_null()).count()
}

pub(crate) fn snapshot(name: &str) -> GuestVerb {
    GuestVerb::SnapshotCreate { name: name.to_owned() }
}

pub(crate) fn verb(guest: &ResolvedGuest, verb: GuestVerb) -> JobSpec {
    compile_guest(Target::applied(stamp(guest), guest), verb, &Ids::from_seed(lab::clock(), 3)).unwrap()
}

/// What an interrupted run has left of each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// The call was announced and never made.
    Intent,
    /// The call was answered with a task that Proxmox has forgotten by now.
    ForgottenTask,
}

/// The kinds of jobs, with every step interrupted once.
pub(crate) fn interrupted(left: Left) -> Registry {
    let seen: Arc<Mutex<HashSet<String>>> = Arc::default();
    let known = rl_ops::registry();
    let mut out = Registry::new();
    for kind in ["guest-action", "guest-verb"] {
        let seen = seen.clone();
        let wrap = move |inner| -> Arc<dyn Step> { Arc::new(Interrupted { inner, left, seen: seen.clone() }) };
        out = out.with(known.get(kind).unwrap().map_steps(move |steps| steps.into_iter().map(&wrap).collect()));
    }
    out
}

struct Interrupted {
    inner: Arc<dyn Step>,
    left: Left,
    seen: Arc<Mutex<HashSet<String>>>,
}

#[async_trait]
impl Step for Interrupted {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn class(&self) -> OpClass {
        self.inner.class()
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        if !self.seen.lock().unwrap().insert(self.name().to_owned()) {
            return self.inner.ensure(cx).await;
        }
        let announced = json!({ "call": self.name(), "node": "pve1", "vmid": 2001 });
        cx.intent(Envelope::new("proxmox-call", 1, announced)).await?;
        if self.left == Left::ForgottenTask {
            cx.submitted("UPID:pve1:0000FFFF:0000FFFF:60000000:vzcreate:2001:root@pam!rapidlaunch:").await?;
        }
        Err(StepError::retry(Duration::ZERO, "the test interrupts it"))
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        self.inner.undo(cx).await
    }
}
