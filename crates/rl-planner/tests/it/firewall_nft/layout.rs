//! The rules of `pve-firewall` as nftables rules: its chains, one for one, in the layout of its `iptables-save`.
//!
//! IP sets are written as a ladder of single matches from the longest prefix to the shortest, which is how the kernel's
//! `hash:net` sets with `nomatch` decide. Nothing here uses the evaluator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ipnet::IpNet;
use rl_model::NicSlot;
use rl_model::firewall::{FirewallAction, RuleText};

use super::generate::{Case, RECEIVER, SENDER, Texts, addresses, mac};

/// Rules that record what becomes of each packet, told by its hop count.
fn recorder() -> String {
    let mut out = String::from("flush ruleset\ntable inet rec {\n");
    for name in ["accepted", "dropped", "rejected", "invalid"] {
        let _ = write!(
            out,
            "set {name}4 {{ typeof ip ttl; size 512; flags dynamic; }}\n\
             set {name}6 {{ typeof ip6 hoplimit; size 512; flags dynamic; }}\n\
             chain note-{name} {{\nadd @{name}4 {{ ip ttl }}\nadd @{name}6 {{ ip6 hoplimit }}\n}}\n\
             chain to-{name} {{\njump note-{name}\ndrop\n}}\n"
        );
    }
    out.push_str(
        "chain look { type filter hook prerouting priority -5; policy accept;\n\
         iifname \"fwrecv\" ct state invalid jump note-invalid\n}\n\
         chain arrived { type filter hook prerouting priority 20; policy accept;\n\
         iifname \"fwrecv\" goto to-accepted\n}\n",
    );
    out
}

/// How names of IP sets are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sets {
    /// As ladders.
    Ladder,
    /// As two sets of nftables, members and exceptions.
    Pair,
}

/// A growing rule file.
pub(super) struct Text<'a> {
    pub(super) case: &'a Case,
    pub(super) sets: Sets,
    out: String,
    count: usize,
}

impl<'a> Text<'a> {
    pub(super) fn new(case: &'a Case, sets: Sets) -> Self {
        Self { case, sets, out: recorder(), count: 0 }
    }

    pub(super) fn chain(&mut self, name: &str, lines: &[String]) {
        let _ = writeln!(self.out, "chain {name} {{\n{}\n}}", lines.join("\n"));
    }

