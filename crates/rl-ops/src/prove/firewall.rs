//! The firewall read back: three switches, policies, each rule in its place, IP sets.
//!
//! The third switch, `firewall=1` on a NIC, and the NIC in each slot are compared with the configuration.

use std::collections::BTreeMap;

use rl_model::firewall::edit::{RuleList, same_rule};
use rl_model::firewall::{
    FirewallRule, GuestOptions, ObservedFirewall, ObservedSiteFirewall, ResolvedFirewall, RuleId, RuleText,
    WantedSiteFirewall, named_objects, set_owner, site_owner,
};
use rl_model::{ObservedGuest, ProofCheck, ResolvedGuest, ResolvedStack, SiteName};
use rl_pve::api::firewall;
use rl_pve::{PveError, decode};

use super::{check, patiently, unread};
use crate::observe_firewall::{self, Whose};
use crate::site::SiteApi;

/// What is read once for all guests of a site; sites without a filtered guest are not asked.
pub(super) type SiteFirewalls = BTreeMap<SiteName, Result<ObservedSiteFirewall, PveError>>;

/// Reads the sites on which a guest of the stack has a firewall.
pub(super) async fn sites(
    apis: &BTreeMap<SiteName, std::sync::Arc<SiteApi>>,
    resolved: &ResolvedStack,
) -> SiteFirewalls {
    let mut out = SiteFirewalls::new();
    for (name, api) in apis {
        if resolved.guests.values().any(|guest| guest.site == *name && guest.firewall.is_some()) {
            out.insert(name.clone(), patiently(api, || site(api, resolved)).await);
        }
    }
    out
}

async fn site(api: &SiteApi, resolved: &ResolvedStack) -> Result<ObservedSiteFirewall, PveError> {
    let name = &api.site().name;
    let owners = [set_owner(&resolved.controller, &resolved.name), site_owner(&resolved.controller, name)];
    let whose = Whose::Of(owners.iter().map(String::as_str).collect());
    let options = decode::firewall::datacenter_options(api.pve().send(firewall::datacenter_options()).await?);
    let mut seen = ObservedSiteFirewall {
        options: Some(options),
        sets: Some(observe_firewall::sets(api, &whose).await?),
        ..ObservedSiteFirewall::default()
    };
    let objects = resolved.firewall.get(name).map(|wanted| &wanted.objects);
    if objects.is_some_and(|objects| objects.aliases.is_some()) {
        seen.aliases = Some(decode::firewall::alias_texts(api.pve().send(firewall::aliases()).await?).0);
    }
    if objects.is_some_and(|objects| objects.groups.is_some()) {
        seen.groups = Some(observe_firewall::groups(api, &whose).await?);
    }
    Ok(seen)
}

/// Compares the firewall of a guest, where it shall have one.
pub(super) async fn checks(
    api: &SiteApi,
    row: &ObservedGuest,
    guest: &ResolvedGuest,
    wanted_site: Option<&WantedSiteFirewall>,
    sites: &SiteFirewalls,
    checks: &mut Vec<ProofCheck>,
) {
    let Some(wanted) = &guest.firewall else { return };
    match sites.get(&guest.site) {
        Some(Ok(site)) => {
            checks.push(check("datacenter's firewall", "on", on(site.options.as_ref().is_some_and(|all| all.enable))));
            let named = wanted_site.map(|wanted_site| named_objects(wanted, wanted_site, site)).unwrap_or_default();
            checks.extend(named.into_iter().map(|object| check(&object.what, &object.expected, &object.found)));
        }
        Some(Err(error)) => checks.push(unread(error)),
        None => {}
    }
    match patiently(api, || observe_firewall::guest(api, &row.node, row.vmid, true)).await {
        Ok(seen) => guest_checks(guest, wanted, &seen, checks),
        Err(error) => checks.push(unread(&error)),
    }
}

fn on(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Compares switch, policies and rules.
pub(crate) fn guest_checks(
    guest: &ResolvedGuest,
    wanted: &ResolvedFirewall,
    seen: &ObservedFirewall,
    checks: &mut Vec<ProofCheck>,
) {
    let options: GuestOptions = seen.options.clone().unwrap_or_default();
    checks.push(check("firewall", "on", on(options.enable)));
    checks.push(check("inbound policy", wanted.policy_in.as_str(), options.inbound().as_str()));
    checks.push(check("outbound policy", wanted.policy_out.as_str(), options.outbound().as_str()));
    checks.push(check(
        "log level",
        &levels(&wanted.log_in, &wanted.log_out),
        &levels(options.log_in(), options.log_out()),
    ));
    checks.push(check("only own addresses", on(wanted.ipfilter), on(options.ipfilter)));
    let list = RuleList::new(RuleId::prefix(&guest.id));
    let ours = list.ours(&seen.rules);
    for (place, want) in wanted.rules.iter().enumerate() {
        let at = ours.get(place).copied();
        let found = match at.filter(|have| same_rule(have, want)) {
            Some(_) => shown(want),
            None => match ours.iter().position(|have| list.id(have) == list.id(want)) {
                Some(other) if other != place => format!("{} as rule {} of ours", shown(ours[other]), other + 1),
                Some(same) => shown(ours[same]),
                None => "missing".to_owned(),
            },
        };
        checks.push(check(&format!("rule {}", place + 1), &shown(want), &found));
    }
    let more: Vec<String> = ours.iter().skip(wanted.rules.len()).map(|rule| shown(rule)).collect();
    if !more.is_empty() {
        checks.push(check("rules of ours", "no more", &more.join("; ")));
    }
    let last_ours = seen.rules.iter().rposition(|rule| list.id(rule).is_some()).unwrap_or(0);
    let above = seen.rules.iter().take(last_ours).filter(|rule| rule.enable && list.id(rule).is_none());
    let above: Vec<String> = above.map(shown).collect();
    checks.push(check("rules of others above ours", "none", if above.is_empty() { "none" } else { &above[0] }));
}

fn levels(inbound: &str, outbound: &str) -> String {
    format!("{inbound} in, {outbound} out")
}

/// A rule in the words of Proxmox's files, and whether it is off.
fn shown(rule: &RuleText) -> String {
    let text = FirewallRule::read(rule).to_string();
    let log = rule.log.as_deref().filter(|level| !level.is_empty() && *level != "nolog");
    let text = log.map_or(text.clone(), |level| format!("{text} -log {level}"));
    if rule.enable { text } else { format!("{text} (off)") }
}
