//! What a site's file declares as parts of a plan, and the guard before the nodes.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_model::firewall::*;
use rl_model::{Cidr, ControllerId, Part, PartSign, SiteFirewall, SiteName};

use super::guard::{cuts, told};
use super::objects::{Changes, changes, is_nothing, nothing};
use crate::plan::report::Reporter;

fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn site() -> SiteName {
    p("fra1")
}

fn controller() -> ControllerId {
    p("0123456789abcdefghjk")
}

fn owner() -> String {
    site_owner(&controller(), &site())
}

fn members(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn rule(group: &str, key: &str, source: &str) -> RuleText {
    RuleText {
        kind: "in".into(),
        action: "ACCEPT".into(),
        enable: true,
        source: Some(source.into()),
        comment: Some(RuleId::of_group(&p(group), key).comment(None)),
        ..RuleText::default()
    }
}

fn wanted() -> WantedObjects {
    let comment = owner();
    WantedObjects {
        aliases: Some([(p("monitor"), AliasText { cidr: "192.0.2.9".into(), comment: comment.clone() })].into()),
        sets: Some(
            [(p("office"), SetText { members: members(&["10.0.0.0/8", "!10.1.0.0/16"]), comment: comment.clone() })]
                .into(),
        ),
        groups: Some([(p("web"), GroupText { rules: vec![rule("web", "a", "+dc/office")], comment })].into()),
        options: DatacenterChoice::default(),
    }
}

/// A site on which nothing is.
fn empty() -> ObservedSiteFirewall {
    ObservedSiteFirewall {
        options: Some(DatacenterOptions::default()),
        sets: Some(BTreeMap::new()),
        aliases: Some(BTreeMap::new()),
        groups: Some(BTreeMap::new()),
        ..ObservedSiteFirewall::default()
    }
}

/// The site as it is after a part was carried out.
fn after(mut seen: ObservedSiteFirewall, part: &SiteFirewall) -> ObservedSiteFirewall {
    for change in &part.sets {
        let sets = seen.sets.as_mut().unwrap();
        match &change.after {
            Some(members) => {
                let comment = change.comment.clone().unwrap_or_else(|| part.owner.clone());
                drop(sets.insert(change.name.clone(), ObservedSet { comment, members: Some(members.clone()) }));
            }
            None => drop(sets.remove(&change.name)),
        }
    }
    for change in &part.aliases {
        let aliases = seen.aliases.as_mut().unwrap();
        match &change.after {
            Some(alias) => drop(aliases.insert(change.name.clone(), alias.clone())),
            None => drop(aliases.remove(&change.name)),
        }
    }
    for change in &part.groups {
        let groups = seen.groups.as_mut().unwrap();
        match &change.after {
            Some(group) => {
                let have = ObservedGroup { comment: group.comment.clone(), rules: Some(group.rules.clone()) };
                drop(groups.insert(change.name.clone(), have));
            }
            None => drop(groups.remove(&change.name)),
        }
    }
    seen
}

fn planned(wanted: &WantedObjects, seen: &ObservedSiteFirewall) -> (Changes, Vec<String>) {
    let mut report = Reporter::default();
    let changes = changes(&site(), &controller(), wanted, seen, &mut report);
    (changes, report.finish().notes.into_iter().map(|note| format!("{:?} {}", note.level, note.message)).collect())
}

fn lines(part: &SiteFirewall) -> Vec<String> {
    let sign = |sign| match sign {
        PartSign::Add => '+',
        PartSign::Change => '~',
        PartSign::Remove => '-',
    };
    part.lines().into_iter().map(|line| format!("{} {}", sign(line.sign), line.text)).collect()
}

#[test]
fn what_is_declared_comes_and_then_nothing_is_left() {
    let (come, notes) = planned(&wanted(), &empty());
    assert!(notes.is_empty() && is_nothing(&come.last), "{notes:?}");
    assert_eq!(
        lines(&come.first),
        [
            "+ alias monitor: 192.0.2.9",
            "+ IP set office: !10.1.0.0/16, 10.0.0.0/8",
            "+ security group web: 1 rule",
            "+ security group web: rule 1: IN ACCEPT -source +dc/office",
        ]
    );
    let (left, notes) = planned(&wanted(), &after(empty(), &come.first));
    assert!(is_nothing(&left.first) && is_nothing(&left.last) && notes.is_empty(), "{notes:?}");
}

#[test]
fn what_changes_comes_before_the_guests_and_what_goes_after_them() {
    let seen = after(empty(), &planned(&wanted(), &empty()).0.first);
    let mut other = wanted();
    other.aliases = Some([(p("gate"), AliasText { cidr: "192.0.2.1".into(), comment: owner() })].into());
    other.sets.as_mut().unwrap().get_mut(&p("office")).unwrap().members = members(&["10.1.0.0/16", "192.0.2.7"]);
    other.groups = Some(BTreeMap::new());
    let (changed, _) = planned(&other, &seen);
    assert_eq!(
        lines(&changed.first),
        ["+ alias gate: 192.0.2.1", "~ IP set office: !10.1.0.0/16, 10.0.0.0/8 -> !10.1.0.0/16, 10.0.0.0/8, 192.0.2.7"]
    );
    assert_eq!(
        lines(&changed.last),
        [
            "- alias monitor: 192.0.2.9",
            "~ IP set office: !10.1.0.0/16, 10.0.0.0/8, 192.0.2.7 -> 10.1.0.0/16, 192.0.2.7",
            "- security group web: 1 rule",
            "- security group web: rule 1: IN ACCEPT -source +dc/office",
        ]
    );
    let seen = after(after(seen, &changed.first), &changed.last);
    let (left, _) = planned(&other, &seen);
    assert!(is_nothing(&left.first) && is_nothing(&left.last));
}

#[test]
fn objects_of_others_are_left_alone_and_told() {
    let mut seen = empty();
    seen.aliases = Some([(p("monitor"), AliasText { cidr: "10.9.9.9".into(), comment: "the admins'".into() })].into());
    seen.sets = Some([(p("office"), ObservedSet::default())].into());
    let theirs = ObservedGroup { comment: "rl:site/another00000/fra1".into(), rules: None };
    seen.groups = Some([(p("web"), theirs)].into());
    let (changes, notes) = planned(&wanted(), &seen);
    assert!(is_nothing(&changes.first) && is_nothing(&changes.last));
    assert_eq!(
        notes,
        [
            "Blocked site fra1 has an alias monitor that is not ours (it says `the admins'`); it is left alone",
            "Blocked site fra1 has an IP set office that is not ours (it bears no comment); it is left alone",
            "Blocked site fra1 has a security group web that is not ours (it says `rl:site/another00000/fra1`); it is left alone",
        ]
    );
    // A kind that the file does not speak of is not looked at.
    let (changes, notes) = planned(&WantedObjects::default(), &ObservedSiteFirewall::default());
    assert!(is_nothing(&changes.first) && is_nothing(&changes.last) && notes.is_empty());
}

#[test]
fn rules_of_others_in_a_group_stay_and_keep_it_from_going() {
    let mut seen = after(empty(), &planned(&wanted(), &empty()).0.first);
    let theirs = RuleText { comment: Some("by hand".into()), ..rule("web", "x", "192.0.2.1") };
    seen.groups.as_mut().unwrap().get_mut(&p("web")).unwrap().rules.as_mut().unwrap().insert(0, theirs);
    let (left, _) = planned(&wanted(), &seen);
    assert!(is_nothing(&left.first), "{:?}", lines(&left.first));
    let (kept, notes) = planned(&WantedObjects { groups: Some(BTreeMap::new()), ..wanted() }, &seen);
    assert!(is_nothing(&kept.last));
    assert_eq!(notes, ["Blocked security group web of site fra1 holds 1 rules that are not ours, so it cannot go"]);
}

/// A rule of a node or of the datacenter.
fn host(action: &str, source: &str, port: &str, iface: Option<&str>) -> RuleText {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    RuleText {
        kind: if action == "GROUP" { "group" } else { "in" }.into(),
        action: if action == "GROUP" { source.into() } else { action.into() },
        enable: true,
        source: if action == "GROUP" { None } else { some(source) },
        proto: some(port).map(|_| "tcp".into()),
        dport: some(port),
        iface: iface.map(str::to_owned),
        ..RuleText::default()
    }
}

/// Who is cut off when the firewall is switched on.
fn switched_on(seen: &ObservedSiteFirewall, rules: Vec<RuleText>, management: &[&str], own: &str) -> Vec<String> {
    let on = SiteFirewall { enable: Some(true), ..nothing(&site(), &owner()) };
    cut_by(&on, seen, rules, management, own)
}

fn cut_by(
    change: &SiteFirewall,
    seen: &ObservedSiteFirewall,
    rules: Vec<RuleText>,
    management: &[&str],
    own: &str,
) -> Vec<String> {
    let entrance = Entrance { rules, nodes: [(p("pve1"), Vec::new())].into(), own: [p::<IpAddr>(own)].into() };
    let nets: Vec<Cidr> = management.iter().map(|net| p(net)).collect();
    told(&site(), &cuts(seen, &entrance, &nets, &[change]))
}

fn with_management(list: &[&str]) -> ObservedSiteFirewall {
    let set = ObservedSet { comment: String::new(), members: Some(members(list)) };
    ObservedSiteFirewall { sets: Some([(p("management"), set)].into()), ..empty() }
}

#[test]
fn switching_on_needs_a_way_in_for_everybody_who_is_named() {
    let cut = switched_on(&empty(), vec![], &["192.0.2.0/24"], "10.0.0.5");
    assert_eq!(
        cut,
        [
            "the firewall of site fra1 would cut RapidLaunch itself (10.0.0.5) off from port 8006 of pve1; nothing of it is changed",
            "the firewall of site fra1 would cut the management network 192.0.2.0/24 off from port 22, 8006 of pve1; nothing of it is changed",
        ]
    );
    assert!(
        switched_on(&with_management(&["192.0.2.0/24", "10.0.0.5"]), vec![], &["192.0.2.0/24"], "10.0.0.5").is_empty()
    );
    // Half of the network is not the network, and a part that is taken out of the set is not in it.
    assert_eq!(switched_on(&with_management(&["192.0.2.0/25"]), vec![], &["192.0.2.0/24"], "192.0.2.1").len(), 1);
    let holed = with_management(&["192.0.2.0/24", "!192.0.2.66"]);
    assert_eq!(switched_on(&holed, vec![], &["192.0.2.0/24"], "192.0.2.1").len(), 1);
    // On the node itself nothing is filtered.
    assert!(switched_on(&with_management(&["192.0.2.0/24"]), vec![], &["192.0.2.0/24"], "127.0.0.1").is_empty());
}

#[test]
fn rules_of_the_datacenter_let_in_and_refuse() {
    let ways = || vec![host("ACCEPT", "192.0.2.0/24", "8006", None), host("ACCEPT", "192.0.2.0/24", "22", None)];
    assert!(switched_on(&empty(), ways(), &["192.0.2.0/24"], "192.0.2.5").is_empty());
    let mut refused = ways();
    refused.insert(0, host("DROP", "192.0.2.128/25", "", None));
    assert_eq!(switched_on(&with_management(&["192.0.2.0/24"]), refused, &["192.0.2.0/24"], "192.0.2.5").len(), 1);
    // A rule for one interface counts only where it refuses.
    let bound: Vec<RuleText> =
        ways().into_iter().map(|rule| RuleText { iface: Some("vmbr0".into()), ..rule }).collect();
    assert_eq!(switched_on(&empty(), bound, &["192.0.2.0/24"], "192.0.2.5").len(), 2);
    let bound = vec![host("DROP", "", "22", Some("vmbr9"))];
    assert_eq!(switched_on(&with_management(&["192.0.2.0/24"]), bound, &["192.0.2.0/24"], "192.0.2.5").len(), 1);
}

#[test]
fn policies_groups_sets_and_aliases_of_the_plan_count() {
    let mut seen = with_management(&["192.0.2.0/24"]);
    seen.options = Some(DatacenterOptions {
        enable: true,
        policy_in: Some(FirewallAction::Accept),
        ..DatacenterOptions::default()
    });
    let drop_all = SiteFirewall {
        options: DatacenterChoice { policy_in: Some(FirewallAction::Drop), ..DatacenterChoice::default() },
        ..nothing(&site(), &owner())
    };
    assert!(cut_by(&drop_all, &seen, vec![], &["192.0.2.0/24"], "192.0.2.5").is_empty());
    assert_eq!(cut_by(&drop_all, &seen, vec![], &["192.0.2.0/24"], "10.0.0.5").len(), 1);
    // A group that the datacenter's rules call begins to refuse.
    let refusing = |source: &str| {
        let rules = vec![RuleText { action: "DROP".into(), ..rule("web", "a", source) }];
        let mut part = nothing(&site(), &owner());
        part.groups.push(rl_model::GroupChange {
            name: p("web"),
            before: None,
            after: Some(GroupText { rules, comment: owner() }),
        });
        part
    };
    let called = || vec![host("GROUP", "web", "", None)];
    assert_eq!(cut_by(&refusing("192.0.2.5"), &seen, called(), &["192.0.2.0/24"], "192.0.2.5").len(), 2);
    assert!(cut_by(&refusing("198.51.100.0/24"), &seen, called(), &["192.0.2.0/24"], "192.0.2.5").is_empty());
    assert!(cut_by(&refusing("192.0.2.5"), &seen, vec![], &["192.0.2.0/24"], "192.0.2.5").is_empty());
    // Who was cut off before is not the plan's fault.
    let shut = vec![host("DROP", "", "", None)];
    assert!(cut_by(&refusing("192.0.2.5"), &seen, shut, &["192.0.2.0/24"], "192.0.2.5").is_empty());
}
