//! Whether a packet is one a rule speaks of.

use std::net::IpAddr;

use ipnet::IpNet;
use rl_model::firewall::{
    AddressSpec, Alias, AliasName, DatacenterFirewall, FirewallRule, GuestFirewall, IpSet, MacroName, PortItem,
    PortSpec, Scope, ScopedName, SetMember,
};

use super::Engine;
use super::packet::{EPHEMERAL_FIRST, EPHEMERAL_LAST, ICMP, ICMPV6, Packet, SourcePort, WITH_PORTS};
use super::tables::{self, IcmpKind, Macro};

/// Outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Match {
    /// The packet is meant.
    Yes,
    /// It is not, for this reason.
    No(String),
    /// Proxmox leaves the rule out, for this reason.
    Void(String),
    /// It cannot be told here, for this reason.
    Unsure(String),
}

impl Match {
    fn of(hit: bool, why: impl FnOnce() -> String) -> Self {
        if hit { Self::Yes } else { Self::No(why()) }
    }

    /// All must hold. A rule that is void is void whatever else it says; a certain no outweighs a doubt.
    fn and(self, next: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Yes => next(),
            Self::Void(_) | Self::No(_) => self,
            Self::Unsure(_) => match next() {
                no @ (Self::No(_) | Self::Void(_)) => no,
                _ => self,
            },
        }
    }
}

/// Where names are looked up.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) datacenter: &'a DatacenterFirewall,
    /// The guest whose rule it is; `None` within a group.
    pub(super) guest: Option<&'a GuestFirewall>,
    pub(super) engine: Engine,
}

/// A looked-up name.
enum Found<'a, T> {
    Here(&'a T),
    Nowhere,
    /// Proxmox makes it from its VNets; it is not read.
    FromSdn,
}

