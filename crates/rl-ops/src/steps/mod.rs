//! The steps, one file each. A step looks, acts if needed, and looks again.

pub mod change_config;
pub mod create_container;
pub mod destroy;
pub mod drop_volumes;
pub mod grow_disk;
pub mod guest_firewall;
pub mod move_node;
pub mod record;
pub mod release;
pub mod settle;
pub mod shut_down;
pub mod snapshot;
pub mod start;

use rl_engine::{Envelope, Receipt, StepCx, StepError};
use rl_model::{NodeName, Vmid};
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::payload::Target;

/// What steps that deal with a guest leave behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestReceipt {
    /// The node it lies on.
    pub node: NodeName,
    /// Its VMID.
    pub vmid: Vmid,
    /// Whether this step changed anything.
    pub changed: bool,
}

impl GuestReceipt {
    fn envelope(&self) -> Result<Receipt, StepError> {
        Ok(Envelope::of("guest", 1, self)?)
    }
}

/// The receipt of a step that leaves nothing behind.
pub(crate) fn nothing() -> Receipt {
    Envelope::new("nothing", 1, serde_json::Value::Null)
}

/// The VMID that the store has leased to the target: it may have changed since the plan, when a stranger took it.
pub(crate) async fn leased_vmid(cx: &StepCx, target: &Target) -> Result<Vmid, StepError> {
    let leased = cx.context::<Ctx>().guests().vmid_of(&target.site, target.id()).await?;
    Ok(leased.unwrap_or(target.vmid))
}
