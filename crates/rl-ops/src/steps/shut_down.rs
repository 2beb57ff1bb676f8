//! Shuts a container down, by force when it does not go by itself, and sees it stopped.

use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};
use rl_model::{GuestStatus, Vmid};
use rl_pve::{CallClass, ErrorKind, TaskEnd};

use super::{GuestReceipt, leased_vmid, nothing};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, classify, look_error};
use crate::identity::{Found, Ours, find, foreign, gone};
use crate::live::{Announced, NotDone, end_earlier, follow_earlier, run_task, task_error};
use crate::payload::Target;
use crate::site::SiteApi;

/// How long a container may take to shut down before Proxmox stops it.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(60);

/// Tasks that end a container's run.
pub(crate) const STOPPING: &[&str] = &["vzshutdown", "vzstop"];

/// See the module.
pub struct ShutDown {
    /// The guest.
    pub target: Target,
    /// Whether it may be gone already: it is to be destroyed next.
    pub may_be_gone: bool,
}

#[async_trait]
impl Step for ShutDown {
    fn name(&self) -> &str {
        "shut down"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, api, cx.prior(), STOPPING, "shutdown").await?;
        let vmid = leased_vmid(cx, &self.target).await?;
        match find(api, &self.target, vmid).await? {
            Found::Ours(ours) => shut_down(cx, api, &self.target, &ours).await?.envelope(),
            Found::Absent if self.may_be_gone => Ok(nothing()),
            Found::Absent => Err(gone(&self.target, vmid)),
            Found::BeingMade { .. } => Err(StepError::retry(BUSY_WAIT, format!("container {vmid} is being made"))),
            Found::Foreign { why, .. } => Err(foreign(&self.target, &why)),
        }
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // A job that shuts a guest down goes on or is tried again; it is not turned back.
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, &api, &cx.done_so_far(), STOPPING, "shutdown").await
    }
}

async fn is_running(api: &SiteApi, ours: &Ours) -> Result<bool, StepError> {
    let list = api.node_guests(&ours.node).await.map_err(look_error)?;
    Ok(list.get(&ours.vmid).is_some_and(|row| row.status == GuestStatus::Running))
}

pub(super) async fn shut_down(
    cx: &StepCx,
    api: &SiteApi,
    target: &Target,
    ours: &Ours,
) -> Result<GuestReceipt, StepError> {
    let receipt = |changed| GuestReceipt { node: ours.node.clone(), vmid: ours.vmid, changed };
    if !is_running(api, ours).await? {
        return Ok(receipt(false));
    }
    let announced = Announced::new("shutdown", &ours.node, ours.vmid);
    let label = format!("shutdown of {} (VMID {})", target.stamp.name, ours.vmid);
    let end = match run_task(
        cx,
        api,
        announced,
        api.limit(CallClass::Write),
        api.shutdown(&ours.node, ours.vmid, SHUTDOWN_GRACE),
    )
    .await
    {
        Ok(end) => end,
        Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::NotRunning) => TaskEnd::Unknown,
        Err(NotDone::Refused(error)) => return Err(classify(&error)),
        Err(other) => return Err(other.into_step_error()),
    };
    if is_running(api, ours).await? {
        task_error(&end, &label)?;
        return Err(StepError::retry(
            BUSY_WAIT,
            format!("{label}: Proxmox says it is done, but the container still runs"),
        ));
    }
    Ok(receipt(true))
}

/// Stops a guest of ours at once, if it is there and runs. For undoing.
pub(crate) async fn stop_ours(cx: &StepCx, api: &SiteApi, target: &Target, vmid: Vmid) -> Result<(), StepError> {
    let Found::Ours(ours) = find(api, target, vmid).await? else { return Ok(()) };
    if !is_running(api, &ours).await? {
        return Ok(());
    }
    let announced = Announced::new("stop", &ours.node, vmid);
    match run_task(cx, api, announced, api.limit(CallClass::Write), api.stop(&ours.node, vmid)).await {
        Ok(end) if is_running(api, &ours).await? => {
            task_error(&end, "stop")?;
            Err(StepError::retry(BUSY_WAIT, format!("container {vmid} was stopped, but still runs")))
        }
        Ok(_) => Ok(()),
        Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::NotRunning) => Ok(()),
        Err(other) => Err(other.into_step_error()),
    }
}
