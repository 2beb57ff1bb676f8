//! What a site's file declares: aliases, IP sets, security groups.
//!
//! An object is known by its comment, which begins with whose it is. One of somebody else's with a wanted name is never
//! changed. What comes and changes comes before the guests; what goes, goes after them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::IpAddr;

use ipnet::IpNet;
use rl_model::firewall::edit::{RuleList, same_rule};
use rl_model::firewall::{
    AliasText, EXCEPT, GroupText, ObservedGroup, ObservedSet, ObservedSiteFirewall, RuleId, RuleText, SetText,
    WantedObjects, is_owned_by, site_owner,
};
use rl_model::{AliasChange, ControllerId, GroupChange, NoteLevel, SetChange, SiteFirewall, SiteName};

use crate::plan::report::Reporter;

/// What changes before the guests and after them.
pub(super) struct Changes {
    pub(super) first: SiteFirewall,
    pub(super) last: SiteFirewall,
}

/// Compares what the file declares with what is there.
pub(super) fn changes(
    site: &SiteName,
    controller: &ControllerId,
    wanted: &WantedObjects,
    seen: &ObservedSiteFirewall,
    report: &mut Reporter,
) -> Changes {
    let owner = site_owner(controller, site);
    let mut scene = Scene { site, owner: &owner, report };
    let mut changes = Changes { first: nothing(site, &owner), last: nothing(site, &owner) };
    if let Some(wanted) = &wanted.aliases
        && let Some(seen) = scene.read(seen.aliases.as_ref(), "aliases")
    {
        scene.aliases(wanted, seen, &mut changes);
    }
    if let Some(wanted) = &wanted.sets
        && let Some(seen) = scene.read(seen.sets.as_ref(), "IP sets")
    {
        scene.sets(wanted, seen, &mut changes);
    }
    if let Some(wanted) = &wanted.groups
        && let Some(seen) = scene.read(seen.groups.as_ref(), "security groups")
    {
        scene.groups(wanted, seen, &mut changes);
    }
    changes
}

/// A part that changes nothing yet.
pub(super) fn nothing(site: &SiteName, owner: &str) -> SiteFirewall {
    SiteFirewall {
        site: site.clone(),
        owner: owner.to_owned(),
        aliases: Vec::new(),
        sets: Vec::new(),
        groups: Vec::new(),
        options: Default::default(),
        enable: None,
    }
}

/// Whether a part changes nothing.
pub(super) fn is_nothing(part: &SiteFirewall) -> bool {
    *part == nothing(&part.site, &part.owner)
}

struct Scene<'a> {
    site: &'a SiteName,
    owner: &'a str,
    report: &'a mut Reporter,
}

