//! Makes a container, stamped from its first moment.
//!
//! *Expected flow*: the create call carries stamp, MACs and addresses; its task is followed; the result is read back.
//! *Guarantees*: the guest exists at most once, whatever is lost on the way, because its VMID is a key that Proxmox
//! refuses to see twice, and because a guest under that VMID is taken for ours only by its stamp. A stranger under
//! our VMID is left alone and another VMID is leased.
//! *Caveats*: while Proxmox makes the container its configuration shows nothing but `lock: create`; the step then
//! follows its own task, or waits until the stamp can be read.

use std::time::Duration;

use async_trait::async_trait;
use rl_engine::{OpClass, PriorAttempt, Receipt, Step, StepCx, StepError, fail_point};
use rl_model::{ResolvedGuest, Upid, Vmid, VmidRange};
use rl_pve::{CallClass, ErrorKind};

use super::start::STARTING;
use super::{GuestReceipt, destroy, leased_vmid};
use crate::context::Ctx;
use crate::fault::{BUSY_WAIT, LOCKED_WAIT, classify, look_error};
use crate::identity::{Found, Ours, find, foreign};
use crate::live::{
    Announced, NotDone, call, end_earlier, enter, follow, stop_earlier, task_error, wait_out, watch_only,
};
use crate::payload::Target;
use crate::site::SiteApi;

/// Most strangers met on VMIDs of ours before a person is asked: somebody else works in our range.
const STRANGERS_MAX: usize = 16;
/// Looks that find a half-made container and nobody who makes it, before a person is asked: its task may just be ending.
const ABANDONED_LOOKS: u32 = 3;

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
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        let mut vmid = leased_vmid(cx, &self.target).await?;
        let mut strangers = Vec::new();
        let mut look_first = !matches!(cx.prior(), PriorAttempt::None) || cx.attempt() > 1;
        self.follow_prior(cx, api).await?;
        let mut trouble = None;
        loop {
            if look_first {
                match find(api, &self.target, vmid).await? {
                    Found::Ours(ours) => return self.finished(cx, api, &ours).await?.envelope(),
                    Found::BeingMade { node } => return Err(self.being_made(cx, api, &node, vmid).await),
                    Found::Foreign { why, claims: true } => return Err(foreign(&self.target, &why)),
                    Found::Foreign { why, claims: false } => {
                        vmid = self.another_vmid(cx, vmid, &why, &mut strangers).await?;
                        trouble = None;
                    }
                    Found::Absent => {}
                }
            }
            if let Some(trouble) = trouble {
                return Err(self.not_made(cx, trouble).await);
            }
            look_first = true;
            match self.create(cx, api, vmid).await? {
                Called::Look(reason) => trouble = Some(reason),
                Called::Made => {
                    return GuestReceipt { node: self.target.node.clone(), vmid, changed: true }.envelope();
                }
            }
        }
    }

    async fn undo(&self, cx: &StepCx) -> Result<(), StepError> {
        if matches!(cx.done_so_far(), PriorAttempt::None) {
            return Ok(());
        }
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        stop_earlier(cx, api, &cx.done_so_far(), MAKING, "create").await?;
        let vmid = leased_vmid(cx, &self.target).await?;
        let is_absent = || async { Ok::<_, StepError>(matches!(find(api, &self.target, vmid).await?, Found::Absent)) };
        if is_absent().await? {
            let waited = wait_out(cx, api, &cx.done_so_far(), "create").await;
            if waited {
                stop_earlier(cx, api, &cx.done_so_far(), MAKING, "create").await?;
            }
            if !waited || is_absent().await? {
                return Ok(());
            }
        }
        // Its VMID, MACs and addresses stay leased: the stack still wants the guest, and the next plan makes it with them.
        destroy::remove_ours(cx, api, &self.target, vmid).await
    }

    async fn leave(&self, cx: &StepCx) -> Result<(), StepError> {
        let api = &cx.context::<Ctx>().site(&self.target.site)?;
        end_earlier(cx, api, &cx.done_so_far(), MAKING, "create").await?;
        // Its start is a task of its own, which begins where the create ends.
        let vmid = leased_vmid(cx, &self.target).await?;
        while let Some(upid) = api.running_task(&self.target.node, vmid, STARTING).await.map_err(look_error)? {
            watch_only(cx, api, &upid, "start").await?;
        }
        Ok(())
    }
}

impl CreateContainer {
    /// Follows the task that an interrupted run of this step has started, if it came that far.
    async fn follow_prior(&self, cx: &StepCx, api: &SiteApi) -> Result<(), StepError> {
        let Some(upid) = cx.prior().ext_ref().and_then(|text| text.parse::<Upid>().ok()) else { return Ok(()) };
        let _room = api.creates(&self.target.node).enter_by_force();
        follow(cx, api, &upid, "create").await.map(drop)
    }

    /// A look has found nothing after the call: certain when the task has said so too.
    async fn not_made(&self, cx: &StepCx, trouble: Trouble) -> StepError {
        if trouble.task_failed
            && let Err(error) = cx.withdraw().await
        {
            return error;
        }
        trouble.error
    }

