//! The protocol around every call that changes the outside: announce, call, write down the answer, follow the task.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rl_engine::{Envelope, PriorAttempt, StepCx, StepError, fail_point};
use rl_model::{NodeName, Upid, Vmid, VolumeId};
use rl_pve::{PveError, TaskEnd};
use serde::{Deserialize, Serialize};

use crate::fault::{BUSY_WAIT, LOST_WAIT, classify, full_text, look_error, may_have_happened};
use crate::gate::{Gate, Pass};
use crate::site::SiteApi;

/// What is announced before a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Announced {
    /// The call, as a person names it.
    pub(crate) call: String,
    /// The node it goes to.
    pub(crate) node: NodeName,
    /// The VMID it is about.
    pub(crate) vmid: Vmid,
    /// Volumes that the call parts from the guest, so that they can be found again afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes: Vec<VolumeId>,
}

impl Announced {
    /// A call that starts a task or writes plain fields.
    pub(crate) fn new(call: impl Into<String>, node: &NodeName, vmid: Vmid) -> Self {
        Self { call: call.into(), node: node.clone(), vmid, volumes: Vec::new() }
    }

    fn envelope(&self) -> Result<Envelope, StepError> {
        Ok(Envelope::of("proxmox-call", 1, self)?)
    }
}

/// How a call that was not answered well ended.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// It was refused, so certainly not carried out; the announcement is taken back.
    Refused(PveError),
    /// Whether it was carried out is not known. Look before anything else.
    Lost(PveError),
    /// The step must stop.
    Stop(StepError),
}

impl NotDone {
    /// The step's error where a refusal has no special meaning.
    pub(crate) fn into_step_error(self) -> StepError {
        match self {
            Self::Refused(error) => classify(&error),
            Self::Lost(error) => StepError::retry(LOST_WAIT, full_text(&error)),
            Self::Stop(error) => error,
        }
    }
}

impl From<StepError> for NotDone {
    fn from(error: StepError) -> Self {
        Self::Stop(error)
    }
}

/// What is announced before a call about a whole site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SiteCall {
    /// The call, as a person names it.
    pub(crate) call: String,
    /// The site.
    pub(crate) site: rl_model::SiteName,
}

/// As [`call`], for a call about a whole site that starts no task.
pub(crate) async fn call_site(
    cx: &StepCx,
    announced: SiteCall,
    limit: Duration,
    send: impl Future<Output = Result<(), PveError>> + Send,
) -> Result<(), NotDone> {
    let envelope = Envelope::of("proxmox-site-call", 1, &announced).map_err(StepError::from)?;
    announce(cx, envelope, limit, send, |()| "written".to_owned()).await
}

/// Announces a call, makes it, and writes down what it answered. `limit` is the longest time the answer may take.
pub(crate) async fn call<T>(
    cx: &StepCx,
    announced: Announced,
    limit: Duration,
    send: impl Future<Output = Result<T, PveError>> + Send,
    reference: impl FnOnce(&T) -> String,
) -> Result<T, NotDone> {
    announce(cx, announced.envelope()?, limit, send, reference).await
}

async fn announce<T>(
    cx: &StepCx,
    announced: Envelope,
    limit: Duration,
    send: impl Future<Output = Result<T, PveError>> + Send,
    reference: impl FnOnce(&T) -> String,
) -> Result<T, NotDone> {
    cx.may_announce(limit)?;
    cx.intent(announced).await?;
    fail_point!("ops.call.before");
    cx.may_call(limit)?;
    match send.await {
        Ok(answer) => {
            fail_point!("ops.call.after");
            cx.submitted(reference(&answer)).await?;
            Ok(answer)
        }
        Err(error) if may_have_happened(&error) => Err(NotDone::Lost(error)),
        Err(error) => {
            cx.withdraw().await?;
            Err(NotDone::Refused(error))
        }
    }
}

/// Announces a call that starts a task, makes it, and follows the task to its end.
pub(crate) async fn run_task(
    cx: &StepCx,
    api: &SiteApi,
    announced: Announced,
    limit: Duration,
    send: impl Future<Output = Result<Upid, PveError>> + Send,
) -> Result<TaskEnd, NotDone> {
    let label = announced.call.clone();
    let upid = Box::pin(call(cx, announced, limit, send, Upid::to_string)).await?;
    Ok(follow(cx, api, &upid, &label).await?)
}

