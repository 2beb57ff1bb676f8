//! Starts a container and sees it run.
//!
//! *Guarantees*: only a guest whose identity has just been read is started; one that runs already is left as it is.
//! When Proxmox was asked to start it right after making it, that start is awaited first.

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError};
use rl_model::{GuestStatus, NodeName, Vmid};
use rl_pve::{CallClass, ErrorKind, TaskEnd};

use super::shut_down::STOPPING;
use super::{GuestReceipt, create_container, leased_vmid};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, classify, look_error};
use crate::identity::must_find;
use crate::live::{Announced, NotDone, end_earlier, enter, follow, follow_earlier, run_task, task_error};
use crate::payload::Target;
use crate::site::SiteApi;

/// Tasks that start a container.
pub(crate) const STARTING: &[&str] = &["vzstart"];

/// See the module.
pub struct Start {
    /// The guest.
    pub target: Target,
    /// Whether the create call asked Proxmox to start it.
    pub after_create: bool,
}

#[async_trait]
impl Step for Start {
    fn name(&self) -> &str {
        "start"
    }

    fn class(&self) -> OpClass {
        OpClass::StateGuarded
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, api, cx.prior(), STARTING, "start").await?;
        let made: Option<GuestReceipt> = cx.receipt(create_container::NAME)?;
        let (node, vmid) = match made {
            Some(made) => (made.node, made.vmid),
            None => (self.target.node.clone(), leased_vmid(cx, &self.target).await?),
        };
        if self.after_create
            && matches!(cx.prior(), PriorAttempt::None)
            && self.await_start(cx, api, &node, vmid).await?
        {
            return GuestReceipt { node, vmid, changed: true }.envelope();
        }
        self.start(cx, api, vmid).await
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        // A guest that ran before was not started by this step, and one that the same job made is destroyed by its undo.
        if self.after_create || matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        follow_earlier(cx, api, &cx.done_so_far(), STARTING, "start").await?;
        follow_earlier(cx, api, cx.prior(), STOPPING, "stop").await?;
        let vmid = leased_vmid(cx, &self.target).await?;
        super::shut_down::stop_ours(cx, api, &self.target, vmid).await
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, &api, &cx.done_so_far(), STARTING, "start").await
    }
}

impl Start {
    /// Waits for the start that belongs to the create; `false` when it did not come to anything.
    async fn await_start(&self, cx: &StepCx, api: &SiteApi, node: &NodeName, vmid: Vmid) -> Result<bool, StepError> {
        cx.progress(format!("starting on {node}"), None);
        tokio::select! {
            biased;
            () = tokio::time::sleep(api.start_usual()) => {}
            () = cx.cancelled() => {}
        }
        let runs = self.runs(api, node, vmid).await?;
        api.start_was_usual(runs);
        if runs {
            return Ok(true);
        }
        match api.running_task(node, vmid, STARTING).await.map_err(look_error)? {
            Some(upid) => {
                follow(cx, api, &upid, "start").await?;
                self.runs(api, node, vmid).await
            }
            None => self.runs(api, node, vmid).await,
        }
    }

    /// Whether the guest with our tag and name runs under that VMID, by the node's own list.
    async fn runs(&self, api: &SiteApi, node: &NodeName, vmid: Vmid) -> Result<bool, StepError> {
        let list = api.node_guests(node).await.map_err(look_error)?;
        let row = list.get(&vmid).filter(|row| row.has_stamp_tag(&self.target.stamp.tag()));
        Ok(row.is_some_and(|row| row.status == GuestStatus::Running))
    }

    async fn start(&self, cx: &StepCx, api: &SiteApi, vmid: Vmid) -> Result<Receipt, StepError> {
        let ours = must_find(api, &self.target, vmid).await?;
        let node = ours.node;
        let receipt = |changed| GuestReceipt { node: node.clone(), vmid, changed }.envelope();
        if self.runs(api, &node, vmid).await? {
            return receipt(false);
        }
        let _room = enter(cx, &api.starts(&node)).await?;
        let announced = Announced::new("start", &node, vmid);
        let label = format!("start of {} (VMID {vmid} on {node})", self.target.stamp.name);
        let end = match run_task(cx, api, announced, api.limit(CallClass::Write), api.start(&node, vmid)).await {
            Ok(end) => end,
            Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::AlreadyRunning) => TaskEnd::Unknown,
            Err(NotDone::Refused(error)) => return Err(classify(&error)),
            Err(other) => return Err(other.into_step_error()),
        };
        if self.runs(api, &node, vmid).await? {
            return receipt(true);
        }
        task_error(&end, &label)?;
        Err(StepError::retry(BUSY_WAIT, format!("{label}: Proxmox says it is done, but the container does not run")))
    }
}
