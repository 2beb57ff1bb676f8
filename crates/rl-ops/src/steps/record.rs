//! Writes down in the store that a guest is as resolved. Touches no site.

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::ResolvedGuest;

use super::{GuestReceipt, create_container, leased_vmid, nothing};
use crate::context::Ctx;
use crate::payload::Target;

/// See the module.
pub struct Record {
    /// The guest.
    pub target: Target,
    /// As it is now.
    pub guest: Box<ResolvedGuest>,
    /// The node it lies on, unless the create step says otherwise.
    pub node: rl_model::NodeName,
}

#[async_trait]
impl Step for Record {
    fn name(&self) -> &str {
        "record"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let made: Option<GuestReceipt> = cx.receipt(create_container::NAME)?;
        let (node, vmid) = match made {
            Some(made) => (made.node, made.vmid),
            None => (self.node.clone(), leased_vmid(cx, &self.target).await?),
        };
        let mut guest = self.guest.as_ref().clone();
        guest.vmid = vmid;
        guest.node = node.clone();
        cx.context::<Ctx>().guests().record(&self.target.stamp.stack, &guest, &node, vmid).await?;
        fail_point!("ops.apply.recorded");
        Ok(nothing())
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // The leases stay with the guest. Should the record be written and the guest be taken back all the same, the next
        // plan finds it gone and makes it anew.
        Ok(())
    }
}
