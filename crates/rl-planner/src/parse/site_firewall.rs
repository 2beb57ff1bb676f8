//! Reads the firewall of a site: its switch, options, aliases, IP sets and security groups.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use rl_model::firewall::{AliasName, DatacenterChoice, FirewallAction, GroupName, IpSetName};
use rl_model::manifest::Verdict;
use rl_model::{
    AliasSpec, Cidr, GroupSpec, Network, NetworkName, ParseError, PropertyString, SetSpec, SiteFirewallSpec,
};

use super::fields::{Fields, Named, Shape};
use super::firewall::{OwnRule, RULES_MAX, comment, own_rule, verdict_of};
use super::peers::Names;
use super::report::{Report, Sp, suggest};
use super::tree::{Node, shown};
use super::values::{one_or_list, parsed, text};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const SITE_FIREWALL: Shape = Shape {
    name: "SiteFirewall",
    what: "`firewall` of a site",
    keys: &[
        "enable",
        "management",
        "policy_in",
        "policy_out",
        "ebtables",
        "log_ratelimit",
        "aliases",
        "ipsets",
        "groups",
    ],
};
pub(crate) const ALIAS: Shape = Shape { name: "FirewallAlias", what: "an alias", keys: &["address", "comment"] };
pub(crate) const IP_SET: Shape =
    Shape { name: "FirewallSet", what: "an IP set", keys: &["entries", "except", "comment"] };
pub(crate) const GROUP: Shape = Shape { name: "FirewallGroup", what: "a security group", keys: &["rules", "comment"] };
pub(crate) const GROUP_RULE: Shape = Shape {
    name: "GroupRule",
    what: "a rule of a security group",
    keys: &["allow", "reject", "drop", "from", "to", "log", "comment"],
};

/// Most objects of one kind: each IP set and group is read by a request of its own.
const OBJECTS_MAX: usize = 500;
/// Most entries of one IP set: Proxmox takes them one by one.
const ENTRIES_MAX: usize = 2_000;
/// Names that Proxmox gives a meaning of their own (`Firewall.pm`: IP sets of nodes, of all guests, of single NICs).
const RESERVED: [&str; 2] = ["management", "blacklist"];
/// Beginnings of names that are not for files: ours for groups of guests, Proxmox's for NICs.
const RESERVED_PREFIXES: [&str; 2] = ["rl-", "ipfilter-"];
/// Units of the limit of the log (`pve-api`: `log_ratelimit`, `rate`).
const RATE_UNITS: [&str; 4] = ["second", "minute", "hour", "day"];

/// The firewall of a site as written.
pub(crate) struct SiteFirewallDraft {
    enable: Option<bool>,
    /// Ranges, or names of networks of the site.
    management: Vec<Sp<NetDraft>>,
    options: DatacenterChoice,
    aliases: Option<BTreeMap<AliasName, AliasSpec>>,
    sets: Option<BTreeMap<IpSetName, SetDraft>>,
    groups: Option<BTreeMap<GroupName, GroupDraft>>,
}

/// A range, or the name of a network of the site.
type NetDraft = Result<Cidr, NetworkName>;

struct SetDraft {
    entries: Vec<Sp<NetDraft>>,
    except: Vec<Sp<NetDraft>>,
    comment: Option<String>,
}

struct GroupDraft {
    rules: Vec<OwnRule>,
    comment: Option<String>,
}

/// Reads `firewall:` of a site.
pub(crate) fn site_firewall(report: &mut Report<'_>, site: &Fields<'_>) -> Option<SiteFirewallDraft> {
    let node = site.get(report, "firewall")?;
    let owner = site.entry("firewall")?.key_place;
    let fields = Fields::open(report, node, owner, &site.path("firewall"), &SITE_FIREWALL)?;
    let enable = fields.boolean(report, "enable");
    let management = nets(report, &fields, "management");
    let options = DatacenterChoice {
        policy_in: policy(report, &fields, "policy_in"),
        policy_out: policy(report, &fields, "policy_out"),
        ebtables: fields.boolean(report, "ebtables"),
        log_ratelimit: fields.get(report, "log_ratelimit").and_then(|node| rate_limit(report, node)),
    };
    Some(SiteFirewallDraft {
        enable,
        management,
        options,
        aliases: objects(report, &fields, "aliases", "alias", alias),
        sets: objects(report, &fields, "ipsets", "IP set", ip_set),
        groups: objects(report, &fields, "groups", "security group", group),
    })
}

fn policy(report: &mut Report<'_>, fields: &Fields<'_>, key: &str) -> Option<FirewallAction> {
    let node = fields.get(report, key)?;
    Some(match verdict_of(report, node)? {
        Verdict::Allow => FirewallAction::Accept,
        Verdict::Reject => FirewallAction::Reject,
        Verdict::Drop => FirewallAction::Drop,
    })
}

