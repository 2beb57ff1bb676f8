//! Looks into the other guests of the installation: none of them holds a file that it was not granted.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;
use rl_agent::{Answer, CallError, Courier, Given, Order, Post, Refusal, Target, Work};
use rl_model::{GuestPath, NodeName, Proof, ProofCheck, ResolvedStack, SiteName, Stamp, Vmid};

use super::proof::{FOLDER, READS_AT_ONCE};

/// Most other guests that one proof looks into: each is a process on its node. Those on the nodes of the stack come first.
const OTHERS_MAX: usize = 256;
/// How long an agent that is away is waited for: the stack itself does not need it.
const WAIT: Duration = Duration::from_secs(2);
/// How long an agent may take to answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Most names of guests in the text of a check.
const NAMES_MAX: usize = 10;

/// A guest of the installation that is not of the stack.
#[derive(Debug, Clone)]
pub struct OtherGuest {
    /// Its stamp.
    pub stamp: Stamp,
    /// Its site.
    pub site: SiteName,
    /// The node it was last seen on.
    pub node: NodeName,
    /// The VMID it was last seen under.
    pub vmid: Vmid,
    /// Files that were delivered into it.
    pub granted: BTreeSet<GuestPath>,
    /// Whether its stack is being changed now: what lies in it may not be written down yet.
    pub changing: bool,
}

/// What was found in one of them.
enum Found {
    Strays(Vec<String>),
    NotLooked,
}

/// Adds to the proof of a stack that is granted secrets what its installation's other guests hold, and which of them were not
/// looked into: those whose agent is away or was never set up, those of stacks that are being changed, and those beyond the limit.
pub async fn prove_others(
    mut proof: Proof,
    resolved: &ResolvedStack,
    courier: &dyn Courier,
    mut others: Vec<OtherGuest>,
) -> Proof {
    let granted = resolved.guests.values().find(|guest| !guest.secrets.is_empty()).map(|guest| &guest.name);
    let Some(item) = proof.items.iter_mut().find(|item| Some(&item.guest) == granted) else { return proof };
    let ours: BTreeSet<(&SiteName, &NodeName)> =
        resolved.guests.values().map(|guest| (&guest.site, &guest.node)).collect();
    others.sort_by_key(|other| !ours.contains(&(&other.site, &other.node)));
    let beyond = others.split_off(others.len().min(OTHERS_MAX));
    let run = format!("proof-{}", proof.at_ms);
    let (others, run) = (&others, &run);
    // By place, not by reference: then whoever awaits this may move between threads.
    let looked: Vec<(String, Found)> = futures::stream::iter(0..others.len())
        .map(|at| async move {
            let other = &others[at];
            (format!("{}/{}", other.stamp.stack, other.stamp.name), look(courier, other, run).await)
        })
        .buffered(READS_AT_ONCE)
        .collect()
        .await;
    item.checks.push(check(&looked, beyond.len()));
    Proof::new(proof.stack, proof.at_ms, proof.items)
}

async fn look(courier: &dyn Courier, other: &OtherGuest, run: &str) -> Found {
    let Some(folder) = FOLDER.parse::<GuestPath>().ok().filter(|_| !other.changing) else { return Found::NotLooked };
    let post = Post { site: other.site.clone(), node: other.node.clone() };
    // Its stamp says who it is; nothing is changed in it.
    let guest = Target { vmid: other.vmid, stamp: other.stamp.clone(), hostnames: Vec::new(), net0: Vec::new() };
    let job = format!("{run}-{}", other.stamp.guest);
    let order = Order { key: format!("{job}/list"), job, fence: 1, guest, work: Work::List { folder } };
    match courier.call(&post, order, Given::default(), WAIT, LIMIT).await {
        Ok(Answer::Files { paths }) => {
            let granted = |path: &String| other.granted.iter().any(|granted| granted.as_str() == path);
            Found::Strays(paths.into_iter().filter(|path| !granted(path)).collect())
        }
        // What does not run holds nothing in memory.
        Err(CallError::Refused { refusal: Refusal::NotRunning { .. }, .. }) => Found::Strays(Vec::new()),
        _ => Found::NotLooked,
    }
}

fn check(looked: &[(String, Found)], beyond: usize) -> ProofCheck {
    let strays = |found: &Found| match found {
        Found::Strays(paths) if !paths.is_empty() => Some(paths.join(", ")),
        _ => None,
    };
    let wrong: Vec<String> =
        looked.iter().filter_map(|(name, found)| Some(format!("{name} has {}", strays(found)?))).collect();
    let missed: Vec<&str> =
        looked.iter().filter(|(_, found)| matches!(found, Found::NotLooked)).map(|(name, _)| name.as_str()).collect();
    let mut found = match wrong.is_empty() {
        true => format!("nothing in {} guests", looked.len() - missed.len()),
        false => listed(wrong.iter().map(String::as_str)),
    };
    if !missed.is_empty() {
        found.push_str(&format!(
            "; not looked into, as their agent does not answer or they are being changed: {}",
            listed(missed.iter().copied())
        ));
    }
    if beyond > 0 {
        found.push_str(&format!("; {beyond} more were not looked into, as a proof looks into {OTHERS_MAX}"));
    }
    ProofCheck {
        name: "no secret in other guests".to_owned(),
        ok: wrong.is_empty(),
        expected: "nothing that was not granted to them".to_owned(),
        found,
    }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let shown = names.take(NAMES_MAX).collect::<Vec<_>>().join("; ");
    if count > NAMES_MAX { format!("{shown} and {} more", count - NAMES_MAX) } else { shown }
}

#[cfg(test)]
mod tests;
