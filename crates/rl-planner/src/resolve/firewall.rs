//! Firewalls: rules as Proxmox has them, with the slot of the NIC they name, and IP sets of groups of guests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_model::firewall::{AliasName, WantedObjects};
use rl_model::firewall::{FirewallAction, IpSetName, LOG_OFF, ResolvedFirewall, RuleId, RuleText, WantedSiteFirewall};
use rl_model::manifest::{
    FirewallPeer, FirewallRule, FirewallSpec, FirewallTraffic, GroupCall, GuestRule, PortRange, RuleDirection, Stack,
    Verdict,
};
use rl_model::{Cidr, ContainerName, ControllerId, GuestName, NicSlot, ResolvedGuest, Site, SiteName, StackName};
use sha2::{Digest, Sha256};

use super::codes;
use super::error::Findings;

/// Most numbers of one port list, a range counting two (the kernel's multiport match, which Proxmox checks too).
const PORT_NUMBERS_MAX: usize = 15;
/// Longest list of addresses of one rule (`pve-api`: `source`, `maxLength`).
const ADDRESSES_LEN_MAX: usize = 512;
/// Longest name of an IP set (`pve-api`: `name`, `maxLength`).
const SET_NAME_LEN_MAX: usize = 64;
/// Digits of a rule's key: 48 bits tell the rules of one guest apart.
const KEY_BYTES: usize = 6;

/// The IP set that holds the addresses of a container entry's guests. A name too long is cut and told apart by a digest.
pub fn set_name(stack: &StackName, container: &ContainerName) -> IpSetName {
    let mut name = format!("rl-{stack}-{container}");
    // Two stacks may join to one name, as in `a-b` with `c` and `a` with `b-c`; the owner in its comment tells them apart.
    if name.len() > SET_NAME_LEN_MAX {
        let key = key(&[&name]);
        name.truncate(SET_NAME_LEN_MAX - key.len() - 1);
        name = format!("{name}-{key}");
    }
    name.parse().expect("stack and container names are made of letters, digits and `-`, and the length was cut")
}

/// Fills in the firewall of each guest, and what the sites need for them.
pub(crate) fn firewalls(
    stack: &Stack,
    (sites, controller): (&BTreeMap<SiteName, Site>, &ControllerId),
    guests: &mut BTreeMap<GuestName, ResolvedGuest>,
    findings: &mut Findings<'_>,
) -> BTreeMap<SiteName, WantedSiteFirewall> {
    let mut out: BTreeMap<SiteName, WantedSiteFirewall> = BTreeMap::new();
    let members = Members::of(guests);
    for guest in guests.values_mut() {
        let container = stack.containers.get(&guest.container);
        let spec = container.and_then(|container| container.firewall.as_ref());
        let Some(site) = sites.get(&guest.site) else { continue };
        let wants = spec.is_some() || site.firewall.as_ref().is_some_and(super::site_firewall::wants);
        if wants && !out.contains_key(&guest.site) {
            let objects = super::site_firewall::objects(site, controller, findings);
            out.insert(guest.site.clone(), of_site(site, objects));
        }
        let (Some(spec), Some(wanted)) = (spec, out.get_mut(&guest.site)) else { continue };
        let scene = Scene { stack: &stack.name, site, members: &members };
        guest.firewall = Some(scene.guest(guest, spec, wanted, findings));
    }
    out
}

/// What the site's own file says.
fn of_site(site: &Site, objects: WantedObjects) -> WantedSiteFirewall {
    let spec = site.firewall.clone().unwrap_or_default();
    WantedSiteFirewall { enable: spec.enable, management: spec.management, sets: BTreeMap::new(), objects }
}

/// Leased addresses of guests.
#[derive(Default)]
pub(super) struct Members {
    containers: BTreeMap<ContainerName, BTreeSet<IpAddr>>,
    guests: BTreeMap<GuestName, BTreeSet<IpAddr>>,
}

impl Members {
    fn of(guests: &BTreeMap<GuestName, ResolvedGuest>) -> Self {
        let mut out = Self::default();
        for guest in guests.values() {
            let leased = guest.nics.iter().flat_map(|nic| [nic.ipv4.leased(), nic.ipv6.leased()]).flatten();
            let leased: BTreeSet<IpAddr> = leased.collect();
            out.containers.entry(guest.container.clone()).or_default().extend(&leased);
            out.guests.insert(guest.name.clone(), leased);
        }
        out
    }
}

/// Where the names in a list of rules are looked up.
pub(super) struct Scene<'a> {
    pub(super) stack: &'a StackName,
    pub(super) site: &'a Site,
    pub(super) members: &'a Members,
}

/// Gives each rule of one list an id of its own, by what it speaks of.
#[derive(Default)]
pub(super) struct Keys(BTreeMap<String, u32>);