impl Scene<'_> {
    fn read<'s, T>(&mut self, seen: Option<&'s T>, what: &str) -> Option<&'s T> {
        if seen.is_none() {
            let message = format!("the {what} of site {} could not be read, so they are left as they are", self.site);
            self.report.general(NoteLevel::Blocked, message, Some("plan again when the site answers".to_owned()));
        }
        seen
    }

    /// Whether an object of this name is ours or not there; tells of one that is somebody else's.
    fn ours(&mut self, what: &str, name: &dyn Display, comment: Option<&str>) -> bool {
        let Some(comment) = comment.filter(|comment| !is_owned_by(self.owner, comment)) else { return true };
        let whose = if comment.is_empty() { "bears no comment".to_owned() } else { format!("says `{comment}`") };
        let site = self.site;
        let message = format!("site {site} has {what} {name} that is not ours (it {whose}); it is left alone");
        let hint = "give ours another name in the site's file, or remove that one when nobody needs it";
        self.report.general(NoteLevel::Blocked, message, Some(hint.to_owned()));
        false
    }

    fn aliases(
        &mut self,
        wanted: &BTreeMap<rl_model::firewall::AliasName, AliasText>,
        seen: &BTreeMap<rl_model::firewall::AliasName, AliasText>,
        changes: &mut Changes,
    ) {
        for (name, want) in wanted {
            let have = seen.get(name);
            if !self.ours("an alias", name, have.map(|have| have.comment.as_str()))
                || have.is_some_and(|have| same(want, have))
            {
                continue;
            }
            let (before, after) = (have.cloned(), Some(want.clone()));
            changes.first.aliases.push(AliasChange { name: name.clone(), before, after });
        }
        let gone =
            seen.iter().filter(|(name, have)| is_owned_by(self.owner, &have.comment) && !wanted.contains_key(*name));
        let gone = gone.map(|(name, have)| AliasChange { name: name.clone(), before: Some(have.clone()), after: None });
        changes.last.aliases.extend(gone);
    }

    fn sets(
        &mut self,
        wanted: &BTreeMap<rl_model::firewall::IpSetName, SetText>,
        seen: &BTreeMap<rl_model::firewall::IpSetName, ObservedSet>,
        changes: &mut Changes,
    ) {
        for (name, want) in wanted {
            let have = seen.get(name);
            if !self.ours("an IP set", name, have.map(|have| have.comment.as_str())) {
                continue;
            }
            let before = have.map(|have| have.members.clone().unwrap_or_default());
            let both = union(before.as_ref(), &want.members);
            let comment = Some(want.comment.clone()).filter(|comment| comment != self.owner);
            let renamed = have.is_some_and(|have| have.comment != want.comment);
            let change = |before, after| SetChange { name: name.clone(), before, after, comment: comment.clone() };
            if before.as_ref() != Some(&both) || renamed {
                changes.first.sets.push(change(before, Some(both.clone())));
            }
            if both != want.members {
                changes.last.sets.push(change(Some(both), Some(want.members.clone())));
            }
        }
        let gone =
            seen.iter().filter(|(name, have)| is_owned_by(self.owner, &have.comment) && !wanted.contains_key(*name));
        changes.last.sets.extend(gone.map(|(name, have)| SetChange {
            name: name.clone(),
            before: Some(have.members.clone().unwrap_or_default()),
            after: None,
            comment: None,
        }));
    }

    fn groups(
        &mut self,
        wanted: &BTreeMap<rl_model::firewall::GroupName, GroupText>,
        seen: &BTreeMap<rl_model::firewall::GroupName, ObservedGroup>,
        changes: &mut Changes,
    ) {
        for (name, want) in wanted {
            let have = seen.get(name);
            if !self.ours("a security group", name, have.map(|have| have.comment.as_str())) {
                continue;
            }
            let before = have.map(text);
            if before.as_ref().is_some_and(|have| same_group(name, want, have)) {
                continue;
            }
            self.foreign_rules(name, before.as_ref());
            changes.first.groups.push(GroupChange { name: name.clone(), before, after: Some(want.clone()) });
        }
        let gone =
            seen.iter().filter(|(name, have)| is_owned_by(self.owner, &have.comment) && !wanted.contains_key(*name));
        for (name, have) in gone {
            let others = others(name, have.rules.as_deref().unwrap_or_default());
            if others > 0 {
                let message = format!(
                    "security group {name} of site {} holds {others} rules that are not ours, so it cannot go",
                    self.site
                );
                let hint = "remove those rules when nobody needs them, or declare the group again";
                self.report.general(NoteLevel::Blocked, message, Some(hint.to_owned()));
                continue;
            }
            changes.last.groups.push(GroupChange { name: name.clone(), before: Some(text(have)), after: None });
        }
    }

    /// Tells of rules of others in a group of ours: they stay where they are.
    fn foreign_rules(&mut self, name: &rl_model::firewall::GroupName, have: Option<&GroupText>) {
        let others = have.map_or(0, |have| others(name, &have.rules));
        if others > 0 {
            let message = format!("security group {name} of site {} holds {others} rules that are not ours", self.site);
            let hint = "they are left where they are; remove them, or put them into the site's file";
            self.report.general(NoteLevel::Warning, message, Some(hint.to_owned()));
        }
    }
}

fn text(have: &ObservedGroup) -> GroupText {
    GroupText { rules: have.rules.clone().unwrap_or_default(), comment: have.comment.clone() }
}

fn list(name: &rl_model::firewall::GroupName) -> RuleList {
    RuleList::new(RuleId::group_prefix(name.as_str()))
}

fn others(name: &rl_model::firewall::GroupName, rules: &[RuleText]) -> usize {
    rules.iter().filter(|rule| list(name).id(rule).is_none()).count()
}

/// Whether the rules that are ours are the wanted ones in their order.
fn same_group(name: &rl_model::firewall::GroupName, want: &GroupText, have: &GroupText) -> bool {
    let ours = list(name).ours(&have.rules);
    want.comment == have.comment
        && ours.len() == want.rules.len()
        && ours.iter().zip(&want.rules).all(|(have, want)| same_rule(have, want))
}

fn same(want: &AliasText, have: &AliasText) -> bool {
    let net = |text: &str| text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).ok();
    want.comment == have.comment && net(&want.cidr) == net(&have.cidr)
}

/// The members that were there and those that shall be. One that changes from in to out keeps what it was until the end:
/// each address then meets the set as it was or as it shall be, since the longest prefix decides.
fn union(before: Option<&BTreeSet<String>>, wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let mut both = before.cloned().unwrap_or_default();
    for member in wanted {
        let other = member.strip_prefix(EXCEPT).map_or_else(|| format!("{EXCEPT}{member}"), str::to_owned);
        if !both.contains(&other) {
            both.insert(member.clone());
        }
    }
    both
}