    /// Makes the call and follows its task. Returns when it is time to look, with what to say when nothing is there then.
    async fn create(&self, cx: &StepCx, api: &SiteApi, vmid: Vmid) -> Result<Called, StepError> {
        let node = &self.target.node;
        cx.progress(format!("waiting for room on {node}"), None);
        let _room = enter(cx, &api.creates(node)).await?;
        let announced = Announced::new("create", node, vmid);
        let send = api.create(node, &self.guest, &self.target.stamp, vmid, self.start);
        let upid = match call(cx, announced, api.limit(CallClass::Create), send, Upid::to_string).await {
            Ok(upid) => upid,
            Err(NotDone::Refused(error)) if matches!(error.kind(), ErrorKind::AlreadyExists) => {
                return Ok(Called::Look(classify(&error).into()));
            }
            Err(NotDone::Refused(error)) => return Err(classify(&error)),
            Err(NotDone::Lost(error)) => return Ok(Called::Look(NotDone::Lost(error).into_step_error().into())),
            Err(NotDone::Stop(error)) => return Err(error),
        };
        let label = format!("create of {} (VMID {vmid} on {node})", self.target.stamp.name);
        let end = follow(cx, api, &upid, "create").await?;
        if let Err(error) = task_error(&end, &label) {
            // Believed only when the guest is not there; the look that comes next decides.
            return Ok(Called::Look(Trouble { error, task_failed: true }));
        }
        if self.start && end.is_success() {
            return Ok(Called::Made);
        }
        let text = format!("{label}: its task has ended, but there is no such container");
        Ok(Called::Look(StepError::retry(BUSY_WAIT, text).into()))
    }

    /// A guest is being made under our VMID and shows no stamp yet: follow its task if it is ours, else wait.
    async fn being_made(&self, cx: &StepCx, api: &SiteApi, node: &rl_model::NodeName, vmid: Vmid) -> StepError {
        let wait = || {
            StepError::retry(
                LOCKED_WAIT,
                format!("container {vmid} on node {node} is being made; its stamp cannot be read yet"),
            )
        };
        match api.running_task(node, vmid, MAKING).await {
            Ok(Some(upid)) => {
                let _room = api.creates(node).enter_by_force();
                // It may be a stranger's task: it is watched, but never stopped.
                match watch_only(cx, api, &upid, "create").await {
                    Ok(()) => {
                        StepError::retry(Duration::ZERO, format!("the task that made container {vmid} has ended"))
                    }
                    Err(error) => error,
                }
            }
            Ok(None) if is_given_up(cx) => given_up(api, &self.target, node, vmid).await,
            Ok(None) => wait(),
            Err(error) => classify(&error),
        }
    }

    async fn another_vmid(
        &self,
        cx: &StepCx,
        vmid: Vmid,
        why: &str,
        strangers: &mut Vec<Vmid>,
    ) -> Result<Vmid, StepError> {
        strangers.push(vmid);
        if strangers.len() > STRANGERS_MAX {
            return Err(foreign(&self.target, why));
        }
        let Target { site, stamp, .. } = &self.target;
        let next = cx.context::<Ctx>().guests().lease_another_vmid(site, &stamp.guest, self.vmids, strangers).await?;
        fail_point!("ops.reserve.after");
        cx.note(format!("{}: {why}; it is left alone, and {} gets VMID {next} instead", stamp.name, stamp.name))
            .await?;
        Ok(next)
    }

    async fn finished(&self, cx: &StepCx, api: &SiteApi, ours: &Ours) -> Result<GuestReceipt, StepError> {
        match ours.config.lock.as_deref() {
            None => Ok(GuestReceipt { node: ours.node.clone(), vmid: ours.vmid, changed: true }),
            Some("create") => Err(self.being_made(cx, api, &ours.node, ours.vmid).await),
            Some(lock) => {
                let text = format!("container {} on node {} is locked ({lock})", ours.vmid, ours.node);
                Err(StepError::retry(LOCKED_WAIT, text))
            }
        }
    }
}

/// What came of a call and its task.
enum Called {
    /// A look decides; this is what to say when it finds nothing.
    Look(Trouble),
    /// Made, by the word of its task. The start step of the same job reads it back, by tag and state, before anything
    /// builds on it: one reading serves both.
    Made,
}

/// What to say when nothing is found after the call.
struct Trouble {
    error: StepError,
    /// Whether the task itself said that it failed.
    task_failed: bool,
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        Self { error, task_failed: false }
    }
}

/// Tasks that make a container.
pub(crate) const MAKING: &[&str] = &["vzcreate", "vzrestore", "vzclone"];

/// Nobody makes a container any more, yet its lock is there: what an aborted create leaves behind.
fn abandoned(node: &rl_model::NodeName, vmid: Vmid) -> StepError {
    StepError::blocked(
        format!("container {vmid} on node {node} has the lock `create`, and no task runs that would take it off"),
        format!(
            "when nobody else needs it, run `pct unlock {vmid}` and `pct destroy {vmid}` on node {node}, then retry: the API cannot do it"
        ),
    )
}

/// No task makes the guest. It may have ended since the guest was looked at, so only what is half-made still is given up.
pub(crate) async fn given_up(api: &SiteApi, target: &Target, node: &rl_model::NodeName, vmid: Vmid) -> StepError {
    match find(api, target, vmid).await {
        Ok(Found::BeingMade { .. }) => abandoned(node, vmid),
        Ok(Found::Ours(ours)) if ours.config.lock.as_deref() == Some("create") => abandoned(node, vmid),
        Ok(_) => StepError::retry(Duration::ZERO, format!("the task that made container {vmid} has ended")),
        Err(error) => error,
    }
}

/// Whether a half-made container that is seen again and again has been given up by whoever made it.
pub(crate) fn is_given_up(cx: &StepCx) -> bool {
    cx.attempt() > ABANDONED_LOOKS
}