impl Keys {
    /// The key of the next rule.
    pub(super) fn next(&mut self, rule: &RuleText) -> String {
        let key = sense_key(rule);
        let count = self.0.entry(key.clone()).and_modify(|count| *count += 1).or_insert(1);
        if *count > 1 { format!("{key}-{count}") } else { key }
    }
}

impl Scene<'_> {
    fn guest(
        &self,
        guest: &ResolvedGuest,
        spec: &FirewallSpec,
        wanted: &mut WantedSiteFirewall,
        findings: &mut Findings<'_>,
    ) -> ResolvedFirewall {
        let mut rules: Vec<RuleText> = Vec::new();
        let mut keys = Keys::default();
        let slot = |name: &rl_model::NicName| guest.nics.iter().find(|nic| nic.name == *name).map(|nic| nic.slot);
        for (rule, place) in spec.rules.iter().zip(0..) {
            let path = format!("stacks.{}.containers.{}.firewall.rules.{place}", self.stack, guest.container);
            let (texts, comment) = match rule {
                GuestRule::Own(rule) => {
                    let ends = self.ends(rule, &path, &mut wanted.sets, findings);
                    (expand(rule.on.as_ref().and_then(slot), rule, &ends), &rule.comment)
                }
                GuestRule::Group(call) => (vec![called(call, call.on.as_ref().and_then(slot))], &call.comment),
            };
            for mut text in texts {
                let key = keys.next(&text);
                text.comment = Some(RuleId::of_guest(&guest.id, &key).comment(comment.as_deref()));
                rules.push(text);
            }
        }
        let log = |level: &Option<String>| level.clone().unwrap_or_else(|| LOG_OFF.to_owned());
        ResolvedFirewall {
            policy_in: action(spec.inbound),
            policy_out: action(spec.outbound),
            log_in: log(&spec.log),
            log_out: log(&spec.log),
            ipfilter: spec.only_own_addresses,
            rules,
        }
    }

    /// The other ends of a rule, as Proxmox writes them, each of one family or an IP set.
    pub(super) fn ends(
        &self,
        rule: &FirewallRule,
        path: &str,
        groups_of_guests: &mut BTreeMap<IpSetName, BTreeSet<String>>,
        findings: &mut Findings<'_>,
    ) -> Vec<End> {
        if rule.peers.is_empty() {
            return vec![End::Anywhere];
        }
        let (mut v4, mut v6, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut push = |net: Cidr, text: String| if net.net().addr().is_ipv4() { v4.push(text) } else { v6.push(text) };
        let nowhere = "give the network a subnet, or write addresses";
        for peer in &rule.peers {
            match peer {
                FirewallPeer::Address(address) => push((*address).into(), address.to_string()),
                FirewallPeer::Cidr(net) => push(*net, net.to_string()),
                FirewallPeer::Network(name) => match self.site.networks.get(name).and_then(|network| network.subnet) {
                    Some(net) => push(net, net.to_string()),
                    None => {
                        let message = format!("network `{name}` has no subnet, so a rule cannot name it");
                        findings.add_once(codes::RULE_END, path, message, nowhere);
                    }
                },
                FirewallPeer::Guest(name) => {
                    let leased = self.members.guests.get(name).cloned().unwrap_or_default();
                    self.leased(name.as_str(), &leased, path, findings);
                    leased.iter().for_each(|address| push((*address).into(), address.to_string()));
                }
                FirewallPeer::Container(name) => {
                    let members = self.members.containers.get(name).cloned().unwrap_or_default();
                    self.leased(name.as_str(), &members, path, findings);
                    let set = set_name(self.stack, name);
                    groups_of_guests.insert(set.clone(), members.iter().map(ToString::to_string).collect());
                    others.push(End::Set(format!("+dc/{set}")));
                }
                FirewallPeer::Alias(name) => {
                    let v4 = self.alias(name).is_none_or(|net| net.net().addr().is_ipv4());
                    others.push(End::Addresses { v4, list: format!("dc/{name}") });
                }
                FirewallPeer::Set(name) => others.push(End::Set(format!("+dc/{name}"))),
            }
        }
        let v4 = joined(v4).into_iter().map(|list| End::Addresses { v4: true, list });
        let v6 = joined(v6).into_iter().map(|list| End::Addresses { v4: false, list });
        v4.chain(v6).chain(others).collect()
    }

    /// Tells of guests that a rule names though they have no address.
    fn leased(&self, name: &str, members: &BTreeSet<IpAddr>, path: &str, findings: &mut Findings<'_>) {
        if members.is_empty() {
            let message = format!("the guests of `{name}` have no leased address, so a rule cannot name them");
            let hint = "give their network a subnet, or name the addresses in the rule";
            findings.add_once(codes::RULE_END, path, message, hint);
        }
    }

    fn alias(&self, name: &AliasName) -> Option<Cidr> {
        self.site.firewall.as_ref()?.aliases.as_ref()?.get(name).map(|alias| alias.net)
    }
}

