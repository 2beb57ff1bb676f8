//! Reads the firewall of a container, and the rules of security groups.

use std::net::IpAddr;

use rl_model::firewall::GroupName;
use rl_model::manifest::{FirewallPeer, FirewallRule, FirewallTraffic, PortRange, RuleDirection, Verdict};
use rl_model::{Cidr, NicName};

use super::fields::{Fields, Shape};
use super::report::{Report, Sp, nearest};
use super::tree::{Kind, Node, Place, shown};
use super::values::{choice, one_or_list, parsed, text, wrong_type};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const FIREWALL: Shape = Shape {
    name: "Firewall",
    what: "`firewall`",
    keys: &["inbound", "outbound", "log", "only_own_addresses", "rules"],
};
pub(crate) const RULE: Shape = Shape {
    name: "Rule",
    what: "a firewall rule",
    keys: &["allow", "reject", "drop", "group", "on", "from", "to", "log", "comment"],
};

/// The words for what happens to a packet.
const VERDICTS: [(&str, Verdict); 3] =
    [("allow", Verdict::Allow), ("reject", Verdict::Reject), ("drop", Verdict::Drop)];
/// Most rules of one firewall: above it, a packet's way through them is felt.
pub(crate) const RULES_MAX: usize = 500;
/// Longest comment of a rule: what stands beside it in a list.
const COMMENT_CHARS_MAX: usize = 120;
/// Log levels (`pve-api`: `log`).
const LOG_LEVELS: [(&str, &str); 8] = [
    ("emerg", "emerg"),
    ("alert", "alert"),
    ("crit", "crit"),
    ("err", "err"),
    ("warning", "warning"),
    ("notice", "notice"),
    ("info", "info"),
    ("debug", "debug"),
];

/// Services by name with their TCP and UDP ports (IANA service names).
const SERVICES: [(&str, &[u16], &[u16]); 26] = [
    ("dns", &[53], &[53]),
    ("ftp", &[21], &[]),
    ("http", &[80], &[]),
    ("https", &[443], &[]),
    ("imap", &[143], &[]),
    ("imaps", &[993], &[]),
    ("kerberos", &[88], &[88]),
    ("ldap", &[389], &[389]),
    ("ldaps", &[636], &[]),
    ("memcached", &[11211], &[11211]),
    ("mqtt", &[1883], &[]),
    ("mysql", &[3306], &[]),
    ("nfs", &[2049], &[2049]),
    ("ntp", &[], &[123]),
    ("pop3", &[110], &[]),
    ("pop3s", &[995], &[]),
    ("postgresql", &[5432], &[]),
    ("rdp", &[3389], &[3389]),
    ("redis", &[6379], &[]),
    ("smtp", &[25], &[]),
    ("smtps", &[465], &[]),
    ("snmp", &[], &[161]),
    ("ssh", &[22], &[]),
    ("submission", &[587], &[]),
    ("syslog", &[], &[514]),
    ("tftp", &[], &[69]),
];

/// A firewall as written, the other ends of its rules not yet looked up.
pub(crate) struct FirewallDraft {
    pub(crate) inbound: Verdict,
    pub(crate) outbound: Verdict,
    pub(crate) log: Option<String>,
    pub(crate) only_own_addresses: bool,
    pub(crate) rules: Vec<RuleDraft>,
}

/// A rule of a container as written.
pub(crate) enum RuleDraft {
    /// A call of a security group.
    Group { group: Sp<GroupName>, on: Option<Sp<NicName>>, comment: Option<String> },
    /// A rule of its own.
    Own(OwnRule),
}

impl RuleDraft {
    /// The NIC it is bound to.
    pub(crate) fn on(&self) -> Option<&Sp<NicName>> {
        match self {
            Self::Group { on, .. } => on.as_ref(),
            Self::Own(rule) => rule.on.as_ref(),
        }
    }
}

pub(crate) struct OwnRule {
    verdict: Verdict,
    traffic: Vec<FirewallTraffic>,
    on: Option<Sp<NicName>>,
    direction: RuleDirection,
    peers: Vec<Sp<PeerDraft>>,
    log: Option<String>,
    comment: Option<String>,
}

impl OwnRule {
    /// The rule with its other ends looked up.
    pub(crate) fn link(&self, find: impl FnMut(&Sp<PeerDraft>) -> Option<FirewallPeer>) -> FirewallRule {
        FirewallRule {
            verdict: self.verdict,
            traffic: self.traffic.clone(),
            on: self.on.as_ref().map(|sp| sp.value.clone()),
            direction: self.direction,
            peers: self.peers.iter().filter_map(find).collect(),
            log: self.log.clone(),
            comment: self.comment.clone(),
        }
    }
}

/// The other end of a rule as written.
#[derive(Debug, Clone)]
pub(crate) enum PeerDraft {
    Address(IpAddr),
    Cidr(Cidr),
    /// A container or guest of the stack, or a network, an alias or an IP set of the site.
    Name(String),
}

