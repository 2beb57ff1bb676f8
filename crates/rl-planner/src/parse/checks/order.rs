//! `after:` names containers of the stack and goes in no circle.

use std::collections::{BTreeMap, BTreeSet};

use rl_model::ContainerName;

use super::super::container::Draft;
use super::super::report::{Findings, suggest};
use super::super::stack::StackDraft;
use crate::diagnostic::{Diagnostic, codes};

/// Checks the order of every stack.
pub(super) fn after(findings: &mut Findings, stacks: &[StackDraft]) {
    for stack in stacks {
        let drafts: BTreeMap<&ContainerName, &Draft> =
            stack.containers.iter().map(|draft| (&draft.name.value, draft)).collect();
        for draft in drafts.values() {
            for name in &draft.after {
                if !drafts.contains_key(&name.value) && !stack.incomplete {
                    let help = suggest(name.value.as_str(), drafts.keys().map(|key| key.as_str()), "containers");
                    let message = format!("the stack has no container `{}`", name.value);
                    findings.push(Diagnostic::error(codes::UNKNOWN_CONTAINER, Some(&name.at), message).help(help));
                }
            }
        }
        circles(findings, &drafts);
    }
}

/// The containers that never get ready: those in circles and those that wait for one.
fn stuck<'a>(drafts: &BTreeMap<&'a ContainerName, &'a Draft>) -> BTreeMap<&'a ContainerName, &'a Draft> {
    let mut waiting: BTreeMap<&ContainerName, Vec<&ContainerName>> = BTreeMap::new();
    let mut open: BTreeMap<&ContainerName, usize> = BTreeMap::new();
    for (name, draft) in drafts {
        let known: BTreeSet<&ContainerName> =
            draft.after.iter().map(|after| &after.value).filter(|after| drafts.contains_key(after)).collect();
        open.insert(name, known.len());
        known.into_iter().for_each(|after| waiting.entry(after).or_default().push(name));
    }
    let mut left = drafts.clone();
    let mut ready: Vec<&ContainerName> = open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = ready.pop() {
        left.remove(name);
        for waiter in waiting.get(name).into_iter().flatten() {
            let count = open.get_mut(waiter).expect("every container is counted");
            *count -= 1;
            if *count == 0 {
                ready.push(waiter);
            }
        }
    }
    left
}

/// Most circles that are looked for: mending one often mends others.
const CIRCLES_MAX: usize = 10;

/// Reports each circle once.
fn circles(findings: &mut Findings, drafts: &BTreeMap<&ContainerName, &Draft>) {
    let mut left = stuck(drafts);
    for _ in 0..CIRCLES_MAX {
        let Some((start, _)) = left.first_key_value() else { break };
        let path = walk(&left, start);
        let circle: Vec<String> = path.iter().map(|draft| format!("`{}`", draft.name.value)).collect();
        let Some(first) = path.first() else { break };
        let message = match circle.as_slice() {
            [one] => format!("the container {one} waits for itself"),
            _ => format!("containers wait for each other: {} waits for {}", circle.join(" waits for "), circle[0]),
        };
        let edge = |from: &Draft| {
            from.after
                .iter()
                .find(|name| path.iter().any(|draft| draft.name.value == name.value))
                .map(|name| name.at.clone())
        };
        let label = |draft: &Draft| format!("`{}` waits for this", draft.name.value);
        let mut found = Diagnostic::error(codes::CYCLE, edge(first).as_ref(), message).label(label(first));
        for draft in &path[1..] {
            found = found.related(edge(draft).as_ref(), label(draft));
        }
        let help = if path.len() == 1 { "remove it from `after`" } else { "remove one of these from `after`" };
        findings.push(found.help(help));
        left.retain(|name, _| path.iter().all(|draft| draft.name.value != **name));
        // What only waited for this circle is no circle of its own.
        left = stuck(&left);
    }
}

/// Follows `after` from a container that never gets ready until one comes up again; gives the circle.
fn walk<'a>(left: &BTreeMap<&ContainerName, &'a Draft>, start: &ContainerName) -> Vec<&'a Draft> {
    let mut path: Vec<&Draft> = Vec::new();
    let mut name = start;
    loop {
        if let Some(begin) = path.iter().position(|draft| draft.name.value == *name) {
            return path.split_off(begin);
        }
        let Some(draft) = left.get(name) else { return path };
        path.push(draft);
        let next = draft.after.iter().find(|next| left.contains_key(&next.value));
        match next {
            Some(next) => name = &next.value,
            None => return path,
        }
    }
}
