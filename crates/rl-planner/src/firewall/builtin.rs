//! What Proxmox puts in by itself, before a guest's rules and at its policy.
//!
//! `pve-firewall`: chains `PVEFW-smurfs`, `PVEFW-tcpflags`, `PVEFW-Drop`, `PVEFW-Reject`, `PVEFW-reject` and the head of
//! each guest's chain (`Firewall.pm`, `$pve_std_chains_conf` and `ruleset_create_vm_chain`). `proxmox-firewall`: its
//! `proxmox-firewall.nft` and `handle_guest_options`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rl_model::firewall::{FirewallNic, GuestFirewall, IpSetName, NodeOptions};
use rl_model::{GuestKind, MacAddr, NicSlot};

use super::Engine;
use super::explanation::{Verdict, Way};
use super::matching::{Names, member};
use super::packet::{ACK, ConnState, FIN, PSH, Packet, RST, SYN, SourcePort, TCP, UDP, URG};

/// A built-in step that decided: its words and its verdict.
pub(super) type Hit = Option<(&'static str, Verdict)>;

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

/// Name of the set of addresses that reach no guest.
const BLACKLIST: &str = "blacklist";

fn multicast_v4(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_multicast())
}

/// The limited broadcast. Broadcast addresses of the node's own networks count too, and are not known here.
fn broadcast(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Connection tracking, which comes before everything else.
pub(super) fn connection(packet: &Packet, node: &NodeOptions) -> Hit {
    match packet.state {
        ConnState::Invalid if !node.allow_invalid => {
            Some(("connection tracking calls the packet invalid", Verdict::Drop))
        }
        ConnState::Established => Some(("the connection was let through before", Verdict::Accept)),
        ConnState::Invalid | ConnState::New => None,
    }
}

/// ICMP errors, which `proxmox-firewall` lets through before everything else.
pub(super) fn icmp_errors(packet: &Packet) -> Hit {
    let errors: &[u8] = if packet.is_v6() { &[1, 2, 3, 4] } else { &[3, 4, 11] };
    (packet.is_icmp() && errors.contains(&packet.icmp.0)).then_some(("ICMP errors pass", Verdict::Accept))
}

/// Filters of `pve-firewall` on what enters a guest's bridge: blacklist, broadcast senders, impossible TCP flags.
pub(super) fn entry_filters(packet: &Packet, names: &Names<'_>, node: &NodeOptions) -> Result<Hit, String> {
    let black: Option<IpSetName> = BLACKLIST.parse().ok();
    if let Some(set) = black.and_then(|name| names.datacenter.sets.get(&name)) {
        let site = Names { guest: None, ..*names };
        let listed = site.in_set(set, packet.source);
        if listed.map_err(|why| format!("IP set {BLACKLIST} {why}"))? {
            return Ok(Some(("the source is in the IP set blacklist", Verdict::Drop)));
        }
    }
    let smurf = multicast_v4(packet.source) || broadcast(packet.source);
    if node.nosmurfs && packet.state != ConnState::Established && smurf {
        return Ok(Some(("the source is a broadcast or multicast address (nosmurfs)", Verdict::Drop)));
    }
    if node.tcpflags && packet.proto == TCP && impossible(packet) {
        return Ok(Some(("the TCP flags are impossible (tcpflags)", Verdict::Drop)));
    }
    Ok(None)
}

fn impossible(packet: &Packet) -> bool {
    let all = packet.flags & (FIN | SYN | RST | PSH | ACK | URG);
    let both = |pair: u8| packet.flags & pair == pair;
    let opening = packet.flags & (FIN | SYN | RST | ACK) == SYN;
    all == FIN | PSH | URG
        || all == 0
        || both(SYN | RST)
        || both(FIN | SYN)
        || (opening && packet.sport == SourcePort::Known(0))
}

/// What stands before the rules of a guest.
pub(super) fn head(
    engine: Engine,
    way: Way,
    packet: &Packet,
    guest: &GuestFirewall,
    slot: NicSlot,
    names: &Names<'_>,
) -> Result<Hit, String> {
    match engine {
        Engine::Iptables => head_iptables(way, packet, guest, slot, names),
        Engine::Nftables => head_nftables(way, packet, guest, slot, names),
    }
}

fn head_iptables(
    way: Way,
    packet: &Packet,
    guest: &GuestFirewall,
    slot: NicSlot,
    names: &Names<'_>,
) -> Result<Hit, String> {
    let options = &guest.options;
    if options.dhcp && is_dhcp(way, packet, packet.is_v6()) {
        return Ok(Some(("DHCP passes (dhcp)", Verdict::Accept)));
    }
    if way == Way::Out {
        if options.macfilter && foreign_mac(packet, guest, slot) {
            return Ok(Some(("the packet does not bear the NIC's MAC (macfilter)", Verdict::Drop)));
        }
        if is_nd(packet, &[ROUTER_ADVERTISEMENT]) && !options.radv {
            return Ok(Some(("the guest may not send router advertisements (radv)", Verdict::Drop)));
        }
        if filtered_iptables(packet, guest, slot, names)? {
            return Ok(Some(("the source is not an address of the NIC (ipfilter)", Verdict::Drop)));
        }
    }
    let mut kinds = vec![ROUTER_SOLICITATION, NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT];
    if way == Way::In || options.radv {
        kinds.push(ROUTER_ADVERTISEMENT);
    }
    let passes = options.ndp && is_nd(packet, &kinds);
    Ok(passes.then_some(("IPv6 neighbour discovery passes (ndp)", Verdict::Accept)))
}

fn head_nftables(
    way: Way,
    packet: &Packet,
    guest: &GuestFirewall,
    slot: NicSlot,
    names: &Names<'_>,
) -> Result<Hit, String> {
    let options = &guest.options;
    if way == Way::Out && options.macfilter && foreign_mac(packet, guest, slot) {
        return Ok(Some(("the packet does not bear the NIC's MAC (macfilter)", Verdict::Drop)));
    }
    let either = |on: bool, pass, block| Some(if on { (pass, Verdict::Accept) } else { (block, Verdict::Drop) });
    // `proxmox-firewall` does not look at the IP version here.
    if is_dhcp(way, packet, false) || is_dhcp(way, packet, true) {
        return Ok(either(options.dhcp, "DHCP passes (dhcp)", "DHCP is off, which blocks it (dhcp)"));
    }
    let mut kinds = vec![ROUTER_SOLICITATION, NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT];
    if way == Way::In {
        kinds.extend([ROUTER_ADVERTISEMENT, REDIRECT]);
    }
    if is_nd(packet, &kinds) {
        let block = "IPv6 neighbour discovery is off, which blocks it (ndp)";
        return Ok(either(options.ndp, "IPv6 neighbour discovery passes (ndp)", block));
    }
    if way == Way::Out && is_nd(packet, &[ROUTER_ADVERTISEMENT, REDIRECT]) {
        let block = "the guest may not send router advertisements (radv)";
        return Ok(either(options.radv, "router advertisements pass (radv)", block));
    }
    if way == Way::Out && filtered_nftables(packet, guest, slot, names)? {
        return Ok(Some(("the source is not an address of the NIC (ipfilter)", Verdict::Drop)));
    }
    Ok(None)
}

fn is_dhcp(way: Way, packet: &Packet, v6: bool) -> bool {
    let (client, server) = if v6 { (546, 547) } else { (68, 67) };
    let (from, to) = if way == Way::Out { (client, server) } else { (server, client) };
    packet.proto == UDP && packet.sport == SourcePort::Known(from) && packet.dport == to
}

fn is_nd(packet: &Packet, kinds: &[u8]) -> bool {
    packet.is_v6() && packet.is_icmp() && kinds.contains(&packet.icmp.0)
}

fn nic_of(guest: &GuestFirewall, slot: NicSlot) -> Option<&FirewallNic> {
    guest.nics.get(&slot)
}

fn foreign_mac(packet: &Packet, guest: &GuestFirewall, slot: NicSlot) -> bool {
    packet.mac.is_some_and(|mac| nic_of(guest, slot).and_then(|nic| nic.mac).is_some_and(|own| own != mac))
}

/// The addresses that `ipfilter` lets pass by itself: the link-local one of the MAC, and a container's static ones.
fn own_addresses(guest: &GuestFirewall, slot: NicSlot) -> Vec<(IpNet, bool)> {
    let Some(nic) = nic_of(guest, slot) else { return Vec::new() };
    let mut nets: Vec<(IpNet, bool)> =
        nic.mac.iter().map(|mac| (IpNet::from(IpAddr::V6(link_local(*mac))), false)).collect();
    if guest.kind == GuestKind::Container {
        nets.extend(nic.addresses.iter().map(|address| (IpNet::from(*address), false)));
    }
    nets
}

/// The address RFC 4291 appendix A makes from a MAC.
fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.octets();
    let join = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, join(a ^ 2, b), join(c, 0xff), join(0xfe, d), join(e, f))
}