/// Reads `firewall:`.
pub(crate) fn firewall(report: &mut Report<'_>, container: &Fields<'_>) -> Option<Sp<FirewallDraft>> {
    let node = container.get(report, "firewall")?;
    let owner = container.entry("firewall")?.key_place;
    let fields = Fields::open(report, node, owner, &container.path("firewall"), &FIREWALL)?;
    let policy = |report: &mut Report<'_>, key: &str, default| {
        let node = fields.get(report, key);
        node.and_then(|node| verdict_of(report, node)).unwrap_or(default)
    };
    let inbound = policy(report, "inbound", Verdict::Drop);
    let outbound = policy(report, "outbound", Verdict::Allow);
    let log = log_level(report, &fields);
    let only_own_addresses = fields.boolean(report, "only_own_addresses").unwrap_or(false);
    let rules = fields.list(report, "rules", rule).unwrap_or_default();
    if rules.len() > RULES_MAX {
        let message = format!("the firewall has {} rules", rules.len());
        let help = "name several ports or other ends in one rule";
        report.error(codes::TOO_MANY, owner, &message, &format!("at most {RULES_MAX} are possible"), help);
    }
    Some(Sp { value: FirewallDraft { inbound, outbound, log, only_own_addresses, rules }, at: report.at(owner) })
}

/// Reads what happens to packets that no rule names.
pub(crate) fn verdict_of(report: &mut Report<'_>, node: &Node) -> Option<Verdict> {
    choice(report, node, "verdict", &VERDICTS).map(|sp| sp.value)
}

fn rule(report: &mut Report<'_>, node: &Node) -> Option<RuleDraft> {
    let Some(group) = node.entry("group") else { return own_rule(report, node, &RULE).map(RuleDraft::Own) };
    let fields = Fields::open(report, node, node.place, "", &RULE)?;
    let others = ["allow", "reject", "drop", "from", "to", "log"];
    if let Some(other) = others.iter().find_map(|key| fields.entry(key)) {
        let (at, first) = (report.at(other.key_place), report.at(group.key_place));
        let message = format!("a rule that calls a security group has no `{}`", other.key);
        report.findings.push(
            Diagnostic::error(codes::KEYS_CONFLICT, Some(&at), message)
                .related(Some(&first), "this calls the group")
                .help("the rules of the group say it; write a rule of its own"),
        );
        return None;
    }
    let called = fields.parsed::<GroupName>(report, "group");
    let on = fields.parsed::<NicName>(report, "on");
    let comment = fields.get(report, "comment").and_then(|node| comment(report, node));
    Some(RuleDraft::Group { group: called?, on, comment })
}

/// Reads a rule that calls no group.
pub(crate) fn own_rule(report: &mut Report<'_>, node: &Node, shape: &Shape) -> Option<OwnRule> {
    let fields = Fields::open(report, node, node.place, "", shape)?;
    let (verdict, traffic) = verdict(report, &fields, node.place)?;
    let on = fields.parsed::<NicName>(report, "on");
    let (direction, ends) = match (fields.entry("from"), fields.entry("to")) {
        (Some(from), Some(to)) => {
            let (at, first) = (report.at(to.key_place), report.at(from.key_place));
            report.findings.push(
                Diagnostic::error(codes::KEYS_CONFLICT, Some(&at), "a rule has either `from` or `to`")
                    .related(Some(&first), "this makes it a rule for traffic towards the guest")
                    .help("the guest itself is always the other end; write two rules for two directions"),
            );
            return None;
        }
        (_, Some(_)) => (RuleDirection::Out, fields.get(report, "to")),
        (Some(_), _) => (RuleDirection::In, fields.get(report, "from")),
        (None, None) => (RuleDirection::In, None),
    };
    let peers = ends.map(|node| peers(report, node)).unwrap_or_default();
    let log = log_level(report, &fields);
    let comment = fields.get(report, "comment").and_then(|node| comment(report, node));
    Some(OwnRule { verdict, traffic, on, direction, peers, log, comment })
}

fn log_level(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get(report, "log")?;
    choice(report, node, "log level", &LOG_LEVELS).map(|sp| sp.value.to_owned())
}

pub(crate) fn comment(report: &mut Report<'_>, node: &Node) -> Option<String> {
    let written = text(report, node, "a comment as text")?;
    if written.chars().any(char::is_control) || written.chars().count() > COMMENT_CHARS_MAX {
        let help = format!("write one line of at most {COMMENT_CHARS_MAX} characters");
        report.error(codes::INVALID_VALUE, node.place, "the comment does not fit beside a rule", "", &help);
        return None;
    }
    Some(written.trim().to_owned())
}