    pub(super) fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("}\n");
        self.out
    }

    /// The networks of a set, the later of two entries for one network.
    pub(super) fn nets(&self, texts: &Texts, guest: Option<usize>, name: &str) -> Option<BTreeMap<IpNet, bool>> {
        let (_, entries) = texts.sets.iter().find(|(known, _)| known == name)?;
        let net = |text: &str| -> IpNet {
            let text = self.alias(guest, text).unwrap_or_else(|| text.to_owned());
            text.parse::<IpNet>().unwrap_or_else(|_| IpNet::from(text.parse::<std::net::IpAddr>().unwrap())).trunc()
        };
        Some(entries.iter().map(|(text, nomatch)| (net(text), *nomatch)).collect())
    }

    /// The network of an alias: the guest's before the site's, unless a prefix says otherwise.
    fn alias(&self, guest: Option<usize>, text: &str) -> Option<String> {
        let text = text.to_ascii_lowercase();
        let own = guest.map(|which| &self.case.guests[which]);
        let find = |texts: &Texts, name: &str| {
            texts.aliases.iter().find(|(known, _)| known == name).map(|(_, cidr)| cidr.clone())
        };
        if let Some(name) = text.strip_prefix("dc/") {
            return find(&self.case.site, name);
        }
        if let Some(name) = text.strip_prefix("guest/") {
            return own.and_then(|own| find(own, name));
        }
        own.and_then(|own| find(own, &text)).or_else(|| find(&self.case.site, &text))
    }

    /// A set that a rule names, with a name for it that is unique.
    fn set(&self, guest: Option<usize>, text: &str) -> Option<(String, BTreeMap<IpNet, bool>)> {
        let own = |name: &str| {
            let which = guest?;
            Some((format!("g{which}-{name}"), self.nets(&self.case.guests[which], guest, name)?))
        };
        let site = |name: &str| Some((format!("dc-{name}"), self.nets(&self.case.site, None, name)?));
        if let Some(name) = text.strip_prefix("dc/") {
            return site(name);
        }
        if let Some(name) = text.strip_prefix("guest/") {
            return own(name);
        }
        own(text).or_else(|| site(text))
    }

    /// Lines that go on to `next` when an address is one of a specification's; `None` where a name is nowhere.
    fn step(&self, guest: Option<usize>, spec: Option<&str>, field: &str, next: &str) -> Option<Vec<String>> {
        let Some(spec) = spec else { return Some(vec![format!("goto {next}")]) };
        let family = |text: &str| if text.contains(':') { "ip6" } else { "ip" };
        if let Some(name) = spec.strip_prefix('+') {
            let (unique, nets) = self.set(guest, name)?;
            return Some(match self.sets {
                Sets::Ladder => ladder(&nets, field, "return", &format!("goto {next}")),
                Sets::Pair => ["4", "6"]
                    .iter()
                    .map(|v| {
                        let ip = if *v == "4" { "ip" } else { "ip6" };
                        format!("{ip} {field} @{unique}-v{v} {ip} {field} != @{unique}-v{v}-nomatch goto {next}")
                    })
                    .collect(),
            });
        }
        if spec.starts_with(|c: char| c.is_ascii_alphabetic()) && !spec.contains(':') {
            let cidr = self.alias(guest, spec)?;
            return Some(vec![format!("{} {field} {cidr} goto {next}", family(&cidr))]);
        }
        Some(spec.split(',').map(|part| format!("{} {field} {part} goto {next}", family(part))).collect())
    }

    /// Chains for one rule; gives the name of the first, or nothing where the rule cannot be.
    pub(super) fn rule(&mut self, guest: Option<usize>, rule: &RuleText, verdict: &str) -> Option<String> {
        self.count += 1;
        let name = format!("rule{}", self.count);
        let source = self.step(guest, rule.source.as_deref(), "saddr", &format!("{name}-dest"))?;
        let dest = self.step(guest, rule.dest.as_deref(), "daddr", &format!("{name}-do"))?;
        let payloads = payloads(rule, self.sets == Sets::Pair);
        let first: Vec<String> = payloads.iter().map(|payload| format!("{payload} goto {name}-source")).collect();
        self.chain(&format!("{name}-do"), &[verdict.to_owned()]);
        self.chain(&format!("{name}-dest"), &dest);
        self.chain(&format!("{name}-source"), &source);
        self.chain(&name, &first);
        Some(name)
    }
}

/// A ladder over the networks of a set, longest prefix first.
pub(super) fn ladder(nets: &BTreeMap<IpNet, bool>, field: &str, out: &str, hit: &str) -> Vec<String> {
    let mut nets: Vec<(&IpNet, &bool)> = nets.iter().collect();
    nets.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
    let line = |(net, nomatch): (&IpNet, &bool)| {
        let ip = if net.addr().is_ipv4() { "ip" } else { "ip6" };
        format!("{ip} {field} {net} {}", if *nomatch { out } else { hit })
    };
    nets.into_iter().map(line).collect()
}

