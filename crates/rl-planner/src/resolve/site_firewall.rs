//! What the file of a site declares of its firewall, as Proxmox has it.

use std::collections::BTreeMap;

use rl_model::firewall::{
    AliasText, EXCEPT, GroupName, GroupText, RuleId, RuleText, SetText, WantedObjects, listed, owned_comment,
    site_owner,
};
use rl_model::{ControllerId, GroupSpec, SetSpec, Site, SiteFirewallSpec, StackName};

use super::error::Findings;
use super::firewall::{Keys, Members, Scene, expand};

/// Whether a site's file wants anything for all of its stacks, so that each of them looks after it.
pub(super) fn wants(spec: &SiteFirewallSpec) -> bool {
    !spec.options.is_empty() || spec.aliases.is_some() || spec.ipsets.is_some() || spec.groups.is_some()
}

/// The objects and options that a site's file declares.
pub(super) fn objects(site: &Site, controller: &ControllerId, findings: &mut Findings<'_>) -> WantedObjects {
    let Some(spec) = &site.firewall else { return WantedObjects::default() };
    let owner = site_owner(controller, &site.name);
    let comment = |text: &Option<String>| owned_comment(&owner, text.as_deref());
    let aliases = spec.aliases.as_ref().map(|all| {
        let one = |(name, alias): (&rl_model::firewall::AliasName, &rl_model::AliasSpec)| {
            (name.clone(), AliasText { cidr: listed(alias.net), comment: comment(&alias.comment) })
        };
        all.iter().map(one).collect()
    });
    let sets = spec.ipsets.as_ref().map(|all| {
        let one = |set: &SetSpec| SetText { members: members(set), comment: comment(&set.comment) };
        all.iter().map(|(name, set)| (name.clone(), one(set))).collect()
    });
    let groups = spec.groups.as_ref().map(|all| {
        let mut groups = BTreeMap::new();
        for (name, group) in all {
            let rules = rules(site, name, group, findings);
            groups.insert(name.clone(), GroupText { rules, comment: comment(&group.comment) });
        }
        groups
    });
    WantedObjects { aliases, sets, groups, options: spec.options.clone() }
}

fn members(set: &SetSpec) -> std::collections::BTreeSet<String> {
    let except = set.except.iter().map(|net| format!("{EXCEPT}{}", listed(*net)));
    set.entries.iter().map(|net| listed(*net)).chain(except).collect()
}

fn rules(site: &Site, name: &GroupName, group: &GroupSpec, findings: &mut Findings<'_>) -> Vec<RuleText> {
    // A group belongs to no stack: its rules name no containers, so that no set of a stack is ever named here.
    let nobody: StackName = "none".parse().expect("a word in lower case is a stack name");
    let scene = Scene { stack: &nobody, site, members: &Members::default() };
    let mut keys = Keys::default();
    let mut out = Vec::new();
    for (rule, place) in group.rules.iter().zip(0..) {
        let path = format!("sites.{}.firewall.groups.{name}.rules.{place}", site.name);
        let ends = scene.ends(rule, &path, &mut BTreeMap::new(), findings);
        for mut text in expand(None, rule, &ends) {
            let key = keys.next(&text);
            text.comment = Some(RuleId::of_group(name, &key).comment(rule.comment.as_deref()));
            out.push(text);
        }
    }
    out
}