fn verdict(report: &mut Report<'_>, fields: &Fields<'_>, owner: Place) -> Option<(Verdict, Vec<FirewallTraffic>)> {
    let given: Vec<_> = VERDICTS.iter().filter_map(|(key, verdict)| Some((fields.entry(key)?, *verdict))).collect();
    match given.as_slice() {
        [(entry, verdict)] => {
            let node = fields.get(report, &entry.key)?;
            let traffic = one_or_list(report, node, traffic).concat();
            (!traffic.is_empty()).then_some((*verdict, traffic))
        }
        [] => {
            let help = "say what happens to which traffic, as in `{ allow: https, from: anywhere }`";
            report.error(codes::MISSING_KEY, owner, "a rule needs one of `allow`, `reject`, `drop`", "", help);
            None
        }
        [(first, _), (second, _), ..] => {
            let (at, first) = (report.at(second.key_place), report.at(first.key_place));
            report.findings.push(
                Diagnostic::error(codes::KEYS_CONFLICT, Some(&at), "a rule has only one of `allow`, `reject`, `drop`")
                    .related(Some(&first), "the rule already says this")
                    .help("write two rules"),
            );
            None
        }
    }
}

/// Reads a service by its name, or a protocol with or without ports.
fn traffic(report: &mut Report<'_>, node: &Node) -> Option<Vec<FirewallTraffic>> {
    if matches!(&node.kind, Kind::Map(_)) {
        wrong_type(report, node, node.place, "a service or ports", "write `https`, `tcp/5432` or `udp/8000-8100`");
        return None;
    }
    let written = text(report, node, "a service or ports as text")?;
    let (protocol, ports) = written.split_once('/').map_or((written, None), |(p, ports)| (p, Some(ports)));
    let make: fn(Vec<PortRange>) -> FirewallTraffic = match (protocol, ports) {
        ("any", None) => return Some(vec![FirewallTraffic::Any]),
        ("icmp" | "ping", None) => return Some(vec![FirewallTraffic::Icmp]),
        ("tcp", _) => FirewallTraffic::Tcp,
        ("udp", _) => FirewallTraffic::Udp,
        _ => return service(report, node, written),
    };
    let Some(ports) = ports else { return Some(vec![make(Vec::new())]) };
    match ports.split(',').map(port_range).collect::<Option<Vec<_>>>() {
        Some(ports) => Some(vec![make(ports)]),
        None => {
            let message = format!("`{}` names no ports", shown(written));
            let help = "write ports from 1 to 65535, as in `tcp/5432`, `tcp/80,443` or `udp/8000-8100`";
            report.error(codes::INVALID_VALUE, node.place, &message, "", help);
            None
        }
    }
}

fn port_range(text: &str) -> Option<PortRange> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some(PortRange { first, last })
}

fn service(report: &mut Report<'_>, node: &Node, name: &str) -> Option<Vec<FirewallTraffic>> {
    let Some((_, tcp, udp)) = SERVICES.iter().find(|(known, ..)| *known == name) else {
        if let Some(macro_name) = crate::firewall::macro_names().find(|known| *known == name) {
            return macro_name.parse().ok().map(|name| vec![FirewallTraffic::Macro(name)]);
        }
        let words = SERVICES.iter().map(|(known, ..)| *known).chain(["any", "icmp", "tcp", "udp"]);
        let near = nearest(name, words).or_else(|| nearest(name, crate::firewall::macro_names()));
        let help = match near {
            Some(word) => format!("did you mean `{word}`?"),
            None => "write protocol and port, as in `tcp/5432`".to_owned(),
        };
        report.error(codes::INVALID_VALUE, node.place, &format!("`{}` is no known service", shown(name)), "", &help);
        return None;
    };
    let ranges = |ports: &[u16]| ports.iter().map(|port| PortRange { first: *port, last: *port }).collect();
    let kinds = [(tcp, FirewallTraffic::Tcp as fn(Vec<PortRange>) -> _), (udp, FirewallTraffic::Udp)];
    Some(kinds.into_iter().filter(|(ports, _)| !ports.is_empty()).map(|(ports, make)| make(ranges(ports))).collect())
}

/// Reads `anywhere`, or one or more addresses, networks and containers. `anywhere` gives none.
fn peers(report: &mut Report<'_>, node: &Node) -> Vec<Sp<PeerDraft>> {
    let anywhere = |node: &Node| matches!(&node.kind, Kind::Scalar(scalar) if scalar.text == "anywhere");
    if let Kind::List(items) = &node.kind
        && items.len() > 1
        && let Some(item) = items.iter().find(|item| anywhere(item))
    {
        let message = "`anywhere` stands among other ends";
        report.error(
            codes::KEYS_CONFLICT,
            item.place,
            message,
            "this covers all of them",
            "keep `anywhere`, or the others",
        );
    }
    let all = one_or_list(report, node, |report, item| {
        if anywhere(item) {
            return Some(None);
        }
        let written = text(report, item, "an address, network or container as text")?;
        let at = report.at(item.place);
        let value = match (written.parse::<IpAddr>(), written.contains('/')) {
            (Ok(address), _) => PeerDraft::Address(address),
            (_, true) => PeerDraft::Cidr(parsed::<Cidr>(report, item)?.value),
            _ => PeerDraft::Name(written.to_owned()),
        };
        Some(Some(Sp { value, at }))
    });
    all.into_iter().flatten().collect()
}
