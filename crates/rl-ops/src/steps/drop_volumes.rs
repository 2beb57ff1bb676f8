//! Removes the volumes of mount points that were taken away, which Proxmox keeps as unused disks.
//!
//! *Guarantees*: only volumes that the configuration change of the same job has parted from the guest are removed, and
//! only once they are unused. What a mount that waits for the next start still holds is left, and told.

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};
use rl_pve::CallClass;
use rl_pve::api::lxc::ConfigPatch;

use super::change_config::{self, Changed};
use super::{GuestReceipt, leased_vmid};
use crate::context::Ctx;
use crate::fault::BUSY_WAIT;
use crate::identity::{Ours, must_find};
use crate::live::{Announced, NotDone, call, wait_out};
use crate::payload::Target;

/// See the module.
pub struct DropVolumes {
    /// The guest.
    pub target: Target,
}

#[async_trait]
impl Step for DropVolumes {
    fn name(&self) -> &str {
        "drop volumes"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        let vmid = leased_vmid(cx, &self.target).await?;
        let ours = must_find(api, &self.target, vmid).await?;
        let parted: Option<Changed> = cx.receipt(change_config::NAME)?;
        let parted =
            parted.unwrap_or_else(|| Changed { node: ours.node.clone(), vmid, changed: false, volumes: Vec::new() });
        let unused = unused_keys(&ours, &parted);
        let receipt = |changed| GuestReceipt { node: ours.node.clone(), vmid, changed }.envelope();
        if unused.is_empty() {
            self.tell_waiting(cx, &ours).await?;
            return receipt(false);
        }
        let mut patch = ConfigPatch { digest: Some(ours.config.digest.clone()), ..ConfigPatch::default() };
        patch.delete.extend(unused);
        let send = api.set_config(&ours.node, vmid, &patch);
        call(cx, Announced::new(self.name(), &ours.node, vmid), api.limit(CallClass::Create), send, |()| {
            "written".to_owned()
        })
        .await
        .map_err(NotDone::into_step_error)?;
        if unused_keys(&must_find(api, &self.target, vmid).await?, &parted).is_empty() {
            return receipt(true);
        }
        let text =
            format!("Proxmox took the removal of unused volumes of {} but still shows them", self.target.stamp.name);
        Err(StepError::retry(BUSY_WAIT, text))
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // What is removed cannot be brought back.
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        wait_out(cx, &api, &cx.done_so_far(), self.name()).await;
        Ok(())
    }
}

impl DropVolumes {
    async fn tell_waiting(&self, cx: &StepCx, ours: &Ours) -> Result<(), StepError> {
        let waits = ours.config.pending.iter().filter(|key| key.starts_with("mp"));
        let waits: Vec<&str> = waits.map(String::as_str).collect();
        if waits.is_empty() {
            return Ok(());
        }
        let name = &self.target.stamp.name;
        let text =
            format!("{} of {name} goes at its next start; its volume is then left as an unused disk", waits.join(", "));
        cx.note(text).await
    }
}

/// Keys of unused disks that are volumes which this job has parted from the guest.
fn unused_keys(ours: &Ours, parted: &Changed) -> Vec<String> {
    let is_parted = |text: &str| parted.volumes.iter().any(|volume| volume.as_str() == text);
    let keys = ours.raw.values.iter().filter(|(key, value)| key.starts_with("unused") && is_parted(value));
    keys.map(|(key, _)| key.to_owned()).collect()
}
