//! Firewall objects that guests share: IP sets of groups of guests, what a site's file declares, and the datacenter's switch.
//!
//! What lets more in comes before the guests, what lets less in comes after them: a set first holds the members it had and
//! those it shall have, and in the end only the latter. The datacenter's switch comes last, when every rule is in its place.

mod guard;
mod objects;

use std::collections::BTreeSet;

use rl_model::firewall::{
    DatacenterChoice, DatacenterOptions, FirewallAction, IpSetName, ObservedSet, ObservedSiteFirewall,
    WantedSiteFirewall, set_owner,
};
use rl_model::{
    ActionId, NoteLevel, Observed, PartKind, PropertyString, ResolvedStack, SetChange, SiteFirewall, SiteName,
};

use self::objects::Changes;
use super::{PartScene, Parts};
use crate::plan::report::Reporter;

/// The IP set from which Proxmox lets nodes be looked after: ports 8006, 22, 3128 and 5900 to 5999 (`Firewall.pm`,
/// `enable_host_firewall`).
const MANAGEMENT: &str = "management";

/// Plans the objects of every site that was looked at.
pub(super) fn plan(scene: &PartScene<'_>, parts: &mut Parts<'_>, report: &mut Reporter) {
    let nothing = WantedSiteFirewall::default();
    for (site, seen) in &scene.observed.sites {
        let wanted = scene.resolved.firewall.get(site).unwrap_or(&nothing);
        of_site(scene, site, wanted, &seen.firewall, parts, report);
    }
}

/// Sites of which a plan must know what lets packets in to the nodes: those where it may change that.
pub(crate) fn entrances_needed(resolved: &ResolvedStack, observed: &Observed) -> BTreeSet<SiteName> {
    let changes = |(site, wanted): (&SiteName, &WantedSiteFirewall)| {
        let seen = &observed.sites.get(site)?.firewall;
        let mut unsaid = Reporter::default();
        let objects = objects::changes(site, &resolved.controller, &wanted.objects, seen, &mut unsaid);
        let mut last = objects::nothing(site, "");
        choose(resolved, site, wanted, seen, &mut last, &mut unsaid);
        [&objects.first, &objects.last, &last].into_iter().any(guard::matters).then(|| site.clone())
    };
    resolved.firewall.iter().filter_map(changes).collect()
}

fn of_site(
    scene: &PartScene<'_>,
    site: &SiteName,
    wanted: &WantedSiteFirewall,
    seen: &ObservedSiteFirewall,
    parts: &mut Parts<'_>,
    report: &mut Reporter,
) {
    let owner = set_owner(&scene.resolved.controller, &scene.resolved.name);
    let Some(sets) = &seen.sets else {
        if !wanted.sets.is_empty() {
            let message =
                format!("the IP sets of site {site} could not be read, so its rules cannot name groups of guests");
            report.general(NoteLevel::Blocked, message, Some("plan again when the site answers".to_owned()));
        }
        return;
    };
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for (name, members) in &wanted.sets {
        let before = match sets.get(name) {
            Some(set) if set.comment != owner => {
                foreign(site, name, set, report);
                continue;
            }
            Some(set) => Some(set.members.clone().unwrap_or_default()),
            None => None,
        };
        let both: BTreeSet<String> = before.iter().flatten().chain(members).cloned().collect();
        if before.as_ref() != Some(&both) {
            first.push(SetChange { name: name.clone(), before, after: Some(both.clone()), comment: None });
        }
        if both != *members {
            let (before, after) = (Some(both), Some(members.clone()));
            last.push(SetChange { name: name.clone(), before, after, comment: None });
        }
    }
    let unwanted = sets.iter().filter(|(name, set)| set.comment == owner && !wanted.sets.contains_key(*name));
    last.extend(unwanted.map(|(name, set)| SetChange {
        name: name.clone(),
        before: Some(set.members.clone().unwrap_or_default()),
        after: None,
        comment: None,
    }));
    let changes = objects::changes(site, &scene.resolved.controller, &wanted.objects, seen, report);
    let part = |sets| SiteFirewall { sets, ..objects::nothing(site, &owner) };
    let mut of_stack = Changes { first: part(first), last: part(last) };
    choose(scene.resolved, site, wanted, seen, &mut of_stack.last, report);
    if guarded(site, wanted, seen, [&changes, &of_stack], report) {
        add(scene, site, [changes, of_stack], parts);
    }
}

/// Adds the parts: what comes before the guests, and behind them what goes, the site's own first and its switch last.
fn add(scene: &PartScene<'_>, site: &SiteName, changes: [Changes; 2], parts: &mut Parts<'_>) {
    let of = |part: SiteFirewall| PartKind::SiteFirewall(Box::new(part));
    let mut before_last: Vec<ActionId> =
        parts.actions.iter().filter(|action| action.site == *site).map(|action| action.id).collect();
    let [of_site, of_stack] = changes;
    let firsts = [(of_site.first, "rules name these objects"), (of_stack.first, "rules name these guests")];
    for (first, why) in firsts.into_iter().filter(|(part, _)| !objects::is_nothing(part)) {
        let id = parts.add(of(first), vec![why.to_owned()], Vec::new());
        for guest in scene.resolved.guests.values().filter(|guest| guest.site == *site && guest.firewall.is_some()) {
            parts.guest_waits_for(&guest.name, id);
        }
        before_last.push(id);
    }
    for last in [of_site.last, of_stack.last].into_iter().filter(|part| !objects::is_nothing(part)) {
        let id = parts.add(of(last), vec!["the guests are as they shall be".to_owned()], before_last.clone());
        before_last.push(id);
    }
}

