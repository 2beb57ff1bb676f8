//! The answer: a verdict, the step that decides, and every step before it.

use rl_model::firewall::{FirewallAction, GroupName};
use rl_model::{NicSlot, NodeName, Vmid};
use serde::{Deserialize, Serialize};

/// Which of Proxmox's implementations is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// `pve-firewall`, the default.
    Iptables,
    /// `proxmox-firewall`, where the node's option `nftables` is on.
    Nftables,
}

/// What becomes of the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It arrives.
    Accept,
    /// It is thrown away without a word.
    Drop,
    /// It is thrown away, and the sender is told.
    Reject,
    /// It depends on something that is not known here.
    Unclear,
}

impl From<FirewallAction> for Verdict {
    fn from(action: FirewallAction) -> Self {
        match action {
            FirewallAction::Accept => Self::Accept,
            FirewallAction::Drop => Self::Drop,
            FirewallAction::Reject => Self::Reject,
        }
    }
}

/// Out of the sender or in to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Towards the guest.
    In,
    /// From the guest.
    Out,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "at", content = "name")]
pub enum Level {
    /// One of the three switches.
    Switch,
    /// Put in by Proxmox itself.
    Builtin,
    /// A rule of the guest.
    Guest,
    /// A rule of a security group that the guest's rules call.
    Group(GroupName),
    /// The guest's policy.
    Policy,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "why")]
pub enum Outcome {
    /// It decides.
    Decides(Verdict),
    /// It does not speak of the packet, for this reason.
    Passes(String),
    /// Proxmox leaves it out, for this reason.
    LeftOut(String),
    /// Its own rules follow.
    Entered,
    /// It cannot be told whether it speaks of the packet, for this reason.
    Unsure(String),
}

/// One step of the walk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Where it stands.
    pub level: Level,
    /// Position in its list, from 0, for rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Position of the rule that calls the group, for rules of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_at: Option<u32>,
    /// The rule, or what the step is in words.
    pub text: String,
    /// The rule's comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What it did.
    pub outcome: Outcome,
}

/// One guest's part of the walk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which way.
    pub way: Way,
    /// The guest.
    pub vmid: Vmid,
    /// Its NIC.
    pub nic: NicSlot,
    /// Its node.
    pub node: NodeName,
    /// The implementation of that node.
    pub engine: Engine,
    /// What becomes of the packet here.
    pub verdict: Verdict,
    /// Every step up to the one that decides, which is the last.
    pub steps: Vec<Step>,
}

impl Stage {
    /// The step that decides.
    pub fn deciding(&self) -> Option<&Step> {
        self.steps.last().filter(|step| matches!(step.outcome, Outcome::Decides(_)))
    }

    /// The steps of which it cannot be told whether they decide.
    pub fn doubts(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.outcome, Outcome::Unsure(_)))
    }
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// Index into `stages` of the one that decides.
    pub decided_in: usize,
    /// The sender's way out, where the sender is a guest, and the receiver's way in.
    pub stages: Vec<Stage>,
}

impl Explanation {
    /// The stage that decides.
    pub fn deciding_stage(&self) -> Option<&Stage> {
        self.stages.get(self.decided_in)
    }

    /// The step that decides.
    pub fn deciding(&self) -> Option<&Step> {
        self.deciding_stage().and_then(Stage::deciding)
    }
}