fn declared(guest: &GuestFirewall, slot: NicSlot, names: &Names<'_>) -> Result<Option<Vec<(IpNet, bool)>>, String> {
    let name: Option<IpSetName> = format!("ipfilter-{slot}").parse().ok();
    let set = name.and_then(|name| guest.sets.get(&name));
    let entries = set.map(|set| names.entries(set)).transpose();
    entries.map_err(|why| format!("IP set ipfilter-{slot} {why}"))
}

/// `pve-firewall` filters when the option is on or the set exists, and adds the NIC's own addresses to either.
fn filtered_iptables(packet: &Packet, guest: &GuestFirewall, slot: NicSlot, names: &Names<'_>) -> Result<bool, String> {
    let set = declared(guest, slot, names)?;
    if set.is_none() && !guest.options.ipfilter {
        return Ok(false);
    }
    let mut entries = set.unwrap_or_default();
    entries.extend(own_addresses(guest, slot));
    if let Ok(net) = "fe80::/10".parse() {
        entries.push((net, true));
    }
    Ok(!member(Engine::Iptables, &later_counts(entries), packet.source))
}

/// Keeps the last entry of each network.
fn later_counts(entries: Vec<(IpNet, bool)>) -> Vec<(IpNet, bool)> {
    entries.into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect()
}