impl<'a> Names<'a> {
    fn alias(&self, name: &ScopedName<AliasName>) -> Found<'a, Alias> {
        let key = name.name.key();
        let own = self.guest.and_then(|guest| guest.aliases.get(&key));
        pick(name.scope, own, self.datacenter.aliases.get(&key))
    }

    fn set(&self, name: &ScopedName<rl_model::firewall::IpSetName>) -> Found<'a, IpSet> {
        let own = self.guest.and_then(|guest| guest.sets.get(&name.name));
        pick(name.scope, own, self.datacenter.sets.get(&name.name))
    }

    /// Whether the rule speaks of the packet; interface, direction and switch have been looked at before.
    pub(super) fn matches(&self, rule: &FirewallRule, packet: &Packet) -> Match {
        self.address("source", rule.source.as_ref(), packet.source)
            .and(|| self.address("destination", rule.dest.as_ref(), packet.dest))
            .and(|| self.payload(rule, packet))
    }

    fn address(&self, what: &str, spec: Option<&AddressSpec>, address: IpAddr) -> Match {
        let Some(spec) = spec else { return Match::Yes };
        let no = || format!("{what} {address} is not in {spec}");
        match spec {
            AddressSpec::Ranges(ranges) => Match::of(ranges.iter().any(|range| range.contains(address)), no),
            AddressSpec::Alias(name) => match self.alias(name) {
                Found::Here(alias) => Match::of(alias.net.contains(&address), no),
                Found::Nowhere => Match::Void(format!("there is no alias {name}")),
                Found::FromSdn => Match::Unsure(format!("alias {name} is made by Proxmox from its VNets and not read")),
            },
            AddressSpec::Set(name) => match self.set(name) {
                Found::Here(set) => match self.in_set(set, address) {
                    Ok(inside) => Match::of(inside, no),
                    Err(why) => Match::Unsure(format!("IP set {name} {why}")),
                },
                Found::Nowhere => Match::Void(format!("there is no IP set {name}")),
                Found::FromSdn => {
                    Match::Unsure(format!("IP set {name} is made by Proxmox from its VNets and not read"))
                }
            },
        }
    }

    /// Whether an address is in a set. The kernel's sets, which `pve-firewall` uses, let the entry with the longest
    /// prefix decide; `proxmox-firewall` keeps two sets, and an address in the one of exceptions is always out.
    pub(super) fn in_set(&self, set: &IpSet, address: IpAddr) -> Result<bool, &'static str> {
        let entries = self.entries(set)?;
        Ok(member(self.engine, &entries, address))
    }

    /// The networks of a set, each with whether it is an exception.
    pub(super) fn entries(&self, set: &IpSet) -> Result<Vec<(IpNet, bool)>, &'static str> {
        let mut nets = Vec::new();
        for entry in set.entries.iter().filter(|entry| !entry.faulty) {
            let net = match &entry.member {
                Ok(SetMember::Net(net)) => *net,
                Ok(SetMember::Alias(name)) => match self.alias(name) {
                    Found::Here(alias) => alias.net,
                    Found::Nowhere => continue,
                    Found::FromSdn => return Err("has an entry that Proxmox makes from its VNets"),
                },
                Err(_) => return Err("has an entry that cannot be read"),
            };
            nets.push((net.trunc(), entry.nomatch));
        }
        Ok(nets)
    }

    /// Whether the site's list of macros was read and does not have this one.
    fn lacks_macro(&self, name: &MacroName) -> bool {
        let macros = &self.datacenter.macros;
        !macros.is_empty() && !macros.iter().any(|known| known.as_str().eq_ignore_ascii_case(name.as_str()))
    }

    fn payload(&self, rule: &FirewallRule, packet: &Packet) -> Match {
        let own = Lines {
            proto: rule.proto.as_ref().map(|name| name.as_str().to_owned()),
            dport: rule.dport.clone(),
            sport: rule.sport.clone(),
            icmp: rule.icmp_type.clone(),
        };
        let Some(name) = &rule.macro_name else { return own.matches(packet, self.engine) };
        let lines = match tables::find_macro(name.as_str(), packet.is_v6(), self.engine) {
            Macro::Lines(lines) => lines,
            Macro::OtherFamily => return Match::No(format!("macro {name} is for the other IP version")),
            Macro::Unknown if self.lacks_macro(name) => return Match::Void(format!("the site has no macro {name}")),
            Macro::Unknown => return Match::Unsure(format!("what macro {name} stands for is not known here")),
        };
        let mut doubt = None;
        for line in lines {
            let joined = match own.joined(line) {
                Ok(joined) => joined,
                Err(what) => return Match::Void(format!("{what} is given by macro {name} already")),
            };
            match joined.matches(packet, self.engine) {
                Match::Yes => return Match::Yes,
                unsure @ Match::Unsure(_) => doubt = Some(unsure),
                Match::No(_) | Match::Void(_) => {}
            }
        }
        doubt.unwrap_or_else(|| Match::No(format!("macro {name} stands for other protocols or ports")))
    }
}

fn pick<'a, T>(scope: Scope, own: Option<&'a T>, site: Option<&'a T>) -> Found<'a, T> {
    let found = match scope {
        Scope::Sdn => return Found::FromSdn,
        Scope::Guest => own,
        Scope::Datacenter => site,
        Scope::Either => own.or(site),
    };
    found.map_or(Found::Nowhere, Found::Here)
}

/// Whether an address is in a set of these entries.
pub(super) fn member(engine: Engine, entries: &[(IpNet, bool)], address: IpAddr) -> bool {
    let hits = entries.iter().filter(|(net, _)| net.contains(&address));
    match engine {
        // Of two entries for one network the later counts; `pve-firewall` takes no network of prefix 0 into a set.
        Engine::Iptables => hits
            .filter(|(net, _)| net.prefix_len() > 0)
            .max_by_key(|(net, _)| net.prefix_len())
            .is_some_and(|(_, nomatch)| !nomatch),
        Engine::Nftables => {
            let hits: Vec<bool> = hits.map(|(_, nomatch)| *nomatch).collect();
            !hits.is_empty() && !hits.contains(&true)
        }
    }
}

/// Protocol and ports, a rule's own or those of a line of a macro joined with them.
struct Lines {
    proto: Option<String>,
    dport: Option<PortSpec>,
    sport: Option<PortSpec>,
    icmp: Option<String>,
}