/// No task of ours runs longer than a whole job may: one that does hangs. A job that goes forward has its own deadline; while it
/// is undone or left, this is the only one.
const TASK_LONGEST: Duration = Duration::from_secs(2 * 3600);
/// How long a task may take to end after it was told to: pvedaemon sends SIGTERM, and SIGKILL five seconds later.
const STOP_LONGEST: Duration = Duration::from_secs(10 * 60);

/// Follows a task to its end. When the operation is cancelled, the task is stopped and its end awaited first, so that
/// nothing is under way when the step ends. A task that hangs is stopped too.
pub(crate) async fn follow(cx: &StepCx, api: &SiteApi, upid: &Upid, label: &str) -> Result<TaskEnd, StepError> {
    cx.progress(format!("{label}: task runs on {}", upid.node()), None);
    let end = tokio::select! {
        biased;
        end = api.watch(upid) => end,
        () = cx.cancelled() => {
            Box::pin(stop_and_see(cx, api, upid, label)).await?;
            return Err(StepError::Cancelled);
        }
        never = tell_of(cx, api, upid, label) => match never {},
        () = api.pause(TASK_LONGEST) => {
            Box::pin(stop_and_see(cx, api, upid, label)).await?;
            return Err(StepError::retry(Duration::ZERO, format!("{label}: task {upid} hung and was stopped")));
        }
    };
    let end = end.map_err(|error| StepError::retry(BUSY_WAIT, full_text(&error)))?;
    fail_point!("ops.task.followed");
    if let TaskEnd::Warnings(count) = &end {
        cx.note(format!("{label}: Proxmox ended the task with {count} warnings; its log is under {upid}")).await?;
    }
    Ok(end)
}

/// How often the log of a task that takes long is looked at: often enough that a step which moves is never told as stalled.
const LOG_LOOK: Duration = Duration::from_secs(2 * 60);

/// Tells what a task that takes long writes into its log: a step is alive as long as its task says something new.
async fn tell_of(cx: &StepCx, api: &SiteApi, upid: &Upid, label: &str) -> std::convert::Infallible {
    let mut seen = 0;
    loop {
        api.pause(LOG_LOOK).await;
        // A look that fails is no news; whether the task has ended is asked elsewhere.
        if let Ok(Some(line)) = api.task_said(upid, &mut seen).await {
            cx.progress(format!("{label}: {line}"), None);
        }
    }
}

/// Stops a task of ours and sees it ended.
async fn stop_and_see(cx: &StepCx, api: &SiteApi, upid: &Upid, label: &str) -> Result<(), StepError> {
    cx.progress(format!("{label}: stopping the task on {}", upid.node()), None);
    api.stop_task(upid).await.map_err(|error| StepError::retry(BUSY_WAIT, full_text(&error)))?;
    tokio::select! {
        biased;
        end = api.watch(upid) => end.map(drop).map_err(|error| StepError::retry(BUSY_WAIT, full_text(&error))),
        () = api.pause(STOP_LONGEST) => Err(hangs(upid, label)),
    }
}

/// A task that does not end, and that stopping does not end or may not be tried on.
fn hangs(upid: &Upid, label: &str) -> StepError {
    StepError::blocked(
        format!("{label}: task {upid} does not end"),
        format!("look at the task on node {}, end it there, then retry", upid.node()),
    )
}

/// Waits until nothing that an interrupted run of a step has started is under way any more: its task, or, where the answer
/// with the task's id was lost, any task of these types about the same guest. What a task does shows before it ends (a
/// container runs before its start has succeeded), so the state of the guest says nothing while one runs.
pub(crate) async fn follow_earlier(
    cx: &StepCx,
    api: &SiteApi,
    earlier: &PriorAttempt,
    kinds: &[&str],
    label: &str,
) -> Result<Option<TaskEnd>, StepError> {
    match earlier {
        PriorAttempt::None => Ok(None),
        PriorAttempt::Submitted { ext_ref, .. } => match ext_ref.parse::<Upid>() {
            Ok(upid) => follow(cx, api, &upid, label).await.map(Some),
            Err(_) => Ok(None),
        },
        PriorAttempt::Intent { value, .. } => {
            let Announced { node, vmid, .. } = value.read()?;
            while let Some(upid) = api.running_task(&node, vmid, kinds).await.map_err(look_error)? {
                // It may be a stranger's task: it is watched, but never stopped.
                watch_only(cx, api, &upid, label).await?;
            }
            Ok(None)
        }
    }
}

/// After a lost answer, a call that has not begun by then never will: pveproxy gives a call 30 s, its lock another 10 s.
const SETTLE: Duration = Duration::from_secs(60);