/// `proxmox-firewall` filters only when the option is on, and takes the set instead of the NIC's own addresses.
fn filtered_nftables(packet: &Packet, guest: &GuestFirewall, slot: NicSlot, names: &Names<'_>) -> Result<bool, String> {
    if !guest.options.ipfilter {
        return Ok(false);
    }
    let entries = declared(guest, slot, names)?.unwrap_or_else(|| own_addresses(guest, slot));
    Ok(!member(Engine::Nftables, &entries, packet.source))
}

/// What a rejection becomes: some packets are never answered.
pub(super) fn rejected(engine: Engine, way: Way, packet: &Packet) -> Verdict {
    let silent = match engine {
        // Rejecting is not possible where nftables looks at what enters a guest.
        Engine::Nftables if way == Way::In => true,
        Engine::Nftables => multicast_v4(packet.source) || broadcast(packet.dest),
        Engine::Iptables => packet.is_icmp() || multicast_v4(packet.source) || broadcast(packet.dest),
    };
    if silent { Verdict::Drop } else { Verdict::Reject }
}

/// What `pve-firewall` looks at before the policies DROP and REJECT.
pub(super) fn before_policy(packet: &Packet, rejects: bool) -> Hit {
    let plain = if rejects { rejected(Engine::Iptables, Way::In, packet) } else { Verdict::Drop };
    if packet.is_v6() && packet.proto == TCP && packet.dport == 43 {
        return Some(("port 43 is always rejected over IPv6", Verdict::Reject));
    }
    let everyone = match packet.dest {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    if everyone {
        return Some(("broadcasts and multicasts are dropped before the policy", Verdict::Drop));
    }
    if packet.is_icmp() {
        let vital =
            if packet.is_v6() { matches!(packet.icmp.0, 1..=3) } else { packet.icmp == (3, 4) || packet.icmp.0 == 11 };
        if vital {
            return Some(("vital ICMP errors pass before the policy", Verdict::Accept));
        }
    }
    if packet.state == ConnState::Invalid {
        return Some(("packets of no connection are dropped before the policy", Verdict::Drop));
    }
    if is_smb(packet) {
        return Some(("noise of Windows shares is taken out before the policy", plain));
    }
    if packet.proto == UDP && packet.dport == 1900 {
        return Some(("UPnP is dropped before the policy", Verdict::Drop));
    }
    if packet.proto == TCP && packet.flags & (FIN | SYN | RST | ACK) != SYN {
        return Some(("TCP packets that open no connection are dropped before the policy", Verdict::Drop));
    }
    let dns_answer = packet.proto == UDP && packet.sport == SourcePort::Known(53);
    dns_answer.then_some(("late DNS answers are dropped before the policy", Verdict::Drop))
}

fn is_smb(packet: &Packet) -> bool {
    match packet.proto {
        UDP => {
            matches!(packet.dport, 135 | 445 | 137..=139)
                || (packet.sport == SourcePort::Known(137) && packet.dport >= 1024)
        }
        TCP => matches!(packet.dport, 135 | 139 | 445),
        _ => false,
    }
}
