//! DNS records point at NICs that have an address of their type.

use std::collections::BTreeMap;

use rl_model::ContainerName;
use rl_model::RecordType;
use rl_model::manifest::{DnsContent, DnsRecord, DnsTarget, Location};

use super::super::link::{Placed, modes};
use super::super::nic::Mode;
use super::super::report::{Findings, Sp, suggest};
use super::super::stack::StackDraft;
use crate::diagnostic::{Diagnostic, codes};

/// Checks the records of every stack.
pub(super) fn records(findings: &mut Findings, stacks: &[StackDraft], placed: &[Placed<'_>]) {
    let mut seen: BTreeMap<String, &Location> = BTreeMap::new();
    let by_name: Index<'_> = placed.iter().map(|one| (key(one.stack, &one.draft.name.value), *one)).collect();
    for stack in stacks {
        for record in &stack.dns {
            if let Some(to) = record.value.content.nic() {
                target(findings, stack, record, to, &by_name);
            }
            let DnsRecord { zone, name, content, .. } = &record.value;
            let key = match content {
                // All texts and services of a name stand together, and so does what several NICs give it.
                DnsContent::Cname { .. } => format!("{name} {zone} CNAME"),
                content => format!("{name} {zone} {content:?}"),
            };
            let key = key.to_ascii_lowercase();
            let Some(first) = seen.get(&key).copied() else {
                seen.insert(key, &record.at);
                continue;
            };
            let message = format!("the record `{name}` of the zone `{zone}` is declared twice");
            findings.push(
                Diagnostic::error(codes::DUPLICATE_NAME, Some(&record.at), message)
                    .related(Some(first), "first record")
                    .help("keep one of the two"),
            );
        }
    }
}

/// Containers by stack and name.
type Index<'a> = BTreeMap<(*const StackDraft, String), Placed<'a>>;

fn key(stack: &StackDraft, name: &ContainerName) -> (*const StackDraft, String) {
    (stack, name.to_string())
}

fn target(findings: &mut Findings, stack: &StackDraft, record: &Sp<DnsRecord>, to: &DnsTarget, by_name: &Index<'_>) {
    let Some(one) = by_name.get(&key(stack, &to.container)) else {
        if !stack.incomplete {
            let names = stack.containers.iter().map(|draft| draft.name.value.as_str());
            let message = format!("the stack has no container `{}`", to.container);
            let help = suggest(to.container.as_str(), names, "containers");
            findings.push(Diagnostic::error(codes::UNKNOWN_CONTAINER, Some(&record.at), message).help(help));
        }
        return;
    };
    let draft = one.draft;
    let Some(nic) = draft.nics.iter().find(|nic| nic.name.value == to.nic) else {
        let help = suggest(to.nic.as_str(), draft.nics.iter().map(|nic| nic.name.value.as_str()), "NICs");
        let message = format!("the container `{}` has no NIC `{}`", to.container, to.nic);
        findings.push(Diagnostic::error(codes::UNKNOWN_NIC, Some(&record.at), message).help(help));
        return;
    };
    let Some((_, network)) = one.nics().find(|(other, _)| std::ptr::eq(*other, nic)) else { return };
    let (ipv4, ipv6) = modes(nic, network);
    let kind = record.value.content.kind();
    let (mode, key) = if kind == RecordType::A { (ipv4, "ipv4") } else { (ipv6, "ipv6") };
    let without = match mode {
        Mode::None => format!("this NIC has `{key}: none`"),
        Mode::Dhcp | Mode::Auto => "this NIC has no address that is leased to it".to_owned(),
        Mode::Lease | Mode::Pinned(_) => return,
    };
    {
        let message = format!("a record of type {kind} cannot point at `{}.{}`", to.container, to.nic);
        findings.push(
            Diagnostic::error(codes::NO_ADDRESSES, Some(&record.at), message)
                .label(without)
                .help(format!("give the NIC an address with `{key}`, or change the record's type")),
        );
    }
}
