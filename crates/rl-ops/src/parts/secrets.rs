//! Secrets of one guest: each value is fetched in the step that delivers it, sealed for the agent of the guest's node, and read
//! back inside the guest. Intents and receipts carry the name, the version and the path, never anything of the value.

mod deliver;
mod desk;
mod others;
mod proof;
mod reload;
mod take;

use std::sync::Arc;
use std::time::Duration;

use rl_agent::{Answer, Given, Order, Post, Work};
use rl_engine::{Envelope, PayloadError, Step, StepCx, StepError, Steps};
use rl_model::{GuestPath, GuestSecrets, PartAction, PartKind, SecretSource};
use rl_providers::secrets::SecretError;
use serde::{Deserialize, Serialize};

use crate::agent::agent_error;
use crate::context::Ctx;
use crate::identity::{Ours, must_find};
use crate::payload::Target;
use crate::steps::leased_vmid;

pub use desk::{DeliveryBook, SecretDesk};
pub use others::{OtherGuest, prove_others};
pub use proof::{mark_lost, prove_secrets};

/// Name of the kind of job.
pub(crate) const KIND: &str = "secret-delivery";
/// How long an agent that is away is waited for in a step; the step is then tried again.
const WAIT: Duration = Duration::from_secs(5);
/// How long an agent may take to write, read or remove one small file.
const LIMIT: Duration = Duration::from_secs(30);

/// The steps of a guest's part: what goes first, then what comes, then the commands that make services read it.
pub(crate) fn steps(action: &PartAction) -> Result<Steps, PayloadError> {
    let PartKind::Secrets(part) = &action.kind else {
        return Err(PayloadError("it is no part with secrets".to_owned()));
    };
    let target = target(part);
    let mut steps: Steps = Vec::new();
    let (come, go): (Vec<_>, Vec<_>) = part.grants.iter().partition(|grant| grant.after.is_some());
    for grant in go {
        steps.push(Arc::new(take::Take::new(target.clone(), grant.clone())));
    }
    let mut commands: Vec<Arc<dyn Step>> = Vec::new();
    for grant in come {
        steps.push(Arc::new(deliver::Deliver::new(target.clone(), grant.clone())));
        // What was not there before nobody has read yet.
        if grant.before.is_some() && !grant.reload.is_empty() {
            commands.push(Arc::new(reload::Reload::new(target.clone(), grant.clone())));
        }
    }
    steps.extend(commands);
    Ok(steps)
}

fn target(part: &GuestSecrets) -> Target {
    Target {
        stamp: part.stamp.clone(),
        site: part.site.clone(),
        node: part.node.clone(),
        vmid: part.vmid,
        hostnames: part.hostnames.clone(),
        net0: part.net0.clone(),
    }
}

/// What is announced before an order, and left behind after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileNote {
    path: GuestPath,
    secret: SecretSource,
    version: Option<u64>,
}

impl FileNote {
    fn envelope(&self) -> Result<Envelope, StepError> {
        Ok(Envelope::of("secret-file", 1, self)?)
    }
}

/// A guest that was looked at through the API of its site, and the agent of the node it lies on now.
struct Place {
    target: Target,
    ours: Ours,
}

impl Place {
    /// Looks for the guest where it is now: it may have moved, and another may have its VMID.
    async fn of(cx: &StepCx, target: &Target) -> Result<Self, StepError> {
        let api = cx.context::<Ctx>().site(&target.site)?;
        let vmid = leased_vmid(cx, target).await?;
        let ours = must_find(&api, target, vmid).await?;
        Ok(Self { target: target.clone(), ours })
    }

    fn post(&self) -> Post {
        Post { site: self.target.site.clone(), node: self.ours.node.clone() }
    }

    /// An order of this step. Its name is the same whenever the step is repeated, so that it is not carried out twice.
    fn order(&self, cx: &StepCx, what: &str, work: Work) -> Order {
        let job = cx.job().id.to_string();
        Order {
            key: format!("{job}/{}/{what}", short(cx.step())),
            job,
            fence: cx.fence(),
            guest: self.target.for_agent(self.ours.vmid),
            work,
        }
    }

    /// Has an order carried out that changes nothing.
    async fn ask(&self, cx: &StepCx, what: &str, work: Work) -> Result<Answer, StepError> {
        let order = self.order(cx, what, work);
        let courier = cx.context::<Ctx>().courier()?;
        let answer = courier.call(&self.post(), order, Given::default(), WAIT, LIMIT).await;
        answer.map_err(|error| agent_error(&self.target, error))
    }

    /// What is known of a file inside the guest.
    async fn facts(&self, cx: &StepCx, what: &str, path: &GuestPath) -> Result<Option<rl_agent::FileFacts>, StepError> {
        match self.ask(cx, what, Work::Digest { path: path.clone() }).await? {
            Answer::File { found } => Ok(found),
            other => Err(odd(&self.target, &other)),
        }
    }
}

/// Names of orders are limited: a step's name holds a path, which may be long.
fn short(step: &str) -> String {
    const CHARS_MAX: usize = 60;
    if step.chars().count() <= CHARS_MAX {
        return step.to_owned();
    }
    let head: String = step.chars().take(CHARS_MAX - 20).collect();
    format!("{head}~{}", &rl_agent::seal::sha256(step.as_bytes())[..16])
}

fn odd(target: &Target, answer: &Answer) -> StepError {
    // Of the answer only its kind is shown.
    let kind = match answer {
        Answer::Ended(_) => "a command's end",
        Answer::Written { .. } => "a written file",
        Answer::Content { .. } => "a file's content",
        Answer::File { .. } => "a file's facts",
        Answer::Removed { .. } => "a removed file",
        Answer::Files { .. } => "a list of files",
        Answer::Unlocked { .. } => "an unlocked guest",
        Answer::Config { .. } => "a configuration",
    };
    StepError::fatal(format!("{}: the agent answered with {kind}, which was not asked for", target.stamp.name))
}

/// What a step makes of a value that was not brought.
fn secret_error(target: &Target, error: &SecretError) -> StepError {
    let text = format!("{}: {error}", target.stamp.name);
    match error.again_after() {
        Some(after) => StepError::retry(after, text),
        None => StepError::blocked(text, error.hint()),
    }
}

/// Whether a file belongs to the account: by name or by number, with a group or without.
fn owned_by(facts: &rl_agent::FileFacts, owner: &str) -> bool {
    let is = |have: &str| have == owner || (!owner.contains(':') && have.split(':').next() == Some(owner));
    is(&facts.owner) || is(&facts.ids)
}
