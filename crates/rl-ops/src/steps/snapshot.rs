//! Makes, removes and returns to snapshots of one guest, by a person's word.

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError};
use rl_pve::CallClass;
use rl_pve::api::lxc::SnapshotName;

use super::{leased_vmid, nothing};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, look_error};
use crate::identity::must_find;
use crate::live::{Announced, end_earlier, follow_earlier, run_task, task_error};
use crate::payload::Target;

/// What is done with the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotAct {
    /// Make it.
    Create,
    /// Remove it.
    Remove,
    /// Return to it.
    Rollback,
}

/// Tasks about snapshots.
const SNAPSHOTTING: &[&str] = &["vzsnapshot", "vzdelsnapshot", "vzrollback"];

/// See the module.
pub struct Snapshot {
    /// The guest.
    pub target: Target,
    /// The snapshot.
    pub snapshot: SnapshotName,
    /// What is done.
    pub act: SnapshotAct,
}

#[async_trait]
impl Step for Snapshot {
    fn name(&self) -> &str {
        match self.act {
            SnapshotAct::Create => "make snapshot",
            SnapshotAct::Remove => "remove snapshot",
            SnapshotAct::Rollback => "return to snapshot",
        }
    }

    fn class(&self) -> OpClass {
        match self.act {
            SnapshotAct::Create => OpClass::Keyed,
            SnapshotAct::Remove => OpClass::StateGuarded,
            // Returning twice throws away what was written in between: never repeated on its own.
            SnapshotAct::Rollback => OpClass::Opaque,
        }
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        if let Some(end) = follow_earlier(cx, api, cx.prior(), SNAPSHOTTING, self.name()).await?
            && self.act == SnapshotAct::Rollback
        {
            task_error(&end, self.name())?;
            return Ok(nothing());
        }
        let vmid = leased_vmid(cx, &self.target).await?;
        let node = must_find(api, &self.target, vmid).await?.node;
        let there = async || {
            Ok::<bool, StepError>(
                api.snapshots(&node, vmid).await.map_err(look_error)?.contains(&self.snapshot.to_string()),
            )
        };
        let done = |there: bool| match self.act {
            SnapshotAct::Create => there,
            SnapshotAct::Remove => !there,
            SnapshotAct::Rollback => false,
        };
        let exists = there().await?;
        if exists && self.act == SnapshotAct::Create && matches!(cx.prior(), PriorAttempt::None) {
            let text =
                format!("{} has a snapshot `{}` already, which was made before", self.target.stamp.name, self.snapshot);
            return Err(StepError::fatal(format!("{text}; choose another name, or remove it first")));
        }
        if done(exists) {
            return Ok(nothing());
        }
        if self.act == SnapshotAct::Rollback && !exists {
            return Err(StepError::fatal(format!("{} has no snapshot `{}`", self.target.stamp.name, self.snapshot)));
        }
        let announced = Announced::new(self.name(), &node, vmid);
        let send = async {
            match self.act {
                SnapshotAct::Create => api.take_snapshot(&node, vmid, &self.snapshot).await,
                SnapshotAct::Remove => api.delete_snapshot(&node, vmid, &self.snapshot).await,
                SnapshotAct::Rollback => api.rollback_snapshot(&node, vmid, &self.snapshot).await,
            }
        };
        let end =
            run_task(cx, api, announced, api.limit(CallClass::Write), send).await.map_err(|e| e.into_step_error())?;
        let label = format!("{} `{}` of {}", self.name(), self.snapshot, self.target.stamp.name);
        if self.act == SnapshotAct::Rollback {
            task_error(&end, &label)?;
            return Ok(nothing());
        }
        if done(there().await?) {
            return Ok(nothing());
        }
        task_error(&end, &label)?;
        Err(StepError::retry(
            BUSY_WAIT,
            format!("{label}: Proxmox says it is done, but the list of snapshots does not show it"),
        ))
    }

    async fn undo(&self, _cx: &StepCx) -> Result<(), StepError> {
        // A person asked for it alone; there is no later step whose failure could turn it back.
        Ok(())
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, &api, &cx.done_so_far(), SNAPSHOTTING, self.name()).await
    }
}