/// The payloads a rule speaks of, in nftables' words; `one_text` where a macro reads alike for both IP versions.
fn payloads(rule: &RuleText, one_text: bool) -> Vec<String> {
    let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    if let Some(name) = rule.macro_name.as_deref() {
        let ping = if one_text { &["icmp type 8"][..] } else { &["icmp type 8", "icmpv6 type 128"] };
        return match name {
            "HTTP" => owned(&["tcp dport 80"]),
            "Web" => owned(&["tcp dport 80", "tcp dport 443"]),
            "DNS" => owned(&["udp dport 53", "tcp dport 53"]),
            "SSH" => owned(&["tcp dport 22"]),
            "Ping" => owned(ping),
            "SMB" => owned(&[
                "udp dport { 135, 445 }",
                "udp dport 137-139",
                "udp dport 1024-65535 udp sport 137",
                "tcp dport { 135, 139, 445 }",
            ]),
            "DHCPfwd" => owned(&["udp dport 67-68 udp sport 67-68"]),
            "GRE" => owned(&["meta l4proto 47"]),
            "Trcrt" => [owned(&["udp dport 33434-33524"]), owned(ping)].concat(),
            "NeighborDiscovery" => owned(&["icmpv6 type 133-136"]),
            "DHCPv6" if one_text => owned(&["udp dport 546-547 udp sport 546-547"]),
            "DHCPv6" => owned(&["meta nfproto ipv6 udp dport 546-547 udp sport 546-547"]),
            "SNMP" => owned(&["udp dport 161-162", "tcp dport 161"]),
            "IPsec" => owned(&["udp dport 500 udp sport 500", "meta l4proto 50"]),
            other => panic!("macro {other}"),
        };
    }
    let Some(proto) = rule.proto.as_deref() else { return vec![String::new()] };
    let kind = rule.icmp_type.as_deref().or(rule.dport.as_deref());
    let ports = |th: &str, proto: &str| {
        let side = |word: &str, spec: Option<&String>| {
            spec.map(|spec| format!(" {th} {word} {{ {} }}", spec.replace(':', "-"))).unwrap_or_default()
        };
        vec![format!(
            "meta l4proto {proto}{}{}",
            side("dport", rule.dport.as_ref()),
            side("sport", rule.sport.as_ref())
        )]
    };
    match proto {
        "icmp" => vec![format!("meta nfproto ipv4 meta l4proto icmp {}", kind.map_or("", icmp))],
        "icmpv6" | "ipv6-icmp" => vec![format!("meta nfproto ipv6 meta l4proto icmpv6 {}", kind.map_or("", icmpv6))],
        "tcp" | "6" => ports("tcp", "tcp"),
        "udp" | "17" => ports("udp", "udp"),
        "gre" | "47" => owned(&["meta l4proto 47"]),
        "ospf" => owned(&["meta l4proto 89"]),
        other => panic!("protocol {other}"),
    }
}

fn icmp(name: &str) -> &'static str {
    match name {
        "echo-request" => "icmp type 8",
        "time-exceeded" => "icmp type 11",
        "port-unreachable" => "icmp type 3 icmp code 3",
        "destination-unreachable" => "icmp type 3",
        "any" => "",
        other => panic!("ICMP type {other}"),
    }
}

fn icmpv6(name: &str) -> &'static str {
    match name {
        "echo-request" => "icmpv6 type 128",
        "neighbor-solicitation" => "icmpv6 type 135",
        "packet-too-big" => "icmpv6 type 2",
        "no-route" => "icmpv6 type 1 icmpv6 code 0",
        other => panic!("ICMPv6 type {other}"),
    }
}

