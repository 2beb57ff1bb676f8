//! Moves a container to another node of its site. A running one is stopped and started by Proxmox (LXC knows no live
//! migration), which the plan has said.

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError};
use rl_model::{GuestStatus, NodeName};
use rl_pve::CallClass;

use super::{GuestReceipt, leased_vmid};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, look_error};
use crate::identity::must_find;
use crate::live::{Announced, end_earlier, follow_earlier, run_task, task_error};
use crate::payload::Target;

/// Tasks that move a container.
const MOVING: &[&str] = &["vzmigrate"];

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
        self.move_to(cx, &self.to).await
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        if matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, &api, &cx.done_so_far(), MOVING, "move").await?;
        self.move_to(cx, &self.target.node).await.map(drop)
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, &api, &cx.done_so_far(), MOVING, "move").await
    }
}

impl MoveNode {
    async fn move_to(&self, cx: &StepCx, to: &NodeName) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, api, cx.prior(), MOVING, "move").await?;
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
