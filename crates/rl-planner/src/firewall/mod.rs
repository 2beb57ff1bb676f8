//! What a site's firewall does with a packet, and which rule decides.
//!
//! The walk follows the chains that Proxmox builds, in Proxmox's order: the datacenter's switch, connection tracking,
//! the NIC's switch, the filters that are built in, the guest's switch, the guest's rules with each group in its place,
//! and the policy. A packet from a guest walks the sender's way out first and then the receiver's way in.
//!
//! Proxmox has two implementations, `pve-firewall` on iptables and `proxmox-firewall` on nftables (the node's option
//! `nftables`); [`Engine`] names the one that is followed. Where one cannot tell what Proxmox does, the explanation says
//! so, and the verdict is [`Verdict::Unclear`] unless it is the same either way.

mod builtin;
mod chain;
mod explanation;
mod matching;
mod needed;
mod packet;
mod parts;
mod tables;

pub use chain::{Question, Sender, explain};
pub use explanation::{Engine, Explanation, Level, Outcome, Stage, Step, Verdict, Way};
pub use needed::{FirewallsNeeded, entrances_needed, firewalls_needed};
pub use packet::{ConnState, ICMP, ICMPV6, Packet, SYN, SourcePort, TCP, UDP};
pub use parts::{PARTS_MAX, Part, TooManyParts, explain_network};

/// Whether a macro's protocols and ports are known here.
pub fn knows_macro(name: &str) -> bool {
    tables::find_macro(name, true, Engine::Iptables) != tables::Macro::Unknown
}

/// Macros of Proxmox whose protocols and ports are known here, as it spells them.
pub fn macro_names() -> impl Iterator<Item = &'static str> + Clone {
    tables::macro_names()
}

/// Number of a protocol by its name or number in `/etc/protocols`.
pub fn protocol_number(name: &str) -> Option<u8> {
    tables::protocol(name)
}

/// Port of a service by its name in `/etc/services`.
pub fn service_port(name: &str) -> Option<u16> {
    tables::service(name)
}

/// Whether a protocol has ports.
pub fn has_ports(proto: u8) -> bool {
    packet::WITH_PORTS.contains(&proto)
}

#[cfg(test)]
mod tests;