/// Chains that `pve-firewall` always has.
const STANDARD: &str = r#"
chain PVEFW-reject {
    fib daddr type broadcast goto to-dropped
    ip saddr 224.0.0.0/4 goto to-dropped
    meta nfproto ipv4 meta l4proto icmp goto to-dropped
    meta nfproto ipv6 meta l4proto icmpv6 goto to-dropped
    goto to-rejected
}
chain PVEFW-DropBroadcast {
    meta nfproto ipv4 fib daddr type { broadcast, multicast, anycast } goto to-dropped
    ip daddr 224.0.0.0/4 goto to-dropped
    ip6 daddr ff00::/8 goto to-dropped
}
chain PVEFW-Drop {
    meta nfproto ipv6 tcp dport 43 goto PVEFW-reject
    jump PVEFW-DropBroadcast
    icmp type 3 icmp code 4 accept
    icmp type 11 accept
    icmpv6 type { 1, 2, 3 } accept
    ct state invalid goto to-dropped
    udp dport { 135, 445 } goto to-dropped
    udp dport 137-139 goto to-dropped
    udp sport 137 udp dport 1024-65535 goto to-dropped
    tcp dport { 135, 139, 445 } goto to-dropped
    udp dport 1900 goto to-dropped
    tcp flags & (fin | syn | rst | ack) != syn goto to-dropped
    udp sport 53 goto to-dropped
}
chain PVEFW-Reject {
    meta nfproto ipv6 tcp dport 43 goto PVEFW-reject
    jump PVEFW-DropBroadcast
    icmp type 3 icmp code 4 accept
    icmp type 11 accept
    icmpv6 type { 1, 2, 3 } accept
    ct state invalid goto to-dropped
    udp dport { 135, 445 } goto PVEFW-reject
    udp dport 137-139 goto PVEFW-reject
    udp sport 137 udp dport 1024-65535 goto PVEFW-reject
    tcp dport { 135, 139, 445 } goto PVEFW-reject
    udp dport 1900 goto to-dropped
    tcp flags & (fin | syn | rst | ack) != syn goto to-dropped
    udp sport 53 goto to-dropped
}
chain PVEFW-tcpflags {
    tcp flags & (fin | syn | rst | psh | ack | urg) == fin | psh | urg goto to-dropped
    tcp flags & (fin | syn | rst | psh | ack | urg) == 0x0 goto to-dropped
    tcp flags & (syn | rst) == syn | rst goto to-dropped
    tcp flags & (fin | syn) == fin | syn goto to-dropped
    tcp sport 0 tcp flags & (fin | syn | rst | ack) == syn goto to-dropped
}
chain PVEFW-smurfs {
    ip saddr 0.0.0.0 return
    fib saddr type broadcast goto to-dropped
    ip saddr 224.0.0.0/4 goto to-dropped
}
"#;

/// The whole rule file of a case.
pub(super) fn rules(case: &Case) -> String {
    let mut text = Text::new(case, Sets::Ladder);
    text.raw(STANDARD);
    let mut group_chains = Vec::new();
    for (name, rules) in &case.groups {
        for way in ["in", "out"] {
            let mut lines = vec!["meta mark set 0".to_owned()];
            for rule in rules.iter().filter(|rule| rule.enable && rule.kind == way) {
                let verdict = match rule.action.as_str() {
                    "ACCEPT" => "meta mark set 1",
                    "DROP" => "goto to-dropped",
                    _ => "goto PVEFW-reject",
                };
                if let Some(chain) = text.rule(None, rule, verdict) {
                    lines.extend([format!("jump {chain}"), "meta mark 1 return".to_owned()]);
                }
            }
            group_chains.push((format!("GROUP-{name}-{way}"), lines));
        }
    }
    group_chains.iter().for_each(|(name, lines)| text.chain(name, lines));
    ["in", "out"].iter().for_each(|way| text.chain(&format!("GROUP-gone-{way}"), &["meta mark set 0".into()]));
    if let Some(slot) = case.from {
        tap(&mut text, SENDER, slot, "out");
        base(&mut text, SENDER, slot, "out", 0);
    }
    tap(&mut text, RECEIVER, case.to, "in");
    base(&mut text, RECEIVER, case.to, "in", 10);
    text.finish()
}

/// The hook of one passage of a bridge: `PVEFW-FORWARD` and what it calls.
fn base(text: &mut Text<'_>, which: usize, slot: NicSlot, way: &str, priority: i32) {
    let case = text.case;
    let guest = case.guest(which);
    let node = &case.view.nodes.values().next().unwrap().options;
    let mut lines = vec![
        format!("type filter hook prerouting priority {priority}; policy accept;"),
        "iifname != \"fwrecv\" accept".to_owned(),
    ];
    if case.view.datacenter.options.enable {
        if !node.allow_invalid {
            lines.push("ct state invalid goto to-dropped".into());
        }
        lines.push("ct state established,related accept".into());
        if guest.nics[&slot].firewall {
            lines.push(format!("jump PVEFW-FWBR-{way}"));
        }
    }
    let mut bridge = Vec::new();
    if way == "in" {
        if let Some(nets) = text.nets(&case.site, None, "blacklist") {
            text.chain("PVEFW-blacklist", &ladder(&nets, "saddr", "return", "goto to-dropped"));
            bridge.push("jump PVEFW-blacklist".to_owned());
        }
        if node.nosmurfs {
            bridge.push("meta nfproto ipv4 ct state invalid,new jump PVEFW-smurfs".into());
        }
        if node.tcpflags {
            bridge.push("meta l4proto tcp jump PVEFW-tcpflags".into());
        }
    }
    if guest.options.enable {
        bridge.push(format!("jump tap-{way}"));
    }
    text.chain(&format!("PVEFW-FWBR-{way}"), &bridge);
    text.chain(&format!("base-{way}"), &lines);
}