/// Reads the limit of the log as Proxmox writes it.
fn rate_limit(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let written = text(report, node, "a limit of the log as text")?;
    let number = |text: &str| text.parse::<u32>().is_ok();
    let parsed = PropertyString::parse(written);
    let good = parsed.pairs().next().is_some()
        && parsed.pairs().all(|(key, value)| match key {
            "enable" => ["0", "1"].contains(&value),
            "burst" => number(value),
            "rate" => value.split_once('/').is_some_and(|(count, unit)| number(count) && RATE_UNITS.contains(&unit)),
            _ => false,
        });
    if !good {
        let message = format!("`{}` is no limit of the log", shown(written));
        let help = "write it like `enable=1,rate=1/second,burst=5`";
        report.error(codes::INVALID_VALUE, node.place, &message, "", help);
        return None;
    }
    Some(written.to_owned())
}

/// Reads a mapping of names to objects of one kind. `None` when the key is not there.
fn objects<K: FromStr<Err = ParseError> + Ord + std::fmt::Display, T>(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    key: &str,
    what: &str,
    read: fn(&mut Report<'_>, &Named<'_, K>) -> Option<T>,
) -> Option<BTreeMap<K, T>> {
    fields.entry(key)?;
    let mut out = BTreeMap::new();
    for entry in fields.named::<K>(report, key, &format!("`{key}`")) {
        if let Some((message, help)) = unfit(&entry.name.value.to_string(), what) {
            report.error(codes::INVALID_VALUE, entry.key_place, &message, "", &help);
        } else if let Some(object) = read(report, &entry) {
            out.insert(entry.name.value, object);
        }
    }
    if let (true, Some(entry)) = (out.len() > OBJECTS_MAX, fields.entry(key)) {
        let message = format!("`{key}` has {} entries", out.len());
        report.error(codes::TOO_MANY, entry.key_place, &message, &format!("at most {OBJECTS_MAX} are possible"), "");
    }
    Some(out)
}

/// Why a name cannot be used, and what to do.
fn unfit(name: &str, what: &str) -> Option<(String, String)> {
    let lower = name.to_ascii_lowercase();
    if lower != name {
        let message = format!("the name `{name}` of an object of the firewall has capital letters");
        return Some((message, format!("Proxmox reads such names in lower case: write `{lower}`")));
    }
    let reserved = RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    reserved.then(|| {
        let message = format!("`{name}` is a reserved name");
        (message, format!("give the {what} another name; `rl-` is for groups of guests, the others have a meaning of their own in Proxmox"))
    })
}

fn alias(report: &mut Report<'_>, entry: &Named<'_, AliasName>) -> Option<AliasSpec> {
    let fields = Fields::open(report, entry.value, entry.key_place, &entry.path, &ALIAS)?;
    let node = fields.require(report, "address", "address: 192.0.2.0/24")?;
    let net = whole(report, node)?;
    Some(AliasSpec { net, comment: note(report, &fields) })
}

fn ip_set(report: &mut Report<'_>, entry: &Named<'_, IpSetName>) -> Option<SetDraft> {
    let fields = Fields::open(report, entry.value, entry.key_place, &entry.path, &IP_SET)?;
    let entries = nets(report, &fields, "entries");
    let except = nets(report, &fields, "except");
    if entries.len() + except.len() > ENTRIES_MAX {
        let message = format!("the IP set `{}` has {} entries", entry.name.value, entries.len() + except.len());
        let label = format!("at most {ENTRIES_MAX} are possible");
        report.error(codes::TOO_MANY, entry.key_place, &message, &label, "join neighbouring addresses to networks");
    }
    for all in entries.iter().chain(&except).filter(|sp| sp.value.as_ref().is_ok_and(|net| net.net().prefix_len() == 0))
    {
        let help = "write the two halves of it, as in `0.0.0.0/1` and `128.0.0.0/1`";
        let message = "Proxmox takes no range of every address into an IP set";
        report.findings.push(Diagnostic::error(codes::INVALID_VALUE, Some(&all.at), message).help(help));
    }
    Some(SetDraft { entries, except, comment: note(report, &fields) })
}

fn group(report: &mut Report<'_>, entry: &Named<'_, GroupName>) -> Option<GroupDraft> {
    let fields = Fields::open(report, entry.value, entry.key_place, &entry.path, &GROUP)?;
    let rules = fields.list(report, "rules", |report, node| own_rule(report, node, &GROUP_RULE)).unwrap_or_default();
    if rules.len() > RULES_MAX {
        let message = format!("the security group `{}` has {} rules", entry.name.value, rules.len());
        let label = format!("at most {RULES_MAX} are possible");
        report.error(codes::TOO_MANY, entry.key_place, &message, &label, "name several ports or ends in one rule");
    }
    Some(GroupDraft { rules, comment: note(report, &fields) })
}

