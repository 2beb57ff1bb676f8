//! Faults: what goes wrong, for which calls, how often. All chance comes from the site's seed.

use std::sync::{Mutex, PoisonError};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// A fault: when it strikes and what it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A name for the lists of the control endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which calls it strikes; everything left out matches.
    #[serde(default)]
    pub when: When,
    /// What it does.
    pub action: Action,
}

/// Which calls a fault strikes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// GET, POST, PUT or DELETE.
    pub method: Option<String>,
    /// The path below `/api2/json`; `*` stands for any letters but a slash, `**` for any letters.
    pub path: Option<String>,
    /// The node the call is about.
    pub node: Option<String>,
    /// Only the n-th matching call, counted from 1.
    pub nth: Option<u64>,
    /// The chance, from 0 to 1, for every matching call.
    pub probability: Option<f64>,
    /// How often it may strike at most.
    pub times: Option<u64>,
}

/// What a fault does.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Answers with this status and message; nothing is done.
    Refuse { status: u16, message: String },
    /// Waits so many real seconds before doing anything.
    Delay { seconds: f64 },
    /// Does the work, then loses the answer.
    LoseAnswer {
        #[serde(default)]
        how: Loss,
    },
    /// Does the work, then answers with this status and message: what a call sees that an earlier one, believed lost, has
    /// overtaken.
    Overtake { status: u16, message: String },
    /// Loses the request: nothing is done and no answer comes.
    LoseRequest {
        #[serde(default)]
        how: Loss,
    },
    /// Lets the task that the call starts fail at its end. The effect is undone as PVE would, or stays when `done` is set.
    FailTask {
        text: String,
        #[serde(default)]
        done: bool,
    },
    /// Kills the worker in the middle: its last line is missing and nothing is cleaned up.
    KillTask {},
    /// The worker stops making progress until somebody stops it.
    HangTask {},
    /// The task does its work, and nobody knows of it any more when it has ended: its line was cut off the node's index.
    ForgetTask {},
    /// Holds a guest's file lock for so many real seconds.
    HoldFlock { vmid: u32, seconds: f64 },
    /// Puts a `lock` into a guest's config for so many real seconds.
    HoldLock { vmid: u32, lock: String, seconds: f64 },
    /// Takes a node off the network for so many real seconds.
    DropNode { node: String, seconds: f64 },
    /// The cluster has no quorum for so many real seconds.
    LoseQuorum { seconds: f64 },
    /// Drops every open connection of every node.
    RestartProxy {},
}

impl Action {
    /// Whether it strikes the task that the call starts.
    pub(crate) fn is_of_task(&self) -> bool {
        matches!(self, Self::FailTask { .. } | Self::KillTask {} | Self::HangTask {} | Self::ForgetTask {})
    }
}

/// How an answer is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The connection is closed without an answer.
    #[default]
    Close,
    /// pveproxy answers 596 because its own connection to the daemon timed out.
    Timeout,
}

/// A fault with how often its calls came and how often it struck.
#[derive(Debug, Clone, Serialize)]
pub struct FaultState {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Matching calls so far.
    pub seen: u64,
    /// Strikes so far.
    pub struck: u64,
}

/// All faults of a site.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    list: Vec<FaultState>,
    chance: SmallRng,
}

impl Faults {
    pub(crate) fn new(list: Vec<Fault>, seed: u64) -> Self {
        /// Keeps the faults' chances apart from those of the latencies.
        const STREAM: u64 = 0x5fa1_7000;
        let list = list.into_iter().map(|fault| FaultState { fault, seen: 0, struck: 0 }).collect();
        Self(Mutex::new(Inner { list, chance: SmallRng::seed_from_u64(seed ^ STREAM) }))
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, faults: Vec<Fault>) {
        self.inner().list.extend(faults.into_iter().map(|fault| FaultState { fault, seen: 0, struck: 0 }));
    }

    pub(crate) fn clear(&self) {
        self.inner().list.clear();
    }

    pub(crate) fn list(&self) -> Vec<FaultState> {
        self.inner().list.clone()
    }

    /// The actions that strike this call.
    pub(crate) fn strike(&self, method: &str, path: &str, node: Option<&str>) -> Vec<Action> {
        let mut inner = self.inner();
        let Inner { list, chance } = &mut *inner;
        let mut out = Vec::new();
        for state in list.iter_mut().filter(|s| matches(&s.fault.when, method, path, node)) {
            state.seen += 1;
            let when = &state.fault.when;
            let due = when.nth.is_none_or(|n| n == state.seen)
                && when.times.is_none_or(|t| state.struck < t)
                && when.probability.is_none_or(|p| chance.random_bool(p.clamp(0.0, 1.0)));
            if due {
                state.struck += 1;
                out.push(state.fault.action.clone());
            }
        }
        out
    }
}

fn matches(when: &When, method: &str, path: &str, node: Option<&str>) -> bool {
    when.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method))
        && when.node.as_deref().is_none_or(|n| node == Some(n))
        && when.path.as_deref().is_none_or(|pattern| glob(pattern.as_bytes(), path.as_bytes()))
}

/// `*` is any run without a slash, `**` any run at all.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'*', rest @ ..] => {
            let end = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
            (0..=end).any(|at| glob(rest, &text[at..]))
        }
        [letter, rest @ ..] => text.first() == Some(letter) && glob(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests;
