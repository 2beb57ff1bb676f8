//! Firewall objects of a site that several guests share.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Part, PartLine, PartSign};
use crate::SiteName;
use crate::firewall::edit::same_rule;
use crate::firewall::{
    AliasName, AliasText, DatacenterChoice, FirewallRule, GroupName, GroupText, IpSetName, RuleText,
};

/// What is done to the shared firewall objects of one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteFirewall {
    /// The site.
    pub site: SiteName,
    /// What the comments of our objects begin with: whose they are. An object with another comment is never touched.
    pub owner: String,
    /// Aliases that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<AliasChange>,
    /// IP sets that change.
    pub sets: Vec<SetChange>,
    /// Security groups that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupChange>,
    /// Options of the datacenter that change.
    #[serde(default, skip_serializing_if = "DatacenterChoice::is_empty")]
    pub options: DatacenterChoice,
    /// The datacenter's switch, where it changes.
    #[serde(default)]
    pub enable: Option<bool>,
}

/// One IP set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetChange {
    /// Its name.
    pub name: IpSetName,
    /// What it held when it was seen, as Proxmox lists it; `None` when it was not there.
    pub before: Option<BTreeSet<String>>,
    /// What it shall hold; `None` when it shall go.
    pub after: Option<BTreeSet<String>>,
    /// Its whole comment where that is more than the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One alias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AliasChange {
    /// Its name.
    pub name: AliasName,
    /// What it was when it was seen.
    pub before: Option<AliasText>,
    /// What it shall be; `None` when it shall go.
    pub after: Option<AliasText>,
}

/// One security group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupChange {
    /// Its name.
    pub name: GroupName,
    /// What it was when it was seen.
    pub before: Option<GroupText>,
    /// What it shall be; `None` when it shall go.
    pub after: Option<GroupText>,
}

impl Part for SiteFirewall {
    fn subject(&self) -> String {
        format!("firewall of site {}", self.site)
    }

    fn site(&self) -> Option<&SiteName> {
        Some(&self.site)
    }

    fn lock(&self) -> String {
        format!("firewall:{}", self.site)
    }

    fn lines(&self) -> Vec<PartLine> {
        let mut lines: Vec<PartLine> = self.aliases.iter().map(AliasChange::line).collect();
        lines.extend(self.sets.iter().map(SetChange::line));
        lines.extend(self.groups.iter().flat_map(GroupChange::lines));
        lines.extend(choices(&self.options));
        lines.extend(self.enable.map(|on| {
            let text = format!("the datacenter's firewall is switched {}", if on { "on" } else { "off" });
            PartLine { sign: PartSign::Change, text }
        }));
        lines
    }
}

impl SetChange {
    fn line(&self) -> PartLine {
        let sign = PartSign::between(self.before.as_ref(), self.after.as_ref());
        let (before, after) = (members(self.before.as_ref()), members(self.after.as_ref()));
        let text = match sign {
            PartSign::Add => format!("IP set {}: {after}", self.name),
            PartSign::Change if before == after => {
                format!("IP set {}: its comment becomes `{}`", self.name, self.comment.as_deref().unwrap_or_default())
            }
            PartSign::Change => format!("IP set {}: {before} -> {after}", self.name),
            PartSign::Remove => format!("IP set {}", self.name),
        };
        PartLine { sign, text }
    }
}

impl AliasChange {
    fn line(&self) -> PartLine {
        let sign = PartSign::between(self.before.as_ref(), self.after.as_ref());
        let cidr = |alias: &Option<AliasText>| alias.as_ref().map(|alias| alias.cidr.clone()).unwrap_or_default();
        let (before, after) = (cidr(&self.before), cidr(&self.after));
        let text = match (sign, &self.after) {
            (PartSign::Add, _) => format!("alias {}: {after}", self.name),
            (PartSign::Change, Some(alias)) if before == after => {
                format!("alias {}: its comment becomes `{}`", self.name, alias.comment)
            }
            (PartSign::Change, _) => format!("alias {}: {before} -> {after}", self.name),
            (PartSign::Remove, _) => format!("alias {}: {before}", self.name),
        };
        PartLine { sign, text }
    }
}

impl GroupChange {
    /// The group, and each rule that comes, goes or moves.
    fn lines(&self) -> Vec<PartLine> {
        let sign = PartSign::between(self.before.as_ref(), self.after.as_ref());
        let rules = |group: &Option<GroupText>| group.as_ref().map(|group| group.rules.clone()).unwrap_or_default();
        let (before, after) = (rules(&self.before), rules(&self.after));
        let count =
            |rules: &[RuleText]| if rules.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", rules.len()) };
        let counts = match sign {
            PartSign::Add => count(&after),
            PartSign::Change => format!("{} -> {}", count(&before), count(&after)),
            PartSign::Remove => count(&before),
        };
        let mut lines = vec![PartLine { sign, text: format!("security group {}: {counts}", self.name) }];
        let one = |sign, place: usize, rule: &RuleText| {
            let off = if rule.enable { "" } else { " (off)" };
            let text = format!("security group {}: rule {}: {}{off}", self.name, place + 1, FirewallRule::read(rule));
            PartLine { sign, text }
        };
        let among = |rule: &RuleText, list: &[RuleText]| list.iter().position(|other| same_rule(rule, other));
        for (place, rule) in before.iter().enumerate().filter(|(_, rule)| among(rule, &after).is_none()) {
            lines.push(one(PartSign::Remove, place, rule));
        }
        for (place, rule) in after.iter().enumerate() {
            match among(rule, &before) {
                None => lines.push(one(PartSign::Add, place, rule)),
                Some(other) if other != place => lines.push(one(PartSign::Change, place, rule)),
                Some(_) => {}
            }
        }
        lines
    }
}

/// One line an option of the datacenter.
fn choices(options: &DatacenterChoice) -> Vec<PartLine> {
    let ebtables = options.ebtables.map(|on| if on { "on" } else { "off" }.to_owned());
    let all = [
        ("policy for packets to nodes", options.policy_in.map(|action| action.to_string())),
        ("policy for packets from nodes", options.policy_out.map(|action| action.to_string())),
        ("filter of bridge frames", ebtables),
        ("limit of the log", options.log_ratelimit.clone()),
    ];
    let line = |(what, value): (&str, Option<String>)| {
        Some(PartLine { sign: PartSign::Change, text: format!("the datacenter's {what} becomes {}", value?) })
    };
    all.into_iter().filter_map(line).collect()
}

fn members(set: Option<&BTreeSet<String>>) -> String {
    let names: Vec<&str> = set.into_iter().flatten().map(String::as_str).collect();
    if names.is_empty() { "(empty)".to_owned() } else { names.join(", ") }
}