/// The chain of a guest's NIC.
fn tap(text: &mut Text<'_>, which: usize, slot: NicSlot, way: &str) {
    let case = text.case;
    let options = case.guest(which).options.clone();
    let mut lines = Vec::new();
    if options.dhcp {
        let (from4, to4, from6, to6) = if way == "out" { (68, 67, 546, 547) } else { (67, 68, 547, 546) };
        lines.push(format!("meta nfproto ipv4 udp sport {from4} udp dport {to4} accept"));
        lines.push(format!("meta nfproto ipv6 udp sport {from6} udp dport {to6} accept"));
    }
    if way == "out" {
        if options.macfilter {
            lines.push(format!("ether saddr != {} goto to-dropped", mac(which, slot)));
        }
        if !options.radv {
            lines.push("icmpv6 type 134 goto to-dropped".into());
        }
        let declared = text.nets(&case.guests[which], Some(which), &format!("ipfilter-{slot}"));
        if options.ipfilter || declared.is_some() {
            let mut nets = declared.unwrap_or_default();
            let own = addresses(which, slot).map(|own| IpNet::from(own.parse::<std::net::IpAddr>().unwrap()));
            nets.extend(own.map(|net| (net, false)));
            // fe80:: with the universal bit of 02:00:00:00:gg:nn turned over.
            let link = format!("fe80::ff:fe00:{:x}", u16::try_from(which).unwrap() << 8 | u16::from(slot.number() + 5));
            nets.insert(IpNet::from(link.parse::<std::net::IpAddr>().unwrap()), false);
            nets.insert("fe80::/10".parse().unwrap(), true);
            let mut ladder = ladder(&nets, "saddr", "goto to-dropped", "return");
            ladder.push("goto to-dropped".into());
            text.chain("ipfilter", &ladder);
            lines.push("jump ipfilter".into());
        }
        lines.push("meta mark set 0".into());
    }
    if options.ndp {
        let kinds = if way == "in" || options.radv { "133, 134, 135, 136" } else { "133, 135, 136" };
        lines.push(format!("icmpv6 type {{ {kinds} }} accept"));
    }
    for rule in &case.guests[which].rules {
        if !rule.enable || rule.iface.as_ref().is_some_and(|iface| *iface != slot.to_string()) {
            continue;
        }
        if rule.kind == "group" {
            lines.extend([format!("jump GROUP-{}-{way}", rule.action), "meta mark 1 accept".to_owned()]);
        } else if rule.kind == way {
            let verdict = match rule.action.as_str() {
                "ACCEPT" => "accept",
                "DROP" => "goto to-dropped",
                _ => "goto PVEFW-reject",
            };
            lines.extend(text.rule(Some(which), rule, verdict).map(|chain| format!("jump {chain}")));
        }
    }
    let unset = if way == "in" { FirewallAction::Drop } else { FirewallAction::Accept };
    let policy = if way == "in" { options.policy_in } else { options.policy_out };
    lines.extend(match policy.unwrap_or(unset) {
        FirewallAction::Accept => vec!["accept".to_owned()],
        FirewallAction::Drop => vec!["jump PVEFW-Drop".into(), "goto to-dropped".into()],
        FirewallAction::Reject => vec!["jump PVEFW-Reject".into(), "goto PVEFW-reject".into()],
    });
    text.chain(&format!("tap-{way}"), &lines);
}
