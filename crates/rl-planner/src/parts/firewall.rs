//! Firewall objects that guests share: IP sets of groups of guests, and the datacenter's switch.
//!
//! What lets more in comes before the guests, what lets less in comes after them: a set first holds the members it had and
//! those it shall have, and in the end only the latter. The datacenter's switch comes last, when every rule is in its place.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use rl_model::firewall::{FirewallAction, IpSetName, ObservedSet, ObservedSiteFirewall, WantedSiteFirewall, set_owner};
use rl_model::{ActionId, Cidr, NoteLevel, PartKind, SetChange, SiteFirewall, SiteName};

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
            first.push(SetChange { name: name.clone(), before, after: Some(both.clone()) });
        }
        if both != *members {
            last.push(SetChange { name: name.clone(), before: Some(both), after: Some(members.clone()) });
        }
    }
    let unwanted = sets.iter().filter(|(name, set)| set.comment == owner && !wanted.sets.contains_key(*name));
    last.extend(unwanted.map(|(name, set)| SetChange {
        name: name.clone(),
        before: Some(set.members.clone().unwrap_or_default()),
        after: None,
    }));
    let enable = switch(scene, site, wanted, seen, report);
    add(scene, site, &owner, (first, last, enable), parts);
}

fn add(
    scene: &PartScene<'_>,
    site: &SiteName,
    owner: &str,
    (first, last, enable): (Vec<SetChange>, Vec<SetChange>, Option<bool>),
    parts: &mut Parts<'_>,
) {
    let of = |sets, enable| {
        PartKind::SiteFirewall(Box::new(SiteFirewall { site: site.clone(), owner: owner.to_owned(), sets, enable }))
    };
    let mut before_last: Vec<ActionId> =
        parts.actions.iter().filter(|action| action.site == *site).map(|action| action.id).collect();
    if !first.is_empty() {
        let id = parts.add(of(first, None), vec!["rules name these guests".to_owned()], Vec::new());
        for guest in scene.resolved.guests.values().filter(|guest| guest.site == *site && guest.firewall.is_some()) {
            parts.guest_waits_for(&guest.name, id);
        }
        before_last.push(id);
    }
    if !last.is_empty() || enable.is_some() {
        parts.add(of(last, enable), vec!["the guests are as they shall be".to_owned()], before_last);
    }
}

fn foreign(site: &SiteName, name: &IpSetName, set: &ObservedSet, report: &mut Reporter) {
    let whose = if set.comment.is_empty() { "bears no comment".to_owned() } else { format!("says `{}`", set.comment) };
    let message = format!("site {site} has an IP set {name} that is not ours (it {whose}); it is left alone");
    let hint = "give the container another name, or remove that set when nobody needs it";
    report.general(NoteLevel::Blocked, message, Some(hint.to_owned()));
}

/// The switch as it shall change. It is not switched on where that would cut off those who look after the site.
fn switch(
    scene: &PartScene<'_>,
    site: &SiteName,
    wanted: &WantedSiteFirewall,
    seen: &ObservedSiteFirewall,
    report: &mut Reporter,
) -> Option<bool> {
    let options = seen.options.as_ref()?;
    let filters = scene.resolved.guests.values().any(|guest| guest.site == *site && guest.firewall.is_some());
    match wanted.enable {
        Some(on) if on == options.enable => None,
        Some(false) => Some(false),
        Some(true) => {
            let open = options.policy_in == Some(FirewallAction::Accept);
            let cut = cut_off(&wanted.management, seen);
            if open || (cut.is_empty() && !wanted.management.is_empty()) {
                return Some(true);
            }
            guard(site, &cut, report);
            None
        }
        None => {
            if filters && !options.enable {
                let message =
                    format!("the datacenter's firewall of site {site} is off, so no rule of its guests is in force");
                let hint = "switch it on with `firewall: { enable: true, management: [...] }` in the site's file";
                report.general(NoteLevel::Warning, message, Some(hint.to_owned()));
            }
            None
        }
    }
}

fn guard(site: &SiteName, cut: &[Cidr], report: &mut Reporter) {
    let (message, hint) = if cut.is_empty() {
        let message = format!(
            "switching on the datacenter's firewall of site {site} would cut off its nodes: they drop what no rule lets in, and \
             the site names no `management` network"
        );
        (
            message,
            "name the networks of administrators and of RapidLaunch: `firewall: { management: [...] }`".to_owned(),
        )
    } else {
        let nets: Vec<String> = cut.iter().map(ToString::to_string).collect();
        let message = format!(
            "switching on the datacenter's firewall of site {site} would cut off its API (port 8006) and SSH for {}: Proxmox \
             lets the IP set `{MANAGEMENT}` in, and they are not in it",
            nets.join(", ")
        );
        (message, format!("add them to the IP set `{MANAGEMENT}` of the datacenter, then plan again"))
    };
    report.general(NoteLevel::Blocked, message, Some(hint));
}

/// Management networks that the IP set of that name does not cover.
fn cut_off(management: &[Cidr], seen: &ObservedSiteFirewall) -> Vec<Cidr> {
    let name: Option<IpSetName> = MANAGEMENT.parse().ok();
    let set = name.and_then(|name| seen.sets.as_ref()?.get(&name)).and_then(|set| set.members.as_ref());
    let net = |text: &String| text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok();
    let members: Vec<IpNet> = set.into_iter().flatten().filter_map(net).collect();
    management.iter().filter(|wanted| !members.iter().any(|have| have.contains(&wanted.net()))).copied().collect()
}
