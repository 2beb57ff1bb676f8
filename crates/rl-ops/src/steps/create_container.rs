//! Makes a container, stamped from its first moment.
//!
//! *Expected flow*: the create call carries stamp, MACs and addresses; its task is followed; the result is read back.
//! *Guarantees*: the guest exists at most once, whatever is lost on the way, because its VMID is a key that Proxmox
//! refuses to see twice, and because a guest under that VMID is taken for ours only by its stamp. A stranger under
//! our VMID is left alone and another VMID is leased.
//! *Caveats*: while Proxmox makes the container its configuration shows nothing but `lock: create`; the step then
//! follows its own task, or waits until the stamp can be read.

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::{ResolvedGuest, Upid, Vmid, VmidRange};
use rl_pve::{CallClass, ErrorKind, TaskEnd};

use super::{GuestReceipt, destroy, leased_vmid};
use crate::context::Ctx;
use crate::fault::{LOCKED_WAIT, classify};
use crate::identity::{Found, Ours, find, foreign};
use crate::live::{Announced, NotDone, call, follow, task_error};
use crate::payload::Target;
use crate::site::SiteApi;

/// Most strangers met on VMIDs of ours before a person is asked: somebody else works in our range.
const STRANGERS_MAX: usize = 16;

/// See the module.
pub struct CreateContainer {
    /// The guest to be.
    pub target: Target,
    /// All of it.
    pub guest: Box<ResolvedGuest>,
    /// VMIDs that may be leased when a stranger holds ours.
    pub vmids: VmidRange,
    /// Whether Proxmox starts it as soon as it is made.
    pub start: bool,
}

/// The step's name, by which later steps find its receipt.
pub const NAME: &str = "create container";

#[async_trait]
impl Step for CreateContainer {
    fn name(&self) -> &str {
        NAME
    }

    fn class(&self) -> OpClass {
        OpClass::Keyed
    }

    async fn ensure(&self, cx: &StepCx) -> Result<Receipt, StepError> {
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        let mut vmid = leased_vmid(cx, &self.target).await?;
        let mut strangers = Vec::new();
        let mut look_first = !matches!(cx.prior(), PriorAttempt::None) || cx.attempt() > 1;
        self.follow_prior(cx, api).await?;
        loop {
            if look_first {
                match find(api, &self.target, vmid).await? {
                    Found::Ours(ours) => return self.finished(&ours)?.envelope(),
                    Found::BeingMade { node } => return Err(self.being_made(cx, api, &node, vmid).await),
                    Found::Foreign { why } => {
                        vmid = self.another_vmid(cx, vmid, &why, &mut strangers).await?;
                        continue;
                    }
                    Found::Absent => {}
                }
            }
            look_first = true;
            self.create(cx, api, vmid).await?;
        }
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        if matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        let api = cx.context::<Ctx>().site(&self.target.site)?;
        if let Some(upid) = cx.done_so_far().ext_ref().and_then(|text| text.parse::<Upid>().ok()) {
            follow(cx, api, &upid, "create").await?;
        }
        let vmid = leased_vmid(cx, &self.target).await?;
        // Its VMID, MACs and addresses stay leased: the stack still wants the guest, and the next plan makes it with them.
        destroy::remove_ours(cx, api, &self.target, vmid).await
    }
}

impl CreateContainer {
    /// Follows the task that an interrupted run of this step has started, if it came that far.
    async fn follow_prior(&self, cx: &StepCx, api: &SiteApi) -> Result<(), StepError> {
        let Some(upid) = cx.prior().ext_ref().and_then(|text| text.parse::<Upid>().ok()) else { return Ok(()) };
        let _room = api.creates(&self.target.node).enter_by_force();
        follow(cx, api, &upid, "create").await.map(drop)
    }

    /// Makes the call and follows its task. Returns when it is time to look.
    async fn create(&self, cx: &StepCx, api: &SiteApi, vmid: Vmid) -> Result<(), StepError> {
        let node = &self.target.node;
        cx.progress(format!("waiting for room on {node}"), None);
        let _room = api.creates(node).enter().await;
        let announced = Announced { call: "create".to_owned(), node: node.clone(), vmid };
        let send = api.create(node, &self.guest, &self.target.stamp, vmid, self.start);
        let upid = match call(cx, announced, CallClass::Create.limit(), send, Upid::to_string).await {
            Ok(upid) => upid,
            Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::AlreadyExists) => return Ok(()),
            Err(NotDone::Refused(error)) => return Err(classify(&error)),
            Err(NotDone::Lost(_)) => return Ok(()),
            Err(NotDone::Stop(error)) => return Err(error),
        };
        match follow(cx, api, &upid, "create").await? {
            end @ TaskEnd::Failed(_) => self.failed(cx, api, vmid, &end).await,
            _ => Ok(()),
        }
    }

    /// A failed task is believed only when the guest is not there; what it may have left is looked at next.
    async fn failed(&self, cx: &StepCx, api: &SiteApi, vmid: Vmid, end: &TaskEnd) -> Result<(), StepError> {
        match find(api, &self.target, vmid).await? {
            Found::Absent => {
                cx.withdraw().await?;
                task_error(end, &format!("create of {} (VMID {vmid})", self.target.stamp.name))
            }
            _ => Ok(()),
        }
    }

    /// A guest is being made under our VMID and shows no stamp yet: follow its task if it is ours, else wait.
    async fn being_made(&self, cx: &StepCx, api: &SiteApi, node: &rl_model::NodeName, vmid: Vmid) -> StepError {
        let wait = StepError::retry(LOCKED_WAIT, format!("container {vmid} on node {node} is being made; its stamp cannot be read yet"));
        match api.running_task(node, vmid, &["vzcreate", "vzrestore", "vzclone"]).await {
            Ok(Some(upid)) => {
                let _room = api.creates(node).enter_by_force();
                match follow(cx, api, &upid, "create").await {
                    Ok(_) => StepError::retry(std::time::Duration::ZERO, format!("the task that made container {vmid} has ended")),
                    Err(error) => error,
                }
            }
            // Nobody makes it any more, yet the lock is there: what an aborted create leaves behind.
            Ok(None) if cx.attempt() > 3 => StepError::blocked(
                format!("container {vmid} on node {node} has the lock `create`, and no task runs that would take it off"),
                format!("on node {node} run `pct unlock {vmid}` and `pct destroy {vmid}`, then retry: the API cannot do it"),
            ),
            Ok(None) => wait,
            Err(error) => classify(&error),
        }
    }

    async fn another_vmid(&self, cx: &StepCx, vmid: Vmid, why: &str, strangers: &mut Vec<Vmid>) -> Result<Vmid, StepError> {
        strangers.push(vmid);
        if strangers.len() > STRANGERS_MAX {
            return Err(foreign(&self.target, why));
        }
        let Target { site, stamp, .. } = &self.target;
        let next = cx.context::<Ctx>().guests().lease_another_vmid(site, &stamp.guest, self.vmids, strangers).await?;
        fail_point!("ops.reserve.after");
        cx.note(format!("{}: {why}; it is left alone, and {} gets VMID {next} instead", stamp.name, stamp.name)).await?;
        Ok(next)
    }

    fn finished(&self, ours: &Ours) -> Result<GuestReceipt, StepError> {
        let label = || format!("container {} on node {}", ours.vmid, ours.node);
        match ours.config.lock.as_deref() {
            None => Ok(GuestReceipt { node: ours.node.clone(), vmid: ours.vmid, changed: true }),
            Some(lock) => Err(StepError::retry(LOCKED_WAIT, format!("{} is locked ({lock})", label()))),
        }
    }
}
