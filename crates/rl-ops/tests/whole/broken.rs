//! Systems that are broken on purpose, each in one way that the simulation must notice. Nothing of this is in the program:
//! they are made of wrappers around the journal and the steps.

use std::sync::Arc;

use async_trait::async_trait;
use rl_engine::{Envelope, OpClass, Receipt, Registry, Step, StepCx, StepError};
use rl_model::{ResolvedGuest, Stamp, VmidRange};
use rl_ops::steps::GuestReceipt;
use rl_ops::{Ctx, JobPayload};
use rl_pve::ErrorKind;
use rl_pve::api::lxc;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Nothing.
    Nothing,
    /// A write of a holder that has lost its lease is let through.
    FenceNotChecked,
    /// Calls are not announced.
    IntentSkipped,
    /// Writes are acknowledged before they are on disk, so that a crash loses the last of them.
    AnswerBeforeCommit,
    /// A create that is refused because the guest exists is made again under another number.
    CreatesAgain,
}

/// The kinds of jobs of a system that is broken like this.
pub(crate) fn registry(broken: Broken) -> Registry {
    let known = rl_ops::registry();
    if broken != Broken::CreatesAgain {
        return known;
    }
    let kind = known.get("guest-action").unwrap().clone();
    let table = kind.clone();
    let kind = rl_engine::JobKind::first("guest-action", move |payload| {
        let steps = table.steps(payload)?;
        let Ok(job) = payload.read::<JobPayload>() else { return Ok(steps) };
        let Some(guest) = job.action.kind.guest().cloned() else { return Ok(steps) };
        let stamp = job.action.stamp.clone();
        let swap = |inner: Arc<dyn Step>| -> Arc<dyn Step> {
            if inner.name() != "create container" {
                return inner;
            }
            Arc::new(CreatesAgain { inner, guest: guest.clone(), stamp: stamp.clone(), vmids: job.vmids })
        };
        Ok(steps.into_iter().map(swap).collect())
    });
    known.with(kind)
}

/// The step that makes a container, without any look: refused or not answered means not done.
struct CreatesAgain {
    inner: Arc<dyn Step>,
    guest: ResolvedGuest,
    stamp: Stamp,
    vmids: VmidRange,
}

#[async_trait]
impl Step for CreatesAgain {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let ctx = cx.context::<Ctx>();
        let site = &self.guest.site;
        let api = ctx.site(site)?;
        let mut taken = Vec::new();
        loop {
            let vmid = ctx.guests().vmid_of(site, &self.guest.id).await?.unwrap_or(self.guest.vmid);
            let announced = serde_json::json!({ "call": "create", "node": self.guest.node, "vmid": vmid });
            cx.intent(Envelope::new("proxmox-call", 1, announced)).await?;
            let guest = ResolvedGuest { vmid, ..self.guest.clone() };
            let sent = api.pve().send(lxc::create(&guest.node, &guest, &self.stamp, guest.running)).await;
            match sent {
                Ok(upid) => {
                    cx.submitted(upid.to_string()).await?;
                    api.pve().watch(&upid).await.map_err(|e| StepError::fatal(e.to_string()))?;
                    let receipt = GuestReceipt { node: guest.node.clone(), vmid, changed: true };
                    return Ok(Envelope::of("guest", 1, &receipt).unwrap());
                }
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists) => {
                    taken.push(vmid);
                    ctx.guests().lease_another_vmid(site, &guest.id, self.vmids, &taken).await?;
                }
                Err(error) => return Err(StepError::retry(std::time::Duration::from_secs(1), error.to_string())),
            }
        }
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        self.inner.undo(cx).await
    }
}
