//! Names of guests within a stack, and host names.

use std::collections::BTreeMap;

use rl_model::manifest::Location;
use rl_model::{GuestName, Hostname, SiteName};

use super::super::link::Placed;
use super::super::report::Findings;
use super::super::stack::StackDraft;
use crate::diagnostic::{Diagnostic, codes};

/// A container of the name that `count` gives to a guest of another one.
pub(super) fn guests(findings: &mut Findings, stacks: &[StackDraft]) {
    for stack in stacks {
        let mut seen: BTreeMap<GuestName, &Location> = BTreeMap::new();
        for draft in &stack.containers {
            for name in draft.guest_names() {
                let Some(first) = seen.get(&name).copied() else {
                    seen.insert(name, &draft.name.at);
                    continue;
                };
                let message = format!("two guests of the stack are called `{name}`");
                findings.push(
                    Diagnostic::error(codes::DUPLICATE_NAME, Some(&draft.name.at), message)
                        .related(Some(first), "this container has a guest of that name too")
                        .help("with `count`, guests are called `NAME-1`, `NAME-2` and so on; rename one of the containers"),
                );
                break;
            }
        }
    }
}

/// Host names given with `hostname:` must be unique on a site, and differ from the names of guests of their stack.
pub(super) fn hostnames(findings: &mut Findings, stacks: &[StackDraft], placed: &[Placed<'_>]) {
    let mut seen: BTreeMap<(&SiteName, &Hostname), &Location> = BTreeMap::new();
    for one in placed {
        let (Some(site), Some(hostname)) = (one.site, &one.draft.hostname) else { continue };
        match seen.get(&(&site.name, &hostname.value)).copied() {
            None => drop(seen.insert((&site.name, &hostname.value), &hostname.at)),
            Some(first) => twice(findings, &hostname.value, &hostname.at, first, "first guest of that name"),
        }
    }
    for stack in stacks {
        let plain = stack.containers.iter().filter(|draft| draft.hostname.is_none());
        let names: BTreeMap<String, &Location> =
            plain.flat_map(|draft| draft.guest_names().map(|name| (name.to_string(), &draft.name.at))).collect();
        for hostname in stack.containers.iter().filter_map(|draft| draft.hostname.as_ref()) {
            if let Some(other) = names.get(hostname.value.as_str()) {
                twice(findings, &hostname.value, &hostname.at, other, "a guest of this container has that name");
            }
        }
    }
}

fn twice(findings: &mut Findings, name: &Hostname, at: &Location, first: &Location, label: &str) {
    findings.push(
        Diagnostic::error(codes::HOSTNAME_TWICE, Some(at), format!("two guests have the host name `{name}`"))
            .related(Some(first), label)
            .help("give one of them another host name"),
    );
}
