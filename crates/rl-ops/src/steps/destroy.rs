//! Destroys a container that bears our stamp, and sees it gone.
//!
//! *Guarantees*: the stamp, type, host name and MAC of `net0` are read immediately before the call; a guest that
//! differs is left alone. *Caveat*: Proxmox takes no digest with this call, so the time between reading and destroying
//! is as short as one request, but not zero.

use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};
use rl_model::{FieldKey, Vmid};
use rl_pve::api::lxc::ConfigPatch;
use rl_pve::{CallClass, ErrorKind, TaskEnd};

use super::{create_container, leased_vmid, nothing, shut_down, start};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, LOCKED_WAIT, look_error};
use crate::identity::{Found, Ours, find, foreign};
use crate::live::{Announced, NotDone, call, end_earlier, follow_earlier, run_task, task_error, watch_only};
use crate::payload::Target;
use crate::site::SiteApi;

/// Tasks that destroy a container.
const DESTROYING: &[&str] = &["vzdestroy"];
/// Tasks of all calls by which a container is removed while undoing.
const REMOVING: &[&str] = &["vzshutdown", "vzstop", "vzdestroy"];

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
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, api, cx.prior(), DESTROYING, "destroy").await?;
        let vmid = leased_vmid(cx, &self.target).await?;
        destroy(cx, api, &self.target, vmid).await?;
        Ok(nothing())
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // What is destroyed cannot be brought back; the job keeps what it did and is tried again.
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, &api, &cx.done_so_far(), DESTROYING, "destroy").await
    }
}

async fn destroy(cx: &StepCx, api: &SiteApi, target: &Target, vmid: Vmid) -> Result<(), StepError> {
    let ours = match find(api, target, vmid).await? {
        Found::Ours(ours) => ours,
        Found::Absent => return Ok(()),
        Found::BeingMade { node } => {
            return Err(StepError::retry(LOCKED_WAIT, format!("container {vmid} on node {node} is being made")));
        }
        Found::Foreign { why, .. } => return Err(foreign(target, &why)),
    };
    if is_protected(&ours) {
        return Err(StepError::blocked(
            format!("container {vmid} on node {} is protected against removal", ours.node),
            "take `protection` off in the stack file and apply, or in Proxmox, then retry",
        ));
    }
    let announced = Announced::new("destroy", &ours.node, vmid);
    let label = format!("destroy of {} (VMID {vmid} on {})", target.stamp.name, ours.node);
    let end = match run_task(cx, api, announced, api.limit(CallClass::Create), api.destroy(&ours.node, vmid)).await {
        Ok(end) => end,
        Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::DoesNotExist) => TaskEnd::Unknown,
        Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::StillRunning) => {
            return stop_first(cx, api, target, &ours, &label).await;
        }
        Err(other) => return Err(other.into_step_error()),
    };
    let Found::Ours(still) = find(api, target, vmid).await? else { return Ok(()) };
    if matches!(&end, TaskEnd::Failed(text) if text.contains("is running")) {
        return stop_first(cx, api, target, &still, &label).await;
    }
    task_error(&end, &label)?;
    Err(StepError::retry(BUSY_WAIT, format!("{label}: Proxmox says it is done, but the container is still there")))
}

/// Somebody started it again after it was shut down, or a start was still under way.
async fn stop_first(cx: &StepCx, api: &SiteApi, target: &Target, ours: &Ours, label: &str) -> Result<(), StepError> {
    shut_down::shut_down(cx, api, target, ours).await?;
    Err(StepError::retry(Duration::ZERO, format!("{label}: it was running again and has been shut down")))
}

/// Removes a guest of ours, running or not; one that is not there, or not ours, is left alone. For undoing.
pub(crate) async fn remove_ours(cx: &StepCx, api: &SiteApi, target: &Target, vmid: Vmid) -> Result<(), StepError> {
    follow_earlier(cx, api, cx.prior(), REMOVING, "remove").await?;
    let ours = match find(api, target, vmid).await? {
        Found::Ours(ours) => ours,
        // It may be ours, half made. Its task has been followed or was never ours; wait until the stamp shows.
        Found::BeingMade { node } => {
            return match api.running_task(&node, vmid, create_container::MAKING).await {
                Ok(None) if create_container::is_given_up(cx) => {
                    Err(create_container::given_up(api, target, &node, vmid).await)
                }
                _ => Err(StepError::retry(LOCKED_WAIT, format!("container {vmid} on node {node} is being made"))),
            };
        }
        Found::Absent | Found::Foreign { .. } => return Ok(()),
    };
    // A start that is under way would make the destroy fail later.
    if let Some(upid) = api.running_task(&ours.node, vmid, start::STARTING).await.map_err(look_error)? {
        watch_only(cx, api, &upid, "start").await?;
    }
    shut_down::stop_ours(cx, api, target, vmid).await?;
    if is_protected(&ours) {
        unprotect(cx, api, &ours).await?;
    }
    destroy(cx, api, target, vmid).await
}

fn is_protected(ours: &Ours) -> bool {
    ours.config.fields.get(FieldKey::Protection) == "1"
}

/// Takes the protection off that the same job has put on.
async fn unprotect(cx: &StepCx, api: &SiteApi, ours: &Ours) -> Result<(), StepError> {
    let mut patch = ConfigPatch { digest: Some(ours.config.digest.clone()), ..ConfigPatch::default() };
    patch.set.insert(FieldKey::Protection.to_string(), "0".to_owned());
    let announced = Announced::new("take protection off", &ours.node, ours.vmid);
    let send = api.set_config(&ours.node, ours.vmid, &patch);
    let written = call(cx, announced, api.limit(CallClass::Create), send, |()| "written".to_owned()).await;
    written.map_err(NotDone::into_step_error)
}
