//! A question about a whole network: the network is cut where an address of the rules begins or ends.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use rl_model::firewall::{AddressRange, AddressSpec, FirewallRule, FirewallView, IpSet, SetMember};

use super::chain::{Question, explain};
use super::explanation::{Explanation, Step, Verdict};

/// Most pieces a network is cut into; each is walked on its own.
pub const PARTS_MAX: usize = 4_096;

/// Addresses of a network that the firewall treats alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The addresses, from first to last.
    pub range: AddressRange,
    /// What becomes of packets from them.
    pub explanation: Explanation,
}

/// The rules cut the network into more than [`PARTS_MAX`] pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rules cut the network into {0} pieces, at most {PARTS_MAX} are walked; ask about a smaller network")]
pub struct TooManyParts(pub usize);

/// Explains a question for every address of a network in place of the packet's source. Neighbouring addresses that one
/// and the same step decides for are told together.
///
/// # Errors
/// [`TooManyParts`] when the rules name too many addresses inside the network.
pub fn explain_network(view: &FirewallView, question: &Question, net: IpNet) -> Result<Vec<Part>, TooManyParts> {
    let (first, last) = (to_number(net.network()), to_number(net.broadcast()));
    let mut starts = BTreeSet::from([first]);
    for range in ranges(view).into_iter().filter(|range| range.is_ipv4() == net.network().is_ipv4()) {
        let after = to_number(range.last()).checked_add(1);
        let edges = [Some(to_number(range.first())), after];
        starts.extend(edges.into_iter().flatten().filter(|edge| first < *edge && *edge <= last));
    }
    if starts.len() > PARTS_MAX {
        return Err(TooManyParts(starts.len()));
    }
    let starts: Vec<u128> = starts.into_iter().collect();
    let mut parts: Vec<Part> = Vec::new();
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).map_or(last, |next| next - 1);
        let source = to_address(*start, net);
        let mut asked = question.clone();
        asked.packet.source = source;
        let explanation = explain(view, &asked);
        match parts.last_mut() {
            Some(before) if alike(&before.explanation, &explanation) => {
                before.range = range(before.range.first(), to_address(end, net), before.range);
            }
            _ => {
                parts.push(Part { range: range(source, to_address(end, net), AddressRange::of_net(net)), explanation })
            }
        }
    }
    Ok(parts)
}

/// The range between two addresses that are known to be in order.
fn range(first: IpAddr, last: IpAddr, otherwise: AddressRange) -> AddressRange {
    AddressRange::new(first, last).unwrap_or(otherwise)
}

/// Whether the same step decides.
fn alike(one: &Explanation, other: &Explanation) -> bool {
    let key = |explanation: &Explanation| -> (Verdict, usize, Option<Step>) {
        (explanation.verdict, explanation.decided_in, explanation.deciding().cloned())
    };
    key(one) == key(other)
}

/// Every address that anything in the view speaks of.
fn ranges(view: &FirewallView) -> Vec<AddressRange> {
    let mut out = Vec::new();
    let site = &view.datacenter;
    out.extend(site.aliases.values().map(|alias| AddressRange::of_net(alias.net)));
    site.sets.values().for_each(|set| of_set(set, &mut out));
    site.groups.values().for_each(|group| of_rules(&group.rules, &mut out));
    for guest in view.guests.values() {
        out.extend(guest.aliases.values().map(|alias| AddressRange::of_net(alias.net)));
        guest.sets.values().for_each(|set| of_set(set, &mut out));
        of_rules(&guest.rules, &mut out);
    }
    // What Proxmox's own filters look at: no address, multicast, broadcast.
    let own = ["0.0.0.0", "224.0.0.0/4", "255.255.255.255"];
    out.extend(own.iter().filter_map(|text| text.parse::<AddressRange>().ok()));
    out
}

fn of_set(set: &IpSet, out: &mut Vec<AddressRange>) {
    for entry in &set.entries {
        if let Ok(SetMember::Net(net)) = &entry.member {
            out.push(AddressRange::of_net(*net));
        }
    }
}

fn of_rules(rules: &[FirewallRule], out: &mut Vec<AddressRange>) {
    for rule in rules {
        if let Some(AddressSpec::Ranges(ranges)) = &rule.source {
            out.extend(ranges);
        }
    }
}

fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The address with this number, in the family of the network.
fn to_address(number: u128, net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    }
}
