//! What Proxmox takes from files of its node: services, protocols, ICMP types and the contents of its macros.
//!
//! `GET /cluster/firewall/macros` publishes names and descriptions of macros, not what they match, so that is kept here
//! (macros of pve-firewall 6.0 and proxmox-firewall 1.1).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Engine;

/// `/etc/services` of Debian 12, the release Proxmox VE 8 and 9 descend from: name and port.
const SERVICES: &str = include_str!("services.txt");
/// `/etc/protocols` of Debian 12: name and number.
const PROTOCOLS: &str = include_str!("protocols.txt");

fn read<T: std::str::FromStr>(text: &'static str) -> BTreeMap<&'static str, T> {
    let pair = |line: &'static str| {
        let (name, number) = line.split_once(' ')?;
        Some((name, number.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// Port of a service.
pub(super) fn service(name: &str) -> Option<u16> {
    static TABLE: LazyLock<BTreeMap<&str, u16>> = LazyLock::new(|| read(SERVICES));
    TABLE.get(name).copied()
}

/// Number of a protocol, given as a name or a number. Zero stands for every protocol, as for iptables.
pub(super) fn protocol(name: &str) -> Option<u8> {
    static TABLE: LazyLock<BTreeMap<&str, u8>> = LazyLock::new(|| read(PROTOCOLS));
    name.parse().ok().or_else(|| TABLE.get(name).copied())
}

/// A type of ICMP and, where the name says it, a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IcmpKind {
    /// Every type.
    Any,
    /// A type with all its codes.
    Type(u8),
    /// One code of a type.
    Code(u8, u8),
}

/// Types of ICMP by the names of iptables (RFC 792, RFC 1812), codes where the name has one.
const ICMP: &[(&str, u8, Option<u8>)] = &[
    ("echo-reply", 0, None),
    ("destination-unreachable", 3, None),
    ("network-unreachable", 3, Some(0)),
    ("host-unreachable", 3, Some(1)),
    ("protocol-unreachable", 3, Some(2)),
    ("port-unreachable", 3, Some(3)),
    ("fragmentation-needed", 3, Some(4)),
    ("source-route-failed", 3, Some(5)),
    ("network-unknown", 3, Some(6)),
    ("host-unknown", 3, Some(7)),
    ("network-prohibited", 3, Some(9)),
    ("host-prohibited", 3, Some(10)),
    ("TOS-network-unreachable", 3, Some(11)),
    ("TOS-host-unreachable", 3, Some(12)),
    ("communication-prohibited", 3, Some(13)),
    ("host-precedence-violation", 3, Some(14)),
    ("precedence-cutoff", 3, Some(15)),
    ("source-quench", 4, None),
    ("redirect", 5, None),
    ("network-redirect", 5, Some(0)),
    ("host-redirect", 5, Some(1)),
    ("TOS-network-redirect", 5, Some(2)),
    ("TOS-host-redirect", 5, Some(3)),
    ("echo-request", 8, None),
    ("router-advertisement", 9, None),
    ("router-solicitation", 10, None),
    ("time-exceeded", 11, None),
    ("ttl-zero-during-transit", 11, Some(0)),
    ("ttl-zero-during-reassembly", 11, Some(1)),
    ("parameter-problem", 12, None),
    ("ip-header-bad", 12, Some(0)),
    ("required-option-missing", 12, Some(1)),
    ("timestamp-request", 13, None),
    ("timestamp-reply", 14, None),
    ("address-mask-request", 17, None),
    ("address-mask-reply", 18, None),
];

/// Types of ICMPv6 by the names of ip6tables (RFC 4443, RFC 4861).
const ICMPV6: &[(&str, u8, Option<u8>)] = &[
    ("destination-unreachable", 1, None),
    ("no-route", 1, Some(0)),
    ("communication-prohibited", 1, Some(1)),
    ("beyond-scope", 1, Some(2)),
    ("address-unreachable", 1, Some(3)),
    ("port-unreachable", 1, Some(4)),
    ("failed-policy", 1, Some(5)),
    ("reject-route", 1, Some(6)),
    ("packet-too-big", 2, None),
    ("time-exceeded", 3, None),
    ("ttl-zero-during-transit", 3, Some(0)),
    ("ttl-zero-during-reassembly", 3, Some(1)),
    ("parameter-problem", 4, None),
    ("bad-header", 4, Some(0)),
    ("unknown-header-type", 4, Some(1)),
    ("unknown-option", 4, Some(2)),
    ("echo-request", 128, None),
    ("echo-reply", 129, None),
    ("router-solicitation", 133, None),
    ("router-advertisement", 134, None),
    ("neighbor-solicitation", 135, None),
    ("neighbour-solicitation", 135, None),
    ("neighbor-advertisement", 136, None),
    ("neighbour-advertisement", 136, None),
    ("redirect", 137, None),
];

/// A type by its name or number. IPv4 alone knows `any`.
pub(super) fn icmp_kind(name: &str, v6: bool) -> Option<IcmpKind> {
    if let Ok(number) = name.parse() {
        return Some(IcmpKind::Type(number));
    }
    if name == "any" && !v6 {
        return Some(IcmpKind::Any);
    }
    let table = if v6 { ICMPV6 } else { ICMP };
    let (_, kind, code) = table.iter().find(|(known, ..)| *known == name)?;
    Some(code.map_or(IcmpKind::Type(*kind), |code| IcmpKind::Code(*kind, code)))
}

/// One line of a macro: protocol, destination ports and source ports, empty where any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MacroLine {
    pub(super) proto: &'static str,
    pub(super) dport: &'static str,
    pub(super) sport: &'static str,
}

/// Macros, in the form `protocol/destination ports/source ports`, lines parted by spaces.
const MACROS: &[(&str, &str)] = &[
    ("Amanda", "udp/10080 tcp/10080"),
    ("Auth", "tcp/113"),
    ("BGP", "tcp/179"),
    ("BitTorrent", "tcp/6881:6889 udp/6881"),
    ("BitTorrent32", "tcp/6881:6999 udp/6881"),
    ("CVS", "tcp/2401"),
    ("Ceph", "tcp/6789 tcp/3300 tcp/6800:7300"),
    ("Citrix", "tcp/1494 udp/1604 tcp/2598"),
    ("DAAP", "tcp/3689 udp/3689"),
    ("DCC", "tcp/6277"),
    ("DHCPfwd", "udp/67:68/67:68"),
    ("DNS", "udp/53 tcp/53"),
    ("Distcc", "tcp/3632"),
    ("FTP", "tcp/21"),
    ("Finger", "tcp/79"),
    ("GNUnet", "tcp/2086 udp/2086 tcp/1080 udp/1080"),
    ("GRE", "47"),
    ("Git", "tcp/9418"),
    ("HKP", "tcp/11371"),
    ("HTTP", "tcp/80"),
    ("HTTP/3", "udp/443"),
    ("HTTPS", "tcp/443"),
    ("ICPV2", "udp/3130"),
    ("ICQ", "tcp/5190"),
    ("IMAP", "tcp/143"),
    ("IMAPS", "tcp/993"),
    ("IPIP", "94"),
    ("IPsec", "udp/500/500 50"),
    ("IPsecah", "udp/500/500 51"),
    ("IPsecnat", "udp/500 udp/4500 50"),
    ("IRC", "tcp/6667"),
    ("Jetdirect", "tcp/9100"),
    ("L2TP", "udp/1701"),
    ("LDAP", "tcp/389"),
    ("LDAPS", "tcp/636"),
    ("MDNS", "udp/5353"),
    ("MSNP", "tcp/1863"),
    ("MSSQL", "tcp/1433"),
    ("Mail", "tcp/25 tcp/465 tcp/587"),
    ("Munin", "tcp/4949"),
    ("MySQL", "tcp/3306"),
    ("NNTP", "tcp/119"),
    ("NNTPS", "tcp/563"),
    ("NTP", "udp/123"),
    ("OSPF", "89"),
    ("OpenVPN", "udp/1194"),
    ("PBS", "tcp/8007"),
    ("PCA", "udp/5632 tcp/5631"),
    ("PMG", "tcp/8006"),
    ("POP3", "tcp/110"),
    ("POP3S", "tcp/995"),
    ("PPtP", "47 tcp/1723"),
    ("Ping", "icmp/echo-request"),
    ("PostgreSQL", "tcp/5432"),
    ("Printer", "tcp/515"),
    ("RDP", "tcp/3389"),
    ("RIP", "udp/520"),
    ("RNDC", "tcp/953"),
    ("Razor", "tcp/2703"),
    ("Rdate", "tcp/37"),
    ("Rsync", "tcp/873"),
    ("SANE", "tcp/6566"),
    ("SMB", "udp/135,445 udp/137:139 udp/1024:65535/137 tcp/135,139,445"),
    ("SMBswat", "tcp/901"),
    ("SMTP", "tcp/25"),
    ("SMTPS", "tcp/465"),
    ("SNMP", "udp/161:162 tcp/161"),
    ("SPAMD", "tcp/783"),
    ("SPICEproxy", "tcp/3128"),
    ("SSH", "tcp/22"),
    ("SVN", "tcp/3690"),
    ("SixXS", "tcp/3874 udp/3740 41 udp/5072,8374"),
    ("Squid", "tcp/3128"),
    ("Submission", "tcp/587"),
    ("Syslog", "udp/514 tcp/514"),
    ("TFTP", "udp/69"),
    ("Telnet", "tcp/23"),
    ("Telnets", "tcp/992"),
    ("Time", "tcp/37"),
    ("Trcrt", "udp/33434:33524 icmp/echo-request"),
    ("VNC", "tcp/5900:5999"),
    ("VNCL", "tcp/5500"),
    ("Web", "tcp/80 tcp/443"),
    ("Webcache", "tcp/8080"),
    ("Webmin", "tcp/10000"),
    ("Whois", "tcp/43"),
];

/// Macros that read otherwise for IPv6, or exist for it alone. `proxmox-firewall` has one text for both versions.
const MACROS_V6: &[(&str, &str)] = &[
    ("DHCPv6", "udp/546:547/546:547"),
    (
        "NeighborDiscovery",
        "icmpv6/router-solicitation icmpv6/router-advertisement icmpv6/neighbor-solicitation icmpv6/neighbor-advertisement",
    ),
    ("Ping", "icmpv6/echo-request"),
    ("Trcrt", "udp/33434:33524 icmpv6/echo-request"),
];

/// The names of all macros, each once.
pub(super) fn macro_names() -> impl Iterator<Item = &'static str> + Clone {
    let alone = |name: &&str| !MACROS.iter().any(|(known, _)| known == name);
    MACROS.iter().map(|(name, _)| *name).chain(MACROS_V6.iter().map(|(name, _)| *name).filter(alone))
}

/// What a macro stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Macro {
    /// Lines to match, any of them.
    Lines(Vec<MacroLine>),
    /// It is for the other IP version only.
    OtherFamily,
    /// It is not known here.
    Unknown,
}

/// Looks a macro up, without regard to case.
pub(super) fn find_macro(name: &str, v6: bool, engine: Engine) -> Macro {
    let find = |table: &'static [(&'static str, &'static str)]| {
        table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, text)| *text)
    };
    match (find(MACROS), find(MACROS_V6)) {
        (Some(text), _) | (None, Some(text)) if engine == Engine::Nftables => Macro::Lines(lines(text)),
        (_, Some(text)) if v6 => Macro::Lines(lines(text)),
        (Some(text), _) => Macro::Lines(lines(text)),
        (None, Some(_)) => Macro::OtherFamily,
        (None, None) => Macro::Unknown,
    }
}

fn lines(text: &'static str) -> Vec<MacroLine> {
    let line = |part: &'static str| {
        let mut fields = part.split('/');
        let mut next = || fields.next().unwrap_or_default();
        MacroLine { proto: next(), dport: next(), sport: next() }
    };
    text.split(' ').map(line).collect()
}
