//! What steps need to speak with the agents of nodes.

use std::time::Duration;

use rl_agent::{CallError, Post, Refusal};
use rl_engine::StepError;
use rl_model::Vmid;

use crate::payload::Target;

/// Least time before an agent that is away is asked for again. Its coming back is not announced to jobs; a pause of seconds is
/// short against what brings a node back.
const AWAY_WAIT: Duration = Duration::from_secs(2);
/// Least time before an order is given again whose answer was lost, or that has to wait.
const AGAIN_WAIT: Duration = Duration::from_millis(500);

impl Target {
    /// The guest as an agent knows it, under the VMID it has now.
    pub fn for_agent(&self, vmid: Vmid) -> rl_agent::Target {
        rl_agent::Target { vmid, stamp: self.stamp.clone(), hostnames: self.hostnames.clone(), net0: self.net0.clone() }
    }

    /// The node whose agent is asked.
    pub fn post(&self) -> Post {
        Post { site: self.site.clone(), node: self.node.clone() }
    }
}

/// What a step makes of an order without an answer. An order whose answer was lost is given again under the same name: what was
/// done is not done twice.
pub fn agent_error(target: &Target, error: CallError) -> StepError {
    let name = &target.stamp.name;
    let text = error.to_string();
    match error {
        // Retried, and not counted as an unreachable node: whatever needs no agent goes on there.
        CallError::Away { .. } => StepError::retry(AWAY_WAIT, text),
        CallError::Lost { .. } | CallError::NoWay { .. } => StepError::retry(AGAIN_WAIT, format!("{name}: {text}")),
        CallError::NoAgent { post } => StepError::blocked(
            format!("{name}: {text}"),
            format!(
                "make a token with `rapidlaunch agent token --site {} --node {}` and start `rapidlaunch agent` there with it",
                post.site, post.node
            ),
        ),
        CallError::Malformed { .. } => StepError::fatal(format!("{name}: {text}")),
        CallError::Refused { refusal, .. } => refused(target, &refusal, text),
    }
}

fn refused(target: &Target, refusal: &Refusal, text: String) -> StepError {
    let name = &target.stamp.name;
    match refusal {
        refusal if refusal.passes() => StepError::retry(AGAIN_WAIT, format!("{name}: {text}")),
        // It may have moved to another node meanwhile: the next try looks where it lies.
        Refusal::NotHere { .. } => StepError::retry(AWAY_WAIT, format!("{name}: {text}")),
        // A later holder of this job is at work.
        Refusal::OldFence { .. } => StepError::LeaseLost,
        Refusal::NotOurs { how, .. } => crate::identity::foreign(target, how),
        Refusal::NotRunning { .. } => {
            StepError::blocked(format!("{name}: {text}"), "start it, then retry the operation")
        }
        Refusal::Unknown => {
            StepError::blocked(format!("{name}: {text}"), "look into the guest, then retry the operation")
        }
        Refusal::NotUnderstood { .. } => {
            StepError::blocked(format!("{name}: {text}"), "bring the agent to the release of the server")
        }
        _ => StepError::blocked(format!("{name}: {text}"), "mend what it says, then retry the operation"),
    }
}
