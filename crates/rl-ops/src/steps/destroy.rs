//! Destroys a container that bears our stamp, and sees it gone.
//!
//! *Guarantees*: the stamp, type, host name and MAC of `net0` are read immediately before the call; a guest that
//! differs is left alone. *Caveat*: Proxmox takes no digest with this call, so the time between reading and destroying
//! is as short as one request, but not zero.

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};
use rl_model::{Upid, Vmid};
use rl_pve::{CallClass, ErrorKind};

use super::{leased_vmid, nothing, shut_down};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, LOCKED_WAIT};
use crate::identity::{Found, find, foreign};
use crate::live::{Announced, NotDone, follow, run_task, task_error};
use crate::payload::Target;
use crate::site::SiteApi;

/// See the module.
pub struct Destroy {
    /// The guest.
    pub target: Target,
}

#[async_trait]
impl Step for Destroy {
    fn name(&self) -> &str {
        "destroy"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        if let Some(upid) = cx.prior().ext_ref().and_then(|text| text.parse::<Upid>().ok()) {
            follow(cx, api, &upid, "destroy").await?;
        }
        let vmid = leased_vmid(cx, &self.target).await?;
        destroy(cx, api, &self.target, vmid).await?;
        Ok(nothing())
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // What is destroyed cannot be brought back; the job keeps what it did and is tried again.
        Ok(())
    }
}

async fn destroy(cx: &StepCx, api: &SiteApi, target: &Target, vmid: Vmid) -> Result<(), StepError> {
    let ours = match find(api, target, vmid).await? {
        Found::Ours(ours) => ours,
        Found::Absent => return Ok(()),
        Found::BeingMade { node } => {
            return Err(StepError::retry(LOCKED_WAIT, format!("container {vmid} on node {node} is being made")));
        }
        Found::Foreign { why } => return Err(foreign(target, &why)),
    };
    if ours.raw.get("protection") == Some("1") {
        return Err(StepError::blocked(
            format!("container {vmid} on node {} is protected against removal", ours.node),
            "take `protection` off in the stack file and apply, or in Proxmox, then retry",
        ));
    }
    let announced = Announced { call: "destroy".to_owned(), node: ours.node.clone(), vmid };
    let label = format!("destroy of {} (VMID {vmid} on {})", target.stamp.name, ours.node);
    match run_task(cx, api, announced, CallClass::Write.limit(), api.destroy(&ours.node, vmid)).await {
        Ok(end) => task_error(&end, &label)?,
        Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::DoesNotExist) => {}
        Err(other) => return Err(other.into_step_error()),
    }
    match find(api, target, vmid).await? {
        Found::Ours(_) => Err(StepError::retry(BUSY_WAIT, format!("{label}: Proxmox says it is done, but the container is still there"))),
        _ => Ok(()),
    }
}

/// Removes a guest of ours, running or not; one that is not there, or not ours, is left alone. For undoing.
pub(crate) async fn remove_ours(cx: &StepCx, api: &SiteApi, target: &Target, vmid: Vmid) -> Result<(), StepError> {
    match find(api, target, vmid).await? {
        Found::Ours(_) => {}
        Found::BeingMade { node } => {
            // It may be ours, half made. Its task has been followed or was never ours; wait until the stamp shows.
            return match api.running_task(&node, vmid, &["vzcreate"]).await {
                Ok(None) if cx.attempt() > 3 => Ok(()),
                _ => Err(StepError::retry(LOCKED_WAIT, format!("container {vmid} on node {node} is being made"))),
            };
        }
        Found::Absent | Found::Foreign { .. } => return Ok(()),
    }
    shut_down::stop_ours(cx, api, target, vmid).await?;
    destroy(cx, api, target, vmid).await
}
