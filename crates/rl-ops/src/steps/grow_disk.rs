//! Grows a disk to an absolute size. A grown disk stays grown: Proxmox cannot shrink one.

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};
use rl_model::{DiskSize, FieldKey};
use rl_pve::CallClass;

use super::{GuestReceipt, leased_vmid};
use crate::context::Ctx;
use crate::fault::BUSY_WAIT;
use crate::identity::{Ours, must_find};
use crate::live::{Announced, end_earlier, follow_earlier, run_task, task_error};
use crate::payload::Target;

/// Tasks that grow a disk.
const GROWING: &[&str] = &["resize"];

/// See the module.
pub struct GrowDisk {
    /// The guest.
    pub target: Target,
    /// `rootfs` or a mount point.
    pub disk: FieldKey,
    /// Its size afterwards.
    pub size: DiskSize,
    name: String,
}

impl GrowDisk {
    /// The step for one disk.
    pub fn new(target: Target, disk: FieldKey, size: DiskSize) -> Self {
        Self { target, disk, size, name: format!("grow {disk}") }
    }

    fn is_large_enough(&self, ours: &Ours) -> bool {
        ours.config.fields.disk_size(self.disk).is_some_and(|size| size >= self.size)
    }
}

#[async_trait]
impl Step for GrowDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, api, cx.prior(), GROWING, &self.name).await?;
        let vmid = leased_vmid(cx, &self.target).await?;
        let ours = must_find(api, &self.target, vmid).await?;
        let receipt = |changed| GuestReceipt { node: ours.node.clone(), vmid, changed }.envelope();
        if self.is_large_enough(&ours) {
            return receipt(false);
        }
        let announced = Announced::new(&self.name, &ours.node, vmid);
        let send = api.resize(&ours.node, vmid, self.disk, self.size, &ours.config.digest);
        let end =
            run_task(cx, api, announced, api.limit(CallClass::Create), send).await.map_err(|e| e.into_step_error())?;
        let label = format!("{} of {} to {}", self.name, self.target.stamp.name, self.size);
        if self.is_large_enough(&must_find(api, &self.target, vmid).await?) {
            return receipt(true);
        }
        task_error(&end, &label)?;
        Err(StepError::retry(BUSY_WAIT, format!("{label}: Proxmox says it is done, but the disk has its old size")))
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, &api, &cx.done_so_far(), GROWING, &self.name).await
    }
}
