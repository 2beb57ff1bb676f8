//! What changes in the firewall of a guest that is there.

use rl_model::firewall::edit::{RuleList, edits};
use rl_model::firewall::{FirewallChange, GuestOptions, ObservedFirewall, ResolvedFirewall, RuleId};
use rl_model::manifest::SectionKind;
use rl_model::{GuestStatus, Leases, Policy, ResolvedGuest, ResolvedStack};

use super::report::Reporter;
use super::world::{Place, World};

/// The stack as it is planned: without what the user wants left alone.
pub(super) fn as_allowed(resolved: &ResolvedStack, leases: &Leases, policy: &Policy) -> Option<ResolvedStack> {
    let kept = policy.without.contains(&SectionKind::Firewall);
    kept.then(|| {
        let mut stack = resolved.clone();
        stack.firewall.clear();
        for guest in stack.guests.values_mut() {
            let last = leases.guests.get(&guest.name).and_then(|known| known.last.as_ref());
            guest.firewall = last.and_then(|last| last.firewall.clone());
        }
        stack
    })
}

/// Compares the firewall of a guest with what was read. Where it was not read, the guest keeps what was last applied.
pub(super) fn change(
    guest: &mut ResolvedGuest,
    last: Option<&ResolvedGuest>,
    world: &World<'_>,
    place: Place<'_>,
    report: &mut Reporter,
) -> Option<Box<FirewallChange>> {
    let applied = last.and_then(|last| last.firewall.as_ref());
    if guest.firewall.is_none() && applied.is_none() {
        return None;
    }
    let seen = world.site(place.site).and_then(|site| site.firewall.guests.get(&place.guest.vmid));
    let Some(seen) = seen else {
        if guest.firewall.as_ref() != applied {
            let message = format!("the firewall of `{}` could not be read, so it is left as it is", guest.name);
            report.warn(&guest.name, message, Some("plan again when the site answers".to_owned()));
            guest.firewall = applied.cloned();
        }
        return None;
    };
    others(guest, seen, report);
    let running = place.guest.status != GuestStatus::Stopped;
    let wanted = guest.firewall.as_ref();
    if edits(&list(guest), wanted, &assumed(seen, wanted), running).is_empty() {
        return None;
    }
    Some(Box::new(FirewallChange { seen: seen.clone(), wanted: guest.firewall.clone() }))
}

/// The rules of a guest that are ours.
pub(crate) fn list(guest: &ResolvedGuest) -> RuleList {
    RuleList::new(RuleId::prefix(&guest.id))
}

/// Options that were not read are taken for what they shall be: only guests whose rest agrees are looked at so little.
fn assumed(seen: &ObservedFirewall, wanted: Option<&ResolvedFirewall>) -> ObservedFirewall {
    let mut seen = seen.clone();
    if let (None, Some(wanted)) = (&seen.options, wanted) {
        seen.options = Some(GuestOptions {
            enable: true,
            policy_in: Some(wanted.policy_in),
            policy_out: Some(wanted.policy_out),
            log_level_in: Some(wanted.log_in.clone()),
            log_level_out: Some(wanted.log_out.clone()),
            ipfilter: wanted.ipfilter,
            ..GuestOptions::default()
        });
    }
    seen
}

/// Tells of rules of others that stand in the way: they are left where they are.
fn others(guest: &ResolvedGuest, seen: &ObservedFirewall, report: &mut Reporter) {
    let list = list(guest);
    let last_ours = seen.rules.iter().rposition(|rule| list.id(rule).is_some());
    let above = seen.rules.iter().take(last_ours.unwrap_or(0)).filter(|rule| rule.enable && list.id(rule).is_none());
    for rule in above {
        let shown = rl_model::firewall::FirewallRule::read(rule);
        let message = format!("a rule that is not ours stands above rules of `{}`: `{shown}`", guest.name);
        let hint = "it is left where it is and decides first; remove it, or put it into the stack file";
        report.warn(&guest.name, message, Some(hint.to_owned()));
    }
}
