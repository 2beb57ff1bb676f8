//! Objects of the datacenter that a guest's rules name, compared with what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::RuleList;
use super::{FirewallRule, IpSetName, ObservedSiteFirewall, ResolvedFirewall, RuleId, RuleText, WantedSiteFirewall};

/// One object that a rule names: what it shall be and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedObject {
    /// As in `IP set rl-shop-web`.
    pub what: String,
    /// What it shall hold.
    pub expected: String,
    /// What it holds.
    pub found: String,
}

/// The objects that the rules of a guest name, through security groups too, as far as they were read.
pub fn named_objects(
    firewall: &ResolvedFirewall,
    wanted: &WantedSiteFirewall,
    seen: &ObservedSiteFirewall,
) -> Vec<NamedObject> {
    let mut out = Vec::new();
    let mut rules: Vec<&RuleText> = firewall.rules.iter().collect();
    for (name, group) in wanted.objects.groups.iter().flatten() {
        if !firewall.rules.iter().any(|rule| rule.kind == "group" && rule.action == name.as_str()) {
            continue;
        }
        rules.extend(&group.rules);
        let Some(groups) = &seen.groups else { continue };
        let list = RuleList::new(RuleId::group_prefix(name.as_str()));
        let found = match groups.get(name) {
            None => "missing".to_owned(),
            Some(have) if have.comment != group.comment => foreign(&have.comment),
            Some(have) => shown(&list.ours(have.rules.as_deref().unwrap_or_default())),
        };
        let expected = shown(&group.rules.iter().collect::<Vec<_>>());
        out.push(NamedObject { what: format!("security group {name}"), expected, found });
    }
    let ends: BTreeSet<&str> =
        rules.iter().flat_map(|rule| [&rule.source, &rule.dest]).filter_map(|end| end.as_deref()).collect();
    let sets = wanted.objects.sets.iter().flatten().map(|(name, set)| (name, &set.members));
    for (name, members) in sets.chain(&wanted.sets).filter(|(name, _)| ends.contains(&*format!("+dc/{name}"))) {
        out.extend(set(name, members, seen));
    }
    for (name, alias) in
        wanted.objects.aliases.iter().flatten().filter(|(name, _)| ends.contains(&*format!("dc/{name}")))
    {
        let Some(aliases) = &seen.aliases else { continue };
        let found = match aliases.get(name) {
            None => "missing".to_owned(),
            Some(have) if have.comment != alias.comment => foreign(&have.comment),
            Some(have) => have.cidr.clone(),
        };
        out.push(NamedObject { what: format!("alias {name}"), expected: alias.cidr.clone(), found });
    }
    out
}

fn set(name: &IpSetName, members: &BTreeSet<String>, seen: &ObservedSiteFirewall) -> Option<NamedObject> {
    let list = |members: &BTreeSet<String>| members.iter().cloned().collect::<Vec<_>>().join(", ");
    let sets: &BTreeMap<_, _> = seen.sets.as_ref()?;
    let found = match sets.get(name) {
        None => "missing".to_owned(),
        Some(have) => have.members.as_ref().map_or_else(|| foreign(&have.comment), list),
    };
    Some(NamedObject { what: format!("IP set {name}"), expected: list(members), found })
}

fn foreign(comment: &str) -> String {
    format!("not ours (its comment is `{comment}`)")
}

/// Rules in the words of Proxmox's files, and whether they are off.
fn shown(rules: &[&RuleText]) -> String {
    let one = |rule: &&RuleText| format!("{}{}", FirewallRule::read(rule), if rule.enable { "" } else { " (off)" });
    if rules.is_empty() { "no rule".to_owned() } else { rules.iter().map(one).collect::<Vec<_>>().join("; ") }
}
