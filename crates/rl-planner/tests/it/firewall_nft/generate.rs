//! Rule sets and packets, rolled from a seed. The texts are kept beside what the parsers made of them, so that the
//! nftables rules are written from the texts alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rl_model::firewall::*;
use rl_model::{GuestKind, MacAddr, NicSlot};
use rl_planner::firewall::{ConnState, Engine, Packet, Question, Sender, SourcePort};

use super::frame;

/// A reproducible source of choices (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end as u64).unwrap()
    }

    /// True this many times in a hundred.
    fn odds(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Names and rules of one level, as texts.
#[derive(Default, Clone)]
pub(super) struct Texts {
    pub(super) aliases: Vec<(String, String)>,
    pub(super) sets: Vec<(String, Vec<(String, bool)>)>,
    pub(super) rules: Vec<RuleText>,
}

/// A rule set, and packets to send through it.
pub(super) struct Case {
    pub(super) view: FirewallView,
    pub(super) site: Texts,
    pub(super) groups: Vec<(String, Vec<RuleText>)>,
    /// Receiver and sender.
    pub(super) guests: [Texts; 2],
    /// Slot of the sending NIC, where a guest sends.
    pub(super) from: Option<NicSlot>,
    pub(super) to: NicSlot,
    pub(super) packets: Vec<Packet>,
}

pub(super) const RECEIVER: usize = 0;
pub(super) const SENDER: usize = 1;
const VMIDS: [&str; 2] = ["2000", "2001"];

const HOSTS_4: [&str; 8] =
    ["10.0.0.5", "10.0.0.20", "10.0.0.21", "10.0.0.77", "10.0.1.5", "10.0.1.9", "192.168.7.1", "192.168.7.200"];
const NETS_4: [&str; 6] =
    ["10.0.0.0/24", "10.0.0.0/8", "10.0.1.0/24", "10.0.0.16/28", "192.168.7.0/25", "192.168.0.0/16"];
const RANGES_4: [&str; 3] = ["10.0.0.5-10.0.0.20", "10.0.0.21-10.0.1.5", "192.168.7.1-192.168.7.9"];
const HOSTS_6: [&str; 6] = ["fd00::5", "fd00::20", "fd00::77", "fd00:1::5", "fd00:1::9", "fe80::ff:fe00:105"];
const NETS_6: [&str; 4] = ["fd00::/64", "fd00::/16", "fd00:1::/48", "fe80::/10"];
const RANGES_6: [&str; 2] = ["fd00::5-fd00::20", "fd00::77-fd00:1::5"];

const DPORTS: [&str; 9] =
    ["22", "80,443", "80:90", "1000:2000,22", "https", "domain", "ssh,8080", "135,139,445", "67:68,5000"];
const SPORTS: [&str; 4] = ["53", "67:68", "1024:65535", "40000,137"];
const TYPES_4: [&str; 5] = ["echo-request", "time-exceeded", "port-unreachable", "any", "destination-unreachable"];
const TYPES_6: [&str; 4] = ["echo-request", "neighbor-solicitation", "packet-too-big", "no-route"];
const MACROS: [&str; 13] = [
    "HTTP",
    "Web",
    "DNS",
    "SSH",
    "Ping",
    "SMB",
    "DHCPfwd",
    "GRE",
    "Trcrt",
    "NeighborDiscovery",
    "DHCPv6",
    "SNMP",
    "IPsec",
];
const ACTIONS: [&str; 3] = ["ACCEPT", "DROP", "REJECT"];

fn p<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

/// MAC of a guest's NIC.
pub(super) fn mac(guest: usize, slot: NicSlot) -> MacAddr {
    p(&format!("02:00:00:00:{:02}:{:02}", guest, slot.number() + 5))
}

impl Case {
    pub(super) fn roll(dice: &mut Dice, packets: usize) -> Self {
        let groups: Vec<(String, Vec<RuleText>)> = ["web", "db"]
            .iter()
            .map(|name| {
                ((*name).to_owned(), rules(dice, 4, &["site-a", "dc/site-b"], &["+site-s", "+dc/site-t"], false))
            })
            .collect();
        let mut site = Texts { aliases: aliases(dice, &["site-a", "site-b", "both-a"]), ..Texts::default() };
        site.sets = sets(dice, &["site-s", "site-t", "both-s"], &["site-a", "dc/site-b"]);
        if dice.odds(30) {
            site.sets.extend(sets(dice, &["blacklist"], &["site-a"]));
        }
        let guests = [RECEIVER, SENDER].map(|_| guest_texts(dice));
        let (from, to) = (dice.odds(60).then(|| slot(dice)), slot(dice));
        let view = view(dice, &site, &groups, &guests);
        let packets = (0..packets).map(|_| packet(dice, from, to)).collect();
        Self { view, site, groups, guests, from, to, packets }
    }

    pub(super) fn engine(&self) -> Engine {
        let nftables = self.view.nodes.values().any(|node| node.options.nftables);
        if nftables { Engine::Nftables } else { Engine::Iptables }
    }

    pub(super) fn guest(&self, which: usize) -> &GuestFirewall {
        &self.view.guests[&p(VMIDS[which])]
    }

    pub(super) fn question(&self, packet: &Packet) -> Question {
        let from = self.from.map_or(Sender::Outside, |slot| Sender::Guest(p(VMIDS[SENDER]), slot));
        Question { from, to: (p(VMIDS[RECEIVER]), self.to), packet: packet.clone() }
    }

    pub(super) fn frames(&self) -> Vec<Vec<u8>> {
        let own = self.from.map_or([2, 0, 0, 0, 9, 9], |slot| mac(SENDER, slot).octets());
        let one =
            |(index, packet): (usize, &Packet)| frame::frame(index, packet, packet.mac.map_or(own, MacAddr::octets));
        self.packets.iter().enumerate().map(one).collect()
    }

    /// The rule set as a person reads it.
    pub(super) fn show(&self) -> String {
        let mut out = format!("from {:?} to {}\n{:#?}\n", self.from, self.to, self.view.nodes);
        for (name, texts) in [("site", &self.site), ("receiver", &self.guests[0]), ("sender", &self.guests[1])] {
            let _ = writeln!(out, "{name}: aliases {:?}, sets {:?}", texts.aliases, texts.sets);
        }
        for which in [RECEIVER, SENDER] {
            let guest = self.guest(which);
            let _ = writeln!(out, "guest {which}: {:?}\n{:?}", guest.options, guest.nics);
            guest.rules.iter().for_each(|rule| shown(&mut out, rule));
        }
        for (name, group) in &self.view.datacenter.groups {
            let _ = writeln!(out, "group {name}");
            group.rules.iter().for_each(|rule| shown(&mut out, rule));
        }
        out
    }
}

fn shown(out: &mut String, rule: &FirewallRule) {
    let _ = writeln!(out, "  {} {rule} enabled {}", rule.position, rule.enabled);
}

fn slot(dice: &mut Dice) -> NicSlot {
    p(dice.pick(&["net0", "net0", "net1"]))
}

fn guest_texts(dice: &mut Dice) -> Texts {
    let mut texts = Texts { aliases: aliases(dice, &["own-a", "both-a"]), ..Texts::default() };
    texts.sets = sets(dice, &["own-s", "both-s"], &["own-a", "guest/both-a", "dc/site-a", "site-b"]);
    if dice.odds(20) {
        texts.sets.extend(sets(dice, &["ipfilter-net0"], &["own-a"]));
    }
    let names = ["own-a", "both-a", "guest/own-a", "dc/both-a", "Site-A"];
    let refs = ["+own-s", "+both-s", "+guest/both-s", "+dc/both-s", "+site-s"];
    texts.rules = rules(dice, 7, &names, &refs, true);
    texts
}

fn aliases(dice: &mut Dice, names: &[&str]) -> Vec<(String, String)> {
    let pool = [&HOSTS_4[..], &NETS_4, &HOSTS_6, &NETS_6].concat();
    names.iter().map(|name| ((*name).to_owned(), dice.pick(&pool).to_owned())).collect()
}

fn sets(dice: &mut Dice, names: &[&str], aliases: &[&str]) -> Vec<(String, Vec<(String, bool)>)> {
    let pool = [&HOSTS_4[..], &NETS_4, &HOSTS_6, &NETS_6, aliases].concat();
    let entries = |dice: &mut Dice| {
        let count = dice.below(6);
        let all: BTreeMap<String, bool> = (0..count).map(|_| (dice.pick(&pool).to_owned(), dice.odds(25))).collect();
        all.into_iter().collect()
    };
    names.iter().map(|name| ((*name).to_owned(), entries(dice))).collect()
}

fn rules(dice: &mut Dice, most: usize, aliases: &[&str], sets: &[&str], of_guest: bool) -> Vec<RuleText> {
    (0..dice.below(most + 1)).map(|pos| rule(dice, pos, aliases, sets, of_guest)).collect()
}

fn rule(dice: &mut Dice, pos: usize, aliases: &[&str], sets: &[&str], of_guest: bool) -> RuleText {
    let mut text = RuleText {
        pos: u32::try_from(pos).unwrap(),
        kind: dice.pick(&["in", "out"]).into(),
        action: dice.pick(&ACTIONS).into(),
        enable: dice.odds(90),
        log: dice.odds(20).then(|| "info".into()),
        ..RuleText::default()
    };
    if of_guest {
        text.iface = dice.odds(30).then(|| dice.pick(&["net0", "net1"]).to_owned());
        if dice.odds(20) {
            text.kind = "group".into();
            text.action = dice.pick(&["web", "db", "gone"]).into();
            return text;
        }
    }
    let v6 = dice.odds(35);
    text.source = dice.odds(45).then(|| address(dice, v6, aliases, sets));
    text.dest = dice.odds(25).then(|| address(dice, v6, aliases, sets));
    payload(dice, v6, &mut text);
    text
}

fn address(dice: &mut Dice, v6: bool, aliases: &[&str], sets: &[&str]) -> String {
    let (hosts, nets, ranges): (&[&str], &[&str], &[&str]) =
        if v6 { (&HOSTS_6, &NETS_6, &RANGES_6) } else { (&HOSTS_4, &NETS_4, &RANGES_4) };
    match dice.below(5) {
        0 => dice.pick(ranges).to_owned(),
        1 => dice.pick(aliases).to_owned(),
        2 => dice.pick(sets).to_owned(),
        _ => {
            let count = 1 + dice.below(3);
            let list: Vec<&str> = (0..count)
                .map(|_| {
                    let pool = if dice.odds(50) { hosts } else { nets };
                    dice.pick(pool)
                })
                .collect();
            list.join(",")
        }
    }
}

fn payload(dice: &mut Dice, v6: bool, text: &mut RuleText) {
    match dice.below(8) {
        0 => {}
        1 | 2 => text.macro_name = Some(dice.pick(&MACROS).into()),
        3 => {
            text.proto = Some(if v6 { dice.pick(&["icmpv6", "ipv6-icmp"]) } else { "icmp" }.into());
            let name = Some(if v6 { dice.pick(&TYPES_6) } else { dice.pick(&TYPES_4) }.to_owned());
            match (dice.below(3), text.proto.as_deref()) {
                (0, _) => text.icmp_type = name,
                (1, Some("icmp" | "icmpv6")) => text.dport = name,
                _ => {}
            }
        }
        4 => text.proto = Some(dice.pick(&["gre", "47", "ospf", "tcp", "17"]).into()),
        _ => {
            text.proto = Some(dice.pick(&["tcp", "udp", "6"]).into());
            text.dport = dice.odds(75).then(|| dice.pick(&DPORTS).into());
            text.sport = dice.odds(20).then(|| dice.pick(&SPORTS).into());
        }
    }
}

fn view(dice: &mut Dice, site: &Texts, groups: &[(String, Vec<RuleText>)], guests: &[Texts; 2]) -> FirewallView {
    let read = |rules: &[RuleText]| -> Vec<FirewallRule> { rules.iter().map(FirewallRule::read).collect() };
    let alias = |(name, cidr): &(String, String)| (p::<AliasName>(name).key(), p(cidr));
    let set = |(name, entries): &(String, Vec<(String, bool)>)| {
        let entry = |(text, nomatch): &(String, bool)| SetEntry::read(text, *nomatch, false);
        (p(name), IpSet { entries: entries.iter().map(entry).collect() })
    };
    let mut view = FirewallView::default();
    view.datacenter.options.enable = dice.odds(97);
    view.datacenter.aliases = site.aliases.iter().map(alias).collect();
    view.datacenter.sets = site.sets.iter().map(set).collect();
    view.datacenter.groups = groups.iter().map(|(name, rules)| (p(name), Group { rules: read(rules) })).collect();
    let node = NodeOptions {
        enable: dice.odds(50),
        nftables: dice.odds(35),
        nosmurfs: dice.odds(70),
        tcpflags: dice.odds(40),
        allow_invalid: dice.odds(50),
    };
    view.nodes.insert(p("pve1"), NodeFirewall { options: node });
    for (which, texts) in guests.iter().enumerate() {
        let guest = GuestFirewall {
            kind: GuestKind::Container,
            node: p("pve1"),
            options: options(dice),
            rules: read(&texts.rules),
            sets: texts.sets.iter().map(set).collect(),
            aliases: texts.aliases.iter().map(alias).collect(),
            nics: ["net0", "net1"].iter().map(|name| (p(name), nic(dice, which, p(name)))).collect(),
        };
        view.guests.insert(p(VMIDS[which]), guest);
    }
    view
}

fn options(dice: &mut Dice) -> GuestOptions {
    let policy = |dice: &mut Dice| dice.odds(70).then(|| p(dice.pick(&ACTIONS)));
    GuestOptions {
        enable: dice.odds(92),
        dhcp: dice.odds(60),
        ndp: dice.odds(60),
        radv: dice.odds(40),
        macfilter: dice.odds(60),
        ipfilter: dice.odds(20),
        policy_in: policy(dice),
        policy_out: policy(dice),
        ..GuestOptions::default()
    }
}

/// Addresses of a guest's NIC, as [`nic`] gives them.
pub(super) fn addresses(guest: usize, slot: NicSlot) -> [&'static str; 2] {
    match (guest, slot.number()) {
        (RECEIVER, 0) => ["10.0.0.20", "fd00::20"],
        (RECEIVER, _) => ["10.0.1.9", "fd00:1::9"],
        (_, 0) => ["10.0.0.5", "fd00::5"],
        _ => ["10.0.1.5", "fd00:1::5"],
    }
}

fn nic(dice: &mut Dice, guest: usize, slot: NicSlot) -> FirewallNic {
    let addresses = addresses(guest, slot).map(p).to_vec();
    FirewallNic { firewall: dice.odds(95), mac: Some(mac(guest, slot)), bridge: Some(p("vmbr0")), addresses }
}

fn packet(dice: &mut Dice, from: Option<NicSlot>, to: NicSlot) -> Packet {
    let v6 = dice.odds(35);
    let family = usize::from(v6);
    let hosts: &[&str] = if v6 { &HOSTS_6 } else { &HOSTS_4 };
    let sent = from.map(|slot| addresses(SENDER, slot)[family]);
    let odd: &[&str] = if v6 { hosts } else { &["224.0.0.9", "255.255.255.255", "0.0.0.0"] };
    let source = match dice.below(10) {
        0 => dice.pick(odd),
        1..=6 => sent.unwrap_or_else(|| dice.pick(hosts)),
        _ => dice.pick(hosts),
    };
    let everyone: &[&str] = if v6 { &["ff02::1"] } else { &["255.255.255.255", "224.0.0.9"] };
    let dest = match dice.below(10) {
        0 => dice.pick(everyone),
        1 => dice.pick(hosts),
        _ => addresses(RECEIVER, to)[family],
    };
    let (source, dest) = (p(source), p(dest));
    let port = dice
        .pick(&[22, 53, 67, 68, 80, 85, 135, 138, 161, 443, 445, 500, 546, 547, 1500, 1900, 43, 5000, 8080, 33_500]);
    let mut packet = match dice.below(10) {
        0..=3 => Packet::tcp(source, dest, port),
        4..=6 => Packet::with_port(source, dest, 17, port),
        7 => Packet::with_port(source, dest, dice.pick(&[47, 50, 89]), 0),
        _ => {
            let kinds: &[(u8, u8)] = if v6 {
                &[(128, 0), (135, 0), (136, 0), (133, 0), (134, 0), (1, 0), (2, 0), (137, 0)]
            } else {
                &[(8, 0), (8, 0), (0, 0), (3, 3), (3, 4), (11, 0), (13, 0)]
            };
            let (kind, code) = dice.pick(kinds);
            Packet::icmp(source, dest, kind, code)
        }
    };
    packet.sport = SourcePort::Known(match port {
        67 | 68 | 546 | 547 if dice.odds(60) => dice.pick(&[67, 68, 546, 547]),
        _ => dice.pick(&[40_000, 40_000, 2000, 53, 137, 500]),
    });
    if packet.proto == 6 && dice.odds(25) {
        packet.flags = dice.pick(&[0x10, 0x03, 0x00, 0x29, 0x12, 0x04, 0x06]);
    }
    if from.is_some() && dice.odds(10) {
        packet.mac = Some(p("02:00:00:00:07:07"));
    }
    packet.state = ConnState::New;
    packet
}
