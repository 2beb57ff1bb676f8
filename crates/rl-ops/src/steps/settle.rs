//! Waits until a started container is seen with its leased addresses, for guests that others wait for. Changes nothing.

use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{OpClass, Receipt, Step, StepCx, StepError};
use rl_model::ResolvedGuest;

use super::{leased_vmid, nothing};
use crate::context::Ctx;
use crate::fault::look_error;
use crate::identity::must_find;
use crate::payload::Target;
use crate::prove::live_checks;

/// Looks made before the step gives the job back to the engine.
const LOOKS_MAX: u32 = 10;

/// See the module.
pub struct Settle {
    /// The guest.
    pub target: Target,
    /// As it shall be.
    pub guest: Box<ResolvedGuest>,
}

#[async_trait]
impl Step for Settle {
    fn name(&self) -> &str {
        "settle"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        let vmid = leased_vmid(cx, &self.target).await?;
        let node = must_find(api, &self.target, vmid).await?.node;
        let mut missing = String::new();
        for _ in 0..LOOKS_MAX {
            let live = api.interfaces(&node, vmid).await.map_err(look_error)?;
            let checks = live_checks(&self.guest, live.as_deref());
            let Some(bad) = checks.iter().find(|check| !check.ok) else { return Ok(nothing()) };
            missing = format!("{}: expected {}, found {}", bad.name, bad.expected, bad.found);
            cx.progress(format!("waiting for {}", bad.name), None);
            tokio::select! {
                biased;
                () = api.pause(Duration::from_secs(1)) => {}
                () = cx.cancelled() => return Err(StepError::Cancelled),
            }
        }
        Err(StepError::retry(Duration::from_secs(2), format!("{} is not settled: {missing}", self.target.stamp.name)))
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        Ok(())
    }
}
