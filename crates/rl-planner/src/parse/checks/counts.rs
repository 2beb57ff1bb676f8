//! What may be pinned where an entry stands for several guests.

use rl_model::manifest::Spread;

use super::super::container::Draft;
use super::super::link::Placed;
use super::super::nic::{Mode, NicDraft};
use super::super::report::{Findings, Sp};
use crate::diagnostic::{Diagnostic, codes};

/// Holds that pinned values fit the number of guests.
pub(super) fn counts(findings: &mut Findings, placed: &[Placed<'_>]) {
    for draft in placed.iter().map(|one| one.draft) {
        vmids(findings, draft);
        if let (Some(count), Some(hostname)) = (&draft.count, &draft.hostname) {
            let help = "remove `hostname`; the guests are called after the container: `NAME-1`, `NAME-2`";
            single(findings, "hostname", hostname, count, help);
        }
        for nic in &draft.nics {
            if let (Some(count), Some(mac)) = (&draft.count, &nic.mac) {
                single(findings, "mac", mac, count, "remove `mac`; each NIC is given its own");
            }
            addresses(findings, draft, nic);
        }
        spread(findings, draft);
    }
}

fn single<T>(findings: &mut Findings, key: &str, value: &Sp<T>, count: &Sp<u32>, help: &str) {
    findings.push(
        Diagnostic::error(codes::PIN_COUNT, Some(&value.at), format!("`{key}` cannot be set together with `count`"))
            .related(Some(&count.at), format!("this stands for {} guests", count.value))
            .help(help),
    );
}

fn vmids(findings: &mut Findings, draft: &Draft) {
    let Some(list) = &draft.vmids else { return };
    let (given, guests) = (list.value.len(), draft.guests() as usize);
    if given != guests {
        let message = format!("{given} {} for {guests} {}", plural(given, "VMID"), plural(guests, "guest"));
        findings.push(
            Diagnostic::error(codes::PIN_COUNT, Some(&list.at), message)
                .related(draft.count.as_ref().map(|count| &count.at), "the number of guests")
                .help("write as many VMIDs as guests, first guest first, or leave `vmid` out"),
        );
    }
}

fn addresses(findings: &mut Findings, draft: &Draft, nic: &NicDraft) {
    for mode in [&nic.ipv4, &nic.ipv6].into_iter().flatten() {
        let Mode::Pinned(list) = &mode.value else { continue };
        let (given, guests) = (list.len(), draft.guests() as usize);
        if given != guests {
            let message = format!(
                "{given} {} for {guests} {}",
                if given == 1 { "address" } else { "addresses" },
                plural(guests, "guest")
            );
            findings.push(
                Diagnostic::error(codes::PIN_COUNT, Some(&mode.at), message)
                    .related(draft.count.as_ref().map(|count| &count.at), "the number of guests")
                    .help("write as many addresses as guests, first guest first, or `lease`"),
            );
        }
    }
}

fn spread(findings: &mut Findings, draft: &Draft) {
    if let (Some(spread), Some(node)) = (draft.spread.as_ref().filter(|s| s.value == Spread::Node), &draft.node) {
        findings.push(
            Diagnostic::error(
                codes::KEYS_CONFLICT,
                Some(&spread.at),
                "`spread: node` cannot be set together with `node`",
            )
            .related(Some(&node.at), "all guests are pinned to this node")
            .help("keep the one that is meant"),
        );
    }
}

fn plural(number: usize, word: &str) -> String {
    if number == 1 { word.to_owned() } else { format!("{word}s") }
}
