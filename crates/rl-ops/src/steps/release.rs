//! Gives back the VMID, MACs and addresses of a guest that is gone. Touches no site.

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};

use super::{leased_vmid, nothing};
use crate::context::Ctx;
use crate::identity::{Found, find_listed};
use crate::payload::Target;

/// See the module.
pub struct Release {
    /// The guest.
    pub target: Target,
}

#[async_trait]
impl Step for Release {
    fn name(&self) -> &str {
        "release"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let ctx = cx.context::<Ctx>();
        let vmid = leased_vmid(cx, &self.target).await?;
        let api = ctx.site(&self.target.site)?;
        if let Found::Ours(ours) = find_listed(&api, &self.target, vmid).await? {
            return Err(StepError::blocked(
                format!("{} is still there, as container {vmid} on node {}", self.target.stamp.name, ours.node),
                "it came back after it was seen gone; plan again",
            ));
        }
        ctx.guests().release(self.target.id()).await?;
        Ok(nothing())
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // The values wait out a quarantine; a guest that is made anew under them leases them again.
        Ok(())
    }
}