fn note(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<String> {
    fields.get(report, "comment").and_then(|node| comment(report, node))
}

/// Reads one or more addresses, ranges and names of networks.
fn nets(report: &mut Report<'_>, fields: &Fields<'_>, key: &str) -> Vec<Sp<NetDraft>> {
    let Some(node) = fields.get(report, key) else { return Vec::new() };
    if matches!(&node.kind, super::tree::Kind::List(items) if items.is_empty()) {
        return Vec::new();
    }
    one_or_list(report, node, |report, item| {
        let written = text(report, item, "a network of the site or an address range as text")?;
        let value = match written.contains(['/', ':', '.']) {
            true => Ok(whole(report, item)?),
            false => Err(parsed::<NetworkName>(report, item)?.value),
        };
        Some(Sp { value, at: report.at(item.place) })
    })
}

/// Reads a network, or an address, which has the full prefix.
fn whole(report: &mut Report<'_>, node: &Node) -> Option<Cidr> {
    let written = text(report, node, "an address or a network as text")?;
    if let Ok(address) = written.parse::<std::net::IpAddr>() {
        return Some(Cidr::from(address));
    }
    parsed::<Cidr>(report, node).map(|sp| sp.value)
}

impl SiteFirewallDraft {
    /// Looks names up; what is not there is reported.
    pub(crate) fn link(self, report: &mut Report<'_>, networks: &BTreeMap<NetworkName, Network>) -> SiteFirewallSpec {
        let management = linked(report, self.management, networks);
        let link_set = |report: &mut Report<'_>, draft: SetDraft| {
            twice(report, &draft);
            SetSpec {
                entries: linked(report, draft.entries, networks).into_iter().collect(),
                except: linked(report, draft.except, networks).into_iter().collect(),
                comment: draft.comment,
            }
        };
        let ipsets: Option<BTreeMap<IpSetName, SetSpec>> =
            self.sets.map(|sets| sets.into_iter().map(|(name, draft)| (name, link_set(report, draft))).collect());
        let names = Names {
            networks: networks.keys().cloned().collect(),
            aliases: self.aliases.iter().flatten().map(|(name, _)| name.clone()).collect(),
            sets: ipsets.iter().flatten().map(|(name, _)| name.clone()).collect(),
            ..Names::default()
        };
        let groups = self.groups.map(|groups| {
            let one = |(name, draft): (GroupName, GroupDraft)| {
                let rules = draft.rules.into_iter();
                let rules = rules.map(|rule| rule.link(|peer| names.find(report.findings, peer))).collect();
                (name, GroupSpec { rules, comment: draft.comment })
            };
            groups.into_iter().map(one).collect()
        });
        SiteFirewallSpec {
            enable: self.enable,
            management,
            options: self.options,
            aliases: self.aliases,
            ipsets,
            groups,
        }
    }
}

/// Reports an entry that is given twice, or that is in the set and taken out of it.
fn twice(report: &mut Report<'_>, set: &SetDraft) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for entry in set.entries.iter().chain(&set.except) {
        let name = match &entry.value {
            Ok(net) => net.to_string(),
            Err(name) => name.to_string(),
        };
        if !seen.insert(name.clone()) {
            let message = format!("`{name}` is given twice in one IP set");
            let help = "keep one of the two; what stands under `except` is taken out of what stands under `entries`";
            report.findings.push(Diagnostic::error(codes::INVALID_VALUE, Some(&entry.at), message).help(help));
        }
    }
}

/// The ranges; a network that is not there or has no subnet is reported.
fn linked(report: &mut Report<'_>, drafts: Vec<Sp<NetDraft>>, networks: &BTreeMap<NetworkName, Network>) -> Vec<Cidr> {
    let mut out = Vec::new();
    for entry in drafts {
        let name = match entry.value {
            Ok(net) => {
                out.push(net);
                continue;
            }
            Err(name) => name,
        };
        if let Some(net) = networks.get(&name).and_then(|network| network.subnet) {
            out.push(net);
            continue;
        }
        let known = networks.keys().map(|key| key.as_str());
        let help = match networks.contains_key(&name) {
            true => "the network has no subnet: write the range, as in `10.0.0.0/24`".to_owned(),
            false => suggest(name.as_str(), known, "networks"),
        };
        let message = format!("`{name}` is no network of the site with a subnet");
        report.findings.push(Diagnostic::error(codes::UNKNOWN_NETWORK, Some(&entry.at), message).help(help));
    }
    out
}
