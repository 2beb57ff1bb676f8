//! How the firewall of a guest no longer matches: switches, policies, rules of ours by place, rules of others above them.

use rl_model::firewall::edit::same_rule;
use rl_model::firewall::{FirewallRule, GuestOptions, ObservedFirewall, ResolvedFirewall, RuleText, named_objects};
use rl_model::{Drift, ResolvedGuest, ResolvedStack};

use super::changed;
use crate::plan::firewall::list;
use crate::plan::world::{Place, World};

/// Compares the firewall last applied with what was read; nothing where none was applied or it was not read.
pub(super) fn compare(
    stack: &ResolvedStack,
    guest: &ResolvedGuest,
    place: Place<'_>,
    world: &World<'_>,
    out: &mut Vec<Drift>,
) {
    let Some(wanted) = &guest.firewall else { return };
    let Some(site) = world.site(place.site) else { return };
    if site.firewall.options.as_ref().is_some_and(|options| !options.enable) {
        changed(guest, "datacenter's firewall", &"on", &"off", out);
    }
    let named = stack.firewall.get(place.site).map(|of_site| named_objects(wanted, of_site, &site.firewall));
    for object in named.into_iter().flatten().filter(|object| object.expected != object.found) {
        changed(guest, &object.what, &object.expected, &object.found, out);
    }
    if let Some(seen) = site.firewall.guests.get(&place.guest.vmid) {
        options(guest, wanted, seen, out);
        rules(guest, wanted, seen, out);
    }
}

fn options(guest: &ResolvedGuest, wanted: &ResolvedFirewall, seen: &ObservedFirewall, out: &mut Vec<Drift>) {
    let Some(have) = &seen.options else { return };
    let have: &GuestOptions = have;
    if !have.enable {
        changed(guest, "firewall", &"on", &"off", out);
    }
    if have.inbound() != wanted.policy_in {
        changed(guest, "inbound policy", &wanted.policy_in, &have.inbound(), out);
    }
    if have.outbound() != wanted.policy_out {
        changed(guest, "outbound policy", &wanted.policy_out, &have.outbound(), out);
    }
    if have.ipfilter != wanted.ipfilter {
        changed(guest, "only own addresses", &wanted.ipfilter, &have.ipfilter, out);
    }
}

fn rules(guest: &ResolvedGuest, wanted: &ResolvedFirewall, seen: &ObservedFirewall, out: &mut Vec<Drift>) {
    let list = list(guest);
    let ours = list.ours(&seen.rules);
    for place in 0..wanted.rules.len().max(ours.len()) {
        let (want, have) = (wanted.rules.get(place), ours.get(place).copied());
        if let (Some(want), Some(have)) = (want, have)
            && same_rule(want, have)
        {
            continue;
        }
        let text = |rule: Option<&RuleText>| rule.map_or_else(|| "none".to_owned(), shown);
        changed(guest, &format!("rule {}", place + 1), &text(want), &text(have), out);
    }
    let last_ours = seen.rules.iter().rposition(|rule| list.id(rule).is_some()).unwrap_or(0);
    let above = seen.rules.iter().take(last_ours).filter(|rule| rule.enable && list.id(rule).is_none());
    for rule in above {
        changed(guest, "rules of others above ours", &"none", &shown(rule), out);
    }
}

fn shown(rule: &RuleText) -> String {
    let text = FirewallRule::read(rule).to_string();
    if rule.enable { text } else { format!("{text} (off)") }
}
