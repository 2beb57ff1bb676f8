//! Protocols, services and ICMP types by name, and the checks of ports and protocols that stand on them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Names of `/etc/services` on Debian, as far as they are for tcp, udp or sctp.
const SERVICES_TEXT: &str = include_str!("services.txt");
static SERVICES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| SERVICES_TEXT.split_whitespace().collect());

/// `/etc/protocols` on Debian.
#[rustfmt::skip]
const PROTOCOLS: &[(&str, u16)] = &[
    ("ip", 0), ("hopopt", 0), ("icmp", 1), ("igmp", 2), ("ggp", 3), ("ipencap", 4), ("st", 5), ("tcp", 6),
    ("egp", 8), ("igp", 9), ("pup", 12), ("udp", 17), ("hmp", 20), ("xns-idp", 22), ("rdp", 27),
    ("iso-tp4", 29), ("dccp", 33), ("xtp", 36), ("ddp", 37), ("idpr-cmtp", 38), ("ipv6", 41),
    ("ipv6-route", 43), ("ipv6-frag", 44), ("idrp", 45), ("rsvp", 46), ("gre", 47), ("esp", 50), ("ah", 51),
    ("skip", 57), ("ipv6-icmp", 58), ("ipv6-nonxt", 59), ("ipv6-opts", 60), ("rspf", 73), ("vmtp", 81),
    ("eigrp", 88), ("ospf", 89), ("ax.25", 93), ("ipip", 94), ("etherip", 97), ("encap", 98), ("pim", 103),
    ("ipcomp", 108), ("vrrp", 112), ("l2tp", 115), ("isis", 124), ("sctp", 132), ("fc", 133),
    ("mobility-header", 135), ("udplite", 136), ("mpls-in-ip", 137), ("manet", 138), ("hip", 139),
    ("shim6", 140), ("wesp", 141), ("rohc", 142), ("ethernet", 143), ("mptcp", 262),
];

/// Types that `iptables -p icmp -h` lists.
#[rustfmt::skip]
const ICMP: &[&str] = &[
    "any", "echo-reply", "destination-unreachable", "network-unreachable", "host-unreachable", "protocol-unreachable",
    "port-unreachable", "fragmentation-needed", "source-route-failed", "network-unknown", "host-unknown",
    "network-prohibited", "host-prohibited", "TOS-network-unreachable", "TOS-host-unreachable",
    "communication-prohibited", "host-precedence-violation", "precedence-cutoff", "source-quench", "redirect",
    "network-redirect", "host-redirect", "TOS-network-redirect", "TOS-host-redirect", "echo-request",
    "router-advertisement", "router-solicitation", "time-exceeded", "ttl-zero-during-transit",
    "ttl-zero-during-reassembly", "parameter-problem", "ip-header-bad", "required-option-missing",
    "timestamp-request", "timestamp-reply", "address-mask-request", "address-mask-reply",
];

/// Types that `ip6tables -p icmpv6 -h` lists.
#[rustfmt::skip]
const ICMP6: &[&str] = &[
    "destination-unreachable", "no-route", "communication-prohibited", "beyond-scope", "address-unreachable",
    "port-unreachable", "failed-policy", "reject-route", "packet-too-big", "time-exceeded",
    "ttl-zero-during-transit", "ttl-zero-during-reassembly", "parameter-problem", "bad-header",
    "unknown-header-type", "unknown-option", "echo-request", "echo-reply", "router-solicitation",
    "router-advertisement", "neighbor-solicitation", "neighbour-solicitation", "neighbor-advertisement",
    "neighbour-advertisement", "redirect",
];

/// Modules that may be named in `nf_conntrack_helpers`.
const HELPERS: &[&str] = &["amanda", "ftp", "irc", "netbios-ns", "pptp", "sane", "sip", "snmp", "tftp"];

/// Numbers that a port list may hold; a range counts as two (iptables' multiport).
const PORTS_PER_LIST: usize = 15;

/// Protocols whose packets have ports.
const WITH_PORTS: &[&str] = &["udp", "17", "udplite", "136", "tcp", "6", "dccp", "33", "sctp", "132"];

pub(crate) fn has_ports(proto: &str) -> bool {
    WITH_PORTS.contains(&proto)
}

pub(crate) fn is_icmp(proto: &str) -> bool {
    proto == "icmp"
}

pub(crate) fn is_icmp6(proto: &str) -> bool {
    matches!(proto, "icmpv6" | "ipv6-icmp")
}

/// True when the type exists in that protocol.
pub(crate) fn knows_icmp_type(proto: &str, kind: &str) -> bool {
    if is_icmp(proto) { ICMP.contains(&kind) } else { ICMP6.contains(&kind) }
}

pub(crate) fn check_protocol(proto: &str) -> Result<(), String> {
    let number = |id: u16| id.to_string() == proto;
    let known = proto == "icmpv6" || PROTOCOLS.iter().any(|(name, id)| *name == proto || number(*id));
    // PVE takes the text 0 for no protocol at all.
    if known || proto.is_empty() || proto == "0" { Ok(()) } else { Err(format!("unknown protocol '{proto}'")) }
}

pub(crate) fn check_icmp_type(kind: &str) -> Result<(), String> {
    let known = kind.is_empty() || ICMP.contains(&kind) || ICMP6.contains(&kind);
    if known { Ok(()) } else { Err(format!("invalid icmp-type value '{kind}'")) }
}

pub(crate) fn check_helpers(list: &str) -> Result<(), String> {
    if list.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    match list.split(',').find(|helper| !HELPERS.contains(helper)) {
        Some(helper) => Err(format!("unknown helper {helper}")),
        None => Ok(()),
    }
}

/// Checks a list of ports, ranges and service names; a destination may also name ICMP types.
pub(crate) fn check_ports(list: &str, destination: bool) -> Result<(), String> {
    if list.ends_with(',') {
        return Err("extraneous commas in list".to_owned());
    }
    let (mut count, mut icmp) = (0, false);
    for item in list.split(',') {
        count += match (port_range(item), destination) {
            (Some((first, last)), _) => {
                check_range(first, last)?;
                2
            }
            (None, _) if is_digits(item) => {
                check_port(item)?;
                1
            }
            (None, true) if ICMP.contains(&item) || ICMP6.contains(&item) => {
                icmp = true;
                0
            }
            _ if SERVICES.contains(item) => 0,
            _ => return Err(format!("invalid port '{item}'")),
        };
    }
    if icmp && count > 0 {
        return Err("ICMP ports not allowed in port range".to_owned());
    }
    if count > PORTS_PER_LIST {
        return Err(format!("too many entries in port list (> {PORTS_PER_LIST} numbers)"));
    }
    Ok(())
}

fn port_range(item: &str) -> Option<(&str, &str)> {
    item.split_once(':').filter(|(first, last)| is_digits(first) && is_digits(last))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn check_port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("invalid port '{text}'"))
}

fn check_range(first: &str, last: &str) -> Result<(), String> {
    if check_port(first)? > check_port(last)? {
        return Err(format!("backwards range '{first}:{last}' not allowed, did you mean '{last}:{first}'?"));
    }
    Ok(())
}