fn foreign(site: &SiteName, name: &IpSetName, set: &ObservedSet, report: &mut Reporter) {
    let whose = if set.comment.is_empty() { "bears no comment".to_owned() } else { format!("says `{}`", set.comment) };
    let message = format!("site {site} has an IP set {name} that is not ours (it {whose}); it is left alone");
    let hint = "give the container another name, or remove that set when nobody needs it";
    report.general(NoteLevel::Blocked, message, Some(hint.to_owned()));
}

/// The datacenter's switch and options as they shall change.
fn choose(
    resolved: &ResolvedStack,
    site: &SiteName,
    wanted: &WantedSiteFirewall,
    seen: &ObservedSiteFirewall,
    last: &mut SiteFirewall,
    report: &mut Reporter,
) {
    let Some(options) = &seen.options else { return };
    let filters = resolved.guests.values().any(|guest| guest.site == *site && guest.firewall.is_some());
    last.enable = wanted.enable.filter(|on| *on != options.enable);
    last.options = differing(&wanted.objects.options, options);
    if wanted.enable.is_none() && filters && !options.enable {
        let message = format!("the datacenter's firewall of site {site} is off, so no rule of its guests is in force");
        let hint = "switch it on with `firewall: { enable: true, management: [...] }` in the site's file";
        report.general(NoteLevel::Warning, message, Some(hint.to_owned()));
    }
}

/// The options that are wanted otherwise than they are; one that is not set has Proxmox's default.
fn differing(wanted: &DatacenterChoice, have: &DatacenterOptions) -> DatacenterChoice {
    let other = |wanted: Option<FirewallAction>, have: Option<FirewallAction>, unset| {
        wanted.filter(|wanted| *wanted != have.unwrap_or(unset))
    };
    let limit = |text: &str| {
        let pairs = PropertyString::parse(text);
        pairs.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect::<BTreeSet<_>>()
    };
    let have_limit = limit(have.log_ratelimit.as_deref().unwrap_or_default());
    DatacenterChoice {
        policy_in: other(wanted.policy_in, have.policy_in, FirewallAction::Drop),
        policy_out: other(wanted.policy_out, have.policy_out, FirewallAction::Accept),
        ebtables: wanted.ebtables.filter(|wanted| *wanted != have.ebtables.unwrap_or(true)),
        log_ratelimit: wanted.log_ratelimit.clone().filter(|wanted| limit(wanted) != have_limit),
    }
}

/// Whether the changes leave the nodes within reach; where they do not, they are told and none is made.
fn guarded(
    site: &SiteName,
    wanted: &WantedSiteFirewall,
    seen: &ObservedSiteFirewall,
    changes: [&Changes; 2],
    report: &mut Reporter,
) -> bool {
    let all: Vec<&SiteFirewall> = changes.iter().flat_map(|changes| [&changes.first, &changes.last]).collect();
    if !all.iter().any(|part| guard::matters(part)) {
        return true;
    }
    let before = seen.options.clone().unwrap_or_default();
    let on = wanted.enable.unwrap_or(before.enable);
    let policy = wanted.objects.options.policy_in.or(before.policy_in);
    let turns_on = on && !before.enable && policy != Some(FirewallAction::Accept);
    if turns_on && wanted.management.is_empty() {
        let message = format!(
            "switching on the datacenter's firewall of site {site} would cut off its nodes: they drop what no rule lets in, and \
             the site names no `management` network"
        );
        let hint = "name the networks of administrators and of RapidLaunch: `firewall: { management: [...] }`";
        report.general(NoteLevel::Blocked, message, Some(hint.to_owned()));
        return false;
    }
    let Some(entrance) = &seen.entrance else {
        if on {
            let message = format!(
                "what lets packets in to the nodes of site {site} could not be read, so its firewall is left as it is"
            );
            let hint = "the token needs Sys.Audit on / and on the nodes; plan again when the site answers";
            report.general(NoteLevel::Blocked, message, Some(hint.to_owned()));
        }
        return !on;
    };
    let cuts = guard::cuts(seen, entrance, &wanted.management, &all);
    for cut in guard::told(site, &cuts) {
        let hint = format!(
            "add it to the IP set `{MANAGEMENT}` of the datacenter, or let it in by a rule of the datacenter, then plan again"
        );
        report.general(NoteLevel::Blocked, cut, Some(hint));
    }
    cuts.is_empty()
}

#[cfg(test)]
mod tests;
