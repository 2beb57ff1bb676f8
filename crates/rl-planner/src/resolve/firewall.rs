//! Firewalls: rules as Proxmox has them, with the slot of the NIC they name, and IP sets of groups of guests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_model::firewall::{FirewallAction, IpSetName, LOG_OFF, ResolvedFirewall, RuleId, RuleText, WantedSiteFirewall};
use rl_model::manifest::{
    FirewallPeer, FirewallRule, FirewallSpec, FirewallTraffic, PortRange, RuleDirection, Stack, Verdict,
};
use rl_model::{ContainerName, GuestName, ResolvedGuest, Site, SiteName, StackName};
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
    sites: &BTreeMap<SiteName, Site>,
    guests: &mut BTreeMap<GuestName, ResolvedGuest>,
    findings: &mut Findings<'_>,
) -> BTreeMap<SiteName, WantedSiteFirewall> {
    let mut out: BTreeMap<SiteName, WantedSiteFirewall> = BTreeMap::new();
    let members = members(guests);
    for guest in guests.values_mut() {
        let container = stack.containers.get(&guest.container);
        let Some(spec) = container.and_then(|container| container.firewall.as_ref()) else { continue };
        let Some(site) = sites.get(&guest.site) else { continue };
        let wanted = out.entry(guest.site.clone()).or_default();
        if let Some(of_site) = &site.firewall {
            wanted.enable = of_site.enable;
            wanted.management.clone_from(&of_site.management);
        }
        let scene = Scene { stack, site, members: &members };
        guest.firewall = Some(scene.guest(guest, spec, wanted, findings));
    }
    out
}

/// Leased addresses of the guests of each entry.
fn members(guests: &BTreeMap<GuestName, ResolvedGuest>) -> BTreeMap<ContainerName, BTreeSet<IpAddr>> {
    let mut out: BTreeMap<ContainerName, BTreeSet<IpAddr>> = BTreeMap::new();
    for guest in guests.values() {
        let leased = guest.nics.iter().flat_map(|nic| [nic.ipv4.leased(), nic.ipv6.leased()]).flatten();
        out.entry(guest.container.clone()).or_default().extend(leased);
    }
    out
}

struct Scene<'a> {
    stack: &'a Stack,
    site: &'a Site,
    members: &'a BTreeMap<ContainerName, BTreeSet<IpAddr>>,
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
        let mut keys: BTreeMap<String, u32> = BTreeMap::new();
        for (rule, place) in spec.rules.iter().zip(0..) {
            let path = format!("stacks.{}.containers.{}.firewall.rules.{place}", self.stack.name, guest.container);
            let ends = self.ends(rule, &path, wanted, findings);
            for mut text in expand(guest, rule, &ends) {
                let key = sense_key(&text);
                let count = keys.entry(key.clone()).and_modify(|count| *count += 1).or_insert(1);
                let key = if *count > 1 { format!("{key}-{count}") } else { key };
                text.comment = Some(RuleId::of_guest(&guest.id, &key).comment(rule.comment.as_deref()));
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
    fn ends(
        &self,
        rule: &FirewallRule,
        path: &str,
        wanted: &mut WantedSiteFirewall,
        findings: &mut Findings<'_>,
    ) -> Vec<End> {
        if rule.peers.is_empty() {
            return vec![End::Anywhere];
        }
        let (mut v4, mut v6, mut sets) = (Vec::new(), Vec::new(), Vec::new());
        let mut push = |v4_end: bool, text: String| if v4_end { v4.push(text) } else { v6.push(text) };
        for peer in &rule.peers {
            match peer {
                FirewallPeer::Address(address) => push(address.is_ipv4(), address.to_string()),
                FirewallPeer::Cidr(net) => push(net.net().addr().is_ipv4(), net.to_string()),
                FirewallPeer::Network(name) => match self.site.networks.get(name).and_then(|network| network.subnet) {
                    Some(net) => push(net.net().addr().is_ipv4(), net.to_string()),
                    None => {
                        let message = format!("network `{name}` has no subnet, so a rule cannot name it");
                        findings.add_once(
                            codes::RULE_END,
                            path,
                            message,
                            "give the network a subnet, or write addresses",
                        );
                    }
                },
                FirewallPeer::Container(name) => {
                    let members = self.members.get(name).cloned().unwrap_or_default();
                    if members.is_empty() {
                        let message =
                            format!("the guests of `{name}` have no leased address, so a rule cannot name them");
                        findings.add_once(
                            codes::RULE_END,
                            path,
                            message,
                            "give their network a subnet, or name the addresses in the rule",
                        );
                    }
                    let set = set_name(&self.stack.name, name);
                    wanted.sets.insert(set.clone(), members.iter().map(ToString::to_string).collect());
                    sets.push(End::Set(format!("+dc/{set}")));
                }
            }
        }
        let v4 = joined(v4).into_iter().map(|list| End::Addresses { v4: true, list });
        let v6 = joined(v6).into_iter().map(|list| End::Addresses { v4: false, list });
        v4.chain(v6).chain(sets).collect()
    }
}

/// The other end of one rule of Proxmox.
enum End {
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
fn expand(guest: &ResolvedGuest, rule: &FirewallRule, ends: &[End]) -> Vec<RuleText> {
    let slot = rule.on.as_ref().and_then(|name| guest.nics.iter().find(|nic| nic.name == *name)).map(|nic| nic.slot);
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
struct Traffic {
    proto: Option<&'static str>,
    ports: Option<String>,
    /// The family it is bound to: each has an ICMP of its own.
    v4: Option<bool>,
}

fn kinds(traffic: &FirewallTraffic) -> Vec<Traffic> {
    let plain = |proto, v4| Traffic { proto, ports: None, v4 };
    match traffic {
        FirewallTraffic::Any => vec![plain(None, None)],
        FirewallTraffic::Icmp => vec![plain(Some("icmp"), Some(true)), plain(Some("ipv6-icmp"), Some(false))],
        FirewallTraffic::Tcp(ports) => with_ports("tcp", ports),
        FirewallTraffic::Udp(ports) => with_ports("udp", ports),
    }
}

fn with_ports(proto: &'static str, ports: &[PortRange]) -> Vec<Traffic> {
    let one = |ports| Traffic { proto: Some(proto), ports, v4: None };
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