/// For a step that is given up in the middle: as [`stop_earlier`], and where the answer was lost also waits until the call
/// cannot begin any more, so that nothing is under way when the job ends.
pub(crate) async fn end_earlier(
    cx: &StepCx,
    api: &SiteApi,
    earlier: &PriorAttempt,
    kinds: &[&str],
    label: &str,
) -> Result<(), StepError> {
    stop_earlier(cx, api, earlier, kinds, label).await?;
    if wait_out(cx, api, earlier, label).await {
        stop_earlier(cx, api, earlier, kinds, label).await?;
    }
    Ok(())
}

/// Stops the task that an interrupted run of a step has started and waits for its end; where the answer with its id was
/// lost, tasks of these types that this client has started about the same guest.
pub(crate) async fn stop_earlier(
    cx: &StepCx,
    api: &SiteApi,
    earlier: &PriorAttempt,
    kinds: &[&str],
    label: &str,
) -> Result<(), StepError> {
    let started = match earlier {
        PriorAttempt::None => None,
        PriorAttempt::Submitted { ext_ref, .. } => ext_ref.parse::<Upid>().ok(),
        PriorAttempt::Intent { value, .. } => {
            let Announced { node, vmid, .. } = value.read()?;
            let running = api.running_task(&node, vmid, kinds).await.map_err(look_error)?;
            // The guest is ours alone for as long as the job holds it, so what this client has started about it is ours.
            running.filter(|upid| upid.user() == api.pve().identity())
        }
    };
    if let Some(upid) = started {
        api.stop_task(&upid).await.map_err(|error| StepError::retry(BUSY_WAIT, full_text(&error)))?;
    }
    follow_earlier(cx, api, earlier, kinds, label).await.map(drop)
}

/// Waits until a call whose answer was lost cannot begin any more, and says whether it waited: what was seen before is old
/// then. The wait is measured by the steady clock, here, because the wall clock that dated the call may have jumped since.
pub(crate) async fn wait_out(cx: &StepCx, api: &SiteApi, earlier: &PriorAttempt, label: &str) -> bool {
    let PriorAttempt::Intent { .. } = earlier else { return false };
    let text = format!("the answer to the call `{label}` was lost; waiting until it cannot begin any more");
    cx.progress(text, None);
    cx.clock().sleep(api.local(SETTLE)).await;
    true
}

/// Waits for room at a gate, unless the operation is cancelled meanwhile.
pub(crate) async fn enter(cx: &StepCx, gate: &Arc<Gate>) -> Result<Pass, StepError> {
    tokio::select! {
        biased;
        pass = gate.enter() => Ok(pass),
        () = cx.cancelled() => Err(StepError::Cancelled),
    }
}

/// Waits for the end of a task that may be somebody else's. When the operation is cancelled the task is left running.
pub(crate) async fn watch_only(cx: &StepCx, api: &SiteApi, upid: &Upid, label: &str) -> Result<(), StepError> {
    cx.progress(format!("{label}: waiting for a task on {}", upid.node()), None);
    tokio::select! {
        biased;
        end = api.watch(upid) => end.map(drop).map_err(|error| StepError::retry(BUSY_WAIT, full_text(&error))),
        () = cx.cancelled() => Err(StepError::Cancelled),
        () = api.pause(TASK_LONGEST) => {
            if upid.user() != api.pve().identity() {
                return Err(hangs(upid, label));
            }
            // The guest is ours alone for as long as the job holds it, so what this client has started about it is ours.
            stop_and_see(cx, api, upid, label).await
        }
    }
}

/// Error texts of tasks that go away by themselves: a lock held by somebody else, a busy storage, a lost quorum, a node
/// that went down and took its workers with it.
const PASSING: [&str; 12] = [
    "unexpected status",
    "got timeout",
    "is locked",
    "lock request timeout",
    "no quorum",
    "cluster not ready",
    "command timed out",
    "interrupted by signal",
    "received interrupt",
    "Connection timed out",
    "dataset is busy",
    "target is busy",
];

/// The meaning of a task's end: `Ok` when it may have done its work (look), an error when it says that it did not.
pub(crate) fn task_error(end: &TaskEnd, label: &str) -> Result<(), StepError> {
    match end {
        TaskEnd::Ok | TaskEnd::Warnings(_) | TaskEnd::Unknown => Ok(()),
        TaskEnd::Failed(text) if PASSING.iter().any(|passing| text.contains(passing)) => {
            Err(StepError::retry(crate::fault::LOCKED_WAIT, format!("{label}: the task failed: {text}")))
        }
        TaskEnd::Failed(text) => Err(StepError::fatal(format!("{label}: the task failed: {text}"))),
    }
}