/// The rule of Proxmox that calls a security group.
fn called(call: &GroupCall, slot: Option<NicSlot>) -> RuleText {
    RuleText {
        kind: "group".to_owned(),
        action: call.group.to_string(),
        enable: true,
        iface: slot.map(|slot| slot.to_string()),
        ..RuleText::default()
    }
}

/// The other end of one rule of Proxmox.
pub(super) enum End {
    Anywhere,
    Addresses { v4: bool, list: String },
    Set(String),
}

/// Joins addresses to lists that are not too long for one rule.
fn joined(texts: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for text in texts {
        match out.last_mut() {
            Some(last) if last.len() + 1 + text.len() <= ADDRESSES_LEN_MAX => {
                last.push(',');
                last.push_str(&text);
            }
            _ => out.push(text),
        }
    }
    out
}

fn action(verdict: Verdict) -> FirewallAction {
    match verdict {
        Verdict::Allow => FirewallAction::Accept,
        Verdict::Reject => FirewallAction::Reject,
        Verdict::Drop => FirewallAction::Drop,
    }
}

/// The rules of Proxmox that one rule of the stack stands for, in order.
pub(super) fn expand(slot: Option<NicSlot>, rule: &FirewallRule, ends: &[End]) -> Vec<RuleText> {
    let inward = rule.direction == RuleDirection::In;
    let mut out = Vec::new();
    for traffic in rule.traffic.iter().flat_map(kinds) {
        for end in ends {
            if let (Some(family), End::Addresses { v4, .. }) = (traffic.v4, end)
                && family != *v4
            {
                continue;
            }
            let addresses = match end {
                End::Anywhere => None,
                End::Addresses { list, .. } => Some(list.clone()),
                End::Set(name) => Some(name.clone()),
            };
            let (source, dest) = if inward { (addresses, None) } else { (None, addresses) };
            out.push(RuleText {
                kind: if inward { "in" } else { "out" }.to_owned(),
                action: action(rule.verdict).to_string(),
                enable: true,
                iface: slot.map(|slot| slot.to_string()),
                source,
                dest,
                macro_name: traffic.macro_name.clone(),
                proto: traffic.proto.map(str::to_owned),
                dport: traffic.ports.clone(),
                log: rule.log.clone(),
                ..RuleText::default()
            });
        }
    }
    out
}

/// Protocol and ports of one rule of Proxmox.
#[derive(Default)]
struct Traffic {
    macro_name: Option<String>,
    proto: Option<&'static str>,
    ports: Option<String>,
    /// The family it is bound to: each has an ICMP of its own.
    v4: Option<bool>,
}

fn kinds(traffic: &FirewallTraffic) -> Vec<Traffic> {
    let plain = |proto, v4| Traffic { proto, v4, ..Traffic::default() };
    match traffic {
        FirewallTraffic::Macro(name) => vec![Traffic { macro_name: Some(name.to_string()), ..Traffic::default() }],
        FirewallTraffic::Any => vec![plain(None, None)],
        FirewallTraffic::Icmp => vec![plain(Some("icmp"), Some(true)), plain(Some("ipv6-icmp"), Some(false))],
        FirewallTraffic::Tcp(ports) => with_ports("tcp", ports),
        FirewallTraffic::Udp(ports) => with_ports("udp", ports),
    }
}

fn with_ports(proto: &'static str, ports: &[PortRange]) -> Vec<Traffic> {
    let one = |ports| Traffic { proto: Some(proto), ports, ..Traffic::default() };
    if ports.is_empty() {
        return vec![one(None)];
    }
    let mut lists: Vec<(usize, String)> = Vec::new();
    for range in ports {
        let (count, text) = match range.first == range.last {
            true => (1, range.first.to_string()),
            false => (2, format!("{}:{}", range.first, range.last)),
        };
        match lists.last_mut() {
            Some((numbers, list)) if *numbers + count <= PORT_NUMBERS_MAX => {
                *numbers += count;
                *list = format!("{list},{text}");
            }
            _ => lists.push((count, text)),
        }
    }
    lists.into_iter().map(|(_, list)| one(Some(list))).collect()
}

/// What a rule speaks of as a short key. What it does with it is no part: a rule that changes its mind stays the same rule.
fn sense_key(rule: &RuleText) -> String {
    let parts = [&rule.iface, &rule.source, &rule.dest, &rule.proto, &rule.dport];
    let mut texts = vec![rule.kind.as_str()];
    texts.extend(parts.map(|part| part.as_deref().unwrap_or_default()));
    texts.extend(rule.macro_name.as_deref());
    if rule.kind == "group" {
        texts.push(&rule.action);
    }
    key(&texts)
}

fn key(texts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().iter().take(KEY_BYTES).map(|byte| format!("{byte:02x}")).collect()
}
