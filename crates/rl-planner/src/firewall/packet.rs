//! The packet a question is about.

use std::net::IpAddr;

use rl_model::MacAddr;

/// TCP (IANA protocol numbers, as are the ones below).
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv4.
pub const ICMP: u8 = 1;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// Protocols with ports for Proxmox: TCP, UDP, DCCP, SCTP, UDP-Lite.
pub(super) const WITH_PORTS: [u8; 5] = [TCP, UDP, 33, 132, 136];

/// TCP flag FIN (RFC 9293 section 3.1, as are the ones below).
pub(super) const FIN: u8 = 1;
/// TCP flag SYN.
pub const SYN: u8 = 2;
/// TCP flag RST.
pub(super) const RST: u8 = 4;
/// TCP flag PSH.
pub(super) const PSH: u8 = 8;
/// TCP flag ACK.
pub(super) const ACK: u8 = 16;
/// TCP flag URG.
pub(super) const URG: u8 = 32;

/// First port Linux picks for a client by itself (`net.ipv4.ip_local_port_range`).
pub(super) const EPHEMERAL_FIRST: u16 = 32_768;
/// Last port Linux picks for a client by itself.
pub(super) const EPHEMERAL_LAST: u16 = 60_999;

/// Port a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourcePort {
    /// This one.
    Known(u16),
    /// One the client's kernel picked, 32768 to 60999.
    Picked,
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnState {
    /// The first packet of a connection.
    New,
    /// Belongs to a connection that was let through before, or is related to one.
    Established,
    /// Belongs to nothing.
    Invalid,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to; of the same family.
    pub dest: IpAddr,
    /// IP protocol number.
    pub proto: u8,
    /// Source port, for protocols with ports.
    pub sport: SourcePort,
    /// Destination port, for protocols with ports.
    pub dport: u16,
    /// ICMP type and code, for ICMP.
    pub icmp: (u8, u8),
    /// TCP flags.
    pub flags: u8,
    /// Connection state.
    pub state: ConnState,
    /// MAC it bears; `None` when it is the sender's own.
    pub mac: Option<MacAddr>,
}

impl Packet {
    fn new(source: IpAddr, dest: IpAddr, proto: u8) -> Self {
        Self {
            source,
            dest,
            proto,
            sport: SourcePort::Picked,
            dport: 0,
            icmp: (0, 0),
            flags: 0,
            state: ConnState::New,
            mac: None,
        }
    }

    /// The first packet of a TCP connection.
    pub fn tcp(source: IpAddr, dest: IpAddr, dport: u16) -> Self {
        Self { dport, flags: SYN, ..Self::new(source, dest, TCP) }
    }

    /// The first packet of an exchange over a protocol with ports other than TCP.
    pub fn with_port(source: IpAddr, dest: IpAddr, proto: u8, dport: u16) -> Self {
        Self { dport, ..Self::new(source, dest, proto) }
    }

    /// An ICMP packet of the family of the addresses.
    pub fn icmp(source: IpAddr, dest: IpAddr, kind: u8, code: u8) -> Self {
        let proto = if source.is_ipv4() { ICMP } else { ICMPV6 };
        Self { icmp: (kind, code), ..Self::new(source, dest, proto) }
    }

    /// An echo request of the family of the addresses.
    pub fn ping(source: IpAddr, dest: IpAddr) -> Self {
        Self::icmp(source, dest, if source.is_ipv4() { 8 } else { 128 }, 0)
    }

    pub(super) fn is_v6(&self) -> bool {
        self.dest.is_ipv6()
    }

    pub(super) fn is_icmp(&self) -> bool {
        matches!((self.proto, self.is_v6()), (ICMP, false) | (ICMPV6, true))
    }
}