impl Lines {
    /// A line of a macro with what the rule adds. Both may say the same, but not two different things.
    fn joined(&self, line: tables::MacroLine) -> Result<Self, &'static str> {
        fn merge<T: PartialEq + Clone>(
            own: Option<&T>,
            line: Option<T>,
            what: &'static str,
        ) -> Result<Option<T>, &'static str> {
            match (own, line) {
                (Some(own), Some(line)) if *own != line => Err(what),
                (own, line) => Ok(line.or_else(|| own.cloned())),
            }
        }
        let ports = |text: &str| text.parse().ok();
        Ok(Self {
            proto: merge(self.proto.as_ref(), Some(line.proto.to_owned()), "a protocol")?,
            dport: merge(self.dport.as_ref(), ports(line.dport), "a destination port")?,
            sport: merge(self.sport.as_ref(), ports(line.sport), "a source port")?,
            icmp: self.icmp.clone(),
        })
    }

    fn matches(&self, packet: &Packet, engine: Engine) -> Match {
        let Some(proto) = &self.proto else { return Match::Yes };
        let Some(number) = tables::protocol(proto) else {
            return Match::Unsure(format!("protocol {proto} is not known here"));
        };
        if number == ICMP && packet.is_v6() || number == ICMPV6 && !packet.is_v6() {
            return Match::No(format!("protocol {proto} is for the other IP version"));
        }
        let right = number == 0 || number == packet.proto;
        Match::of(right, || format!("protocol is not {proto}"))
            .and(|| self.icmp_kind(number, packet, engine))
            .and(|| self.ports(number, packet))
    }

    fn icmp_kind(&self, number: u8, packet: &Packet, engine: Engine) -> Match {
        if number != ICMP && number != ICMPV6 {
            return Match::Yes;
        }
        let named = self.icmp.clone().or_else(|| self.dport.as_ref().map(ToString::to_string));
        let Some(name) = named else { return Match::Yes };
        let no = || format!("ICMP type is not {name}");
        match tables::icmp_kind(&name, packet.is_v6()) {
            None => Match::Unsure(format!("ICMP type {name} is not known here")),
            Some(IcmpKind::Any) => Match::Yes,
            Some(IcmpKind::Type(kind)) => Match::of(packet.icmp.0 == kind, no),
            Some(IcmpKind::Code(..)) if engine == Engine::Nftables => {
                Match::Unsure(format!("on nftables Proxmox compares the code of {name} and not its type"))
            }
            Some(IcmpKind::Code(kind, code)) => Match::of(packet.icmp == (kind, code), no),
        }
    }

    fn ports(&self, number: u8, packet: &Packet) -> Match {
        if number == ICMP || number == ICMPV6 {
            return Match::Yes;
        }
        if !WITH_PORTS.contains(&number) {
            let given = self.dport.is_some() || self.sport.is_some();
            return if given { Match::Void("its protocol has no ports".into()) } else { Match::Yes };
        }
        let dport = self.dport.as_ref().map_or(Match::Yes, |spec| {
            within(spec, packet.dport, packet.dport, || format!("destination port {} is not in {spec}", packet.dport))
        });
        dport.and(|| {
            let (first, last) = match packet.sport {
                SourcePort::Known(port) => (port, port),
                SourcePort::Picked => (EPHEMERAL_FIRST, EPHEMERAL_LAST),
            };
            self.sport
                .as_ref()
                .map_or(Match::Yes, |spec| within(spec, first, last, || format!("source port is not in {spec}")))
        })
    }
}

/// Whether every port from `first` to `last` is in the list; a doubt when only some are.
fn within(spec: &PortSpec, first: u16, last: u16, no: impl FnOnce() -> String) -> Match {
    let mut ranges = Vec::new();
    let mut unknown = None;
    for item in spec.items() {
        match item {
            PortItem::Range(from, to) => ranges.push((*from, *to)),
            PortItem::Name(name) => match tables::service(name.as_str()) {
                Some(port) => ranges.push((port, port)),
                None => unknown = Some(format!("service {name} is not known here")),
            },
        }
    }
    ranges.sort_unstable();
    let some = ranges.iter().any(|(from, to)| *from <= last && first <= *to);
    let mut reached = u32::from(first);
    for (from, to) in ranges {
        if u32::from(from) <= reached {
            reached = reached.max(u32::from(to) + 1);
        }
    }
    if reached > u32::from(last) {
        return Match::Yes;
    }
    if let Some(why) = unknown {
        return Match::Unsure(why);
    }
    if !some {
        return Match::No(no());
    }
    Match::Unsure(format!("it asks for source ports {spec}, and the client's is any of {first} to {last}"))
}
