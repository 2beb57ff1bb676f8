//! Moves a container to another node of its site. A running one is stopped and started by Proxmox (LXC knows no live
//! migration), which the plan has said.

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError};
use rl_model::{GuestStatus, NodeName, Upid};
use rl_pve::CallClass;

use super::{GuestReceipt, leased_vmid};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, look_error};
use crate::identity::must_find;
use crate::live::{Announced, follow, run_task, task_error};
use crate::payload::Target;

/// See the module.
pub struct MoveNode {
    /// The guest, on the node it leaves.
    pub target: Target,
    /// The node it goes to.
    pub to: NodeName,
}

#[async_trait]
impl Step for MoveNode {
    fn name(&self) -> &str {
        "move"
    }

    fn class(&self) -> OpClass {
        OpClass::Discoverable
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        self.move_to(cx, &self.to, cx.prior().ext_ref()).await
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        if matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        if let Some(upid) = cx.done_so_far().ext_ref().and_then(|text| text.parse::<Upid>().ok()) {
            let api = cx.context::<Ctx>().site(&self.target.site)?;
            follow(cx, &api, &upid, "move").await?;
        }
        self.move_to(cx, &self.target.node, cx.prior().ext_ref()).await.map(drop)
    }
}

impl MoveNode {
    async fn move_to(&self, cx: &StepCx, to: &NodeName, prior: Option<&str>) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        if let Some(upid) = prior.and_then(|text| text.parse::<Upid>().ok()) {
            follow(cx, api, &upid, "move").await?;
        }
        let vmid = leased_vmid(cx, &self.target).await?;
        let ours = must_find(api, &self.target, vmid).await?;
        let receipt = |changed| GuestReceipt { node: to.clone(), vmid, changed }.envelope();
        if ours.node == *to {
            return receipt(false);
        }
        let list = api.node_guests(&ours.node).await.map_err(look_error)?;
        let running = list.get(&vmid).is_some_and(|row| row.status == GuestStatus::Running);
        let announced = Announced::new("move", &ours.node, vmid);
        let send = api.migrate(&ours.node, vmid, to, running);
        let end =
            run_task(cx, api, announced, api.limit(CallClass::Write), send).await.map_err(|e| e.into_step_error())?;
        let label = format!("move of {} (VMID {vmid}) from {} to {to}", self.target.stamp.name, ours.node);
        if must_find(api, &self.target, vmid).await?.node == *to {
            return receipt(true);
        }
        task_error(&end, &label)?;
        Err(StepError::retry(BUSY_WAIT, format!("{label}: Proxmox says it is done, but the container is not there")))
    }
}
