//! Reads one entry of a site's `networks:`.

use std::net::IpAddr;

use rl_model::manifest::Location;
use rl_model::{AddressRange, BridgeName, Cidr, Fqdn, Network, NetworkName, VlanId};

use super::fields::{Fields, Shape};
use super::report::{Report, Sp};
use super::tree::{Node, Place, shown};
use super::values::{Limits, one_or_list, parsed, text};
use crate::diagnostic::{Diagnostic, codes};

pub(crate) const NETWORK: Shape = Shape {
    name: "Network",
    what: "a network",
    keys: &["bridge", "vlan", "mtu", "subnet", "gateway", "addresses", "nameservers", "search_domain"],
};

/// Smallest MTU: what every IPv4 host must take (RFC 791).
const MTU_MIN: u32 = 576;

/// Reads a network; everything wrong is reported.
pub(crate) fn network(
    report: &mut Report<'_>,
    node: &Node,
    owner: Place,
    name: &NetworkName,
    path: &str,
) -> Option<Network> {
    let fields = Fields::open(report, node, owner, path, &NETWORK)?;
    let bridge = fields.require(report, "bridge", "bridge: vmbr0").and_then(|node| parsed::<BridgeName>(report, node));
    let vlan = fields.integer(report, "vlan", Limits { what: "a VLAN tag", min: 1, max: 4094 });
    let mtu = fields.integer(report, "mtu", Limits { what: "an MTU in bytes", min: MTU_MIN, max: 65_535 });
    let subnet = fields.parsed::<Cidr>(report, "subnet");
    let gateway = fields.get(report, "gateway").and_then(|node| address(report, node));
    let ranges = fields.path("addresses");
    let addresses = fields.get(report, "addresses").map(|node| {
        one_or_list(report, node, |report, item| {
            let found = parsed::<AddressRange>(report, item)?;
            report.origins.insert(format!("{ranges}.{}", found.value), found.at.clone());
            Some(found)
        })
    });
    let nameservers = fields.list(report, "nameservers", |r, node| address(r, node).map(|sp| sp.value));
    let search_domain = fields.parsed::<Fqdn>(report, "search_domain");
    let addresses = addresses.unwrap_or_default();
    fits(report, &fields, subnet.as_ref(), gateway.as_ref(), &addresses);
    Some(Network {
        name: name.clone(),
        bridge: bridge?.value,
        vlan: vlan.and_then(|sp| VlanId::try_from(u16::try_from(sp.value).ok()?).ok()),
        mtu: mtu.and_then(|sp| u16::try_from(sp.value).ok()),
        subnet: subnet.map(|sp| sp.value),
        gateway: gateway.map(|sp| sp.value),
        addresses: addresses.into_iter().map(|sp| sp.value).collect(),
        nameservers: nameservers.unwrap_or_default(),
        search_domain: search_domain.map(|sp| sp.value),
    })
}

/// Reads an address without prefix length.
pub(crate) fn address(report: &mut Report<'_>, node: &Node) -> Option<Sp<IpAddr>> {
    let text = text(report, node, "an address as text")?;
    if let Ok(value) = text.parse() {
        return Some(Sp { value, at: report.at(node.place) });
    }
    let help = match text.split_once('/') {
        Some((bare, _)) if bare.parse::<IpAddr>().is_ok() => {
            format!("write it without the prefix length: `{bare}`")
        }
        _ => "write an address such as 10.20.0.5 or 2001:db8::5".to_owned(),
    };
    report.error(codes::INVALID_VALUE, node.place, &format!("`{}` is no valid address", shown(text)), "", &help);
    None
}

/// Holds that the gateway and the ranges lie in the subnet.
fn fits(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    subnet: Option<&Sp<Cidr>>,
    gateway: Option<&Sp<IpAddr>>,
    addresses: &[Sp<AddressRange>],
) {
    let Some(subnet) = subnet else {
        if fields.entry("subnet").is_none() {
            let needy = gateway.map(|g| ("gateway", &g.at)).into_iter();
            for (key, at) in needy.chain(addresses.first().map(|first| ("addresses", &first.at))) {
                report.findings.push(
                    Diagnostic::error(codes::KEYS_CONFLICT, Some(at), format!("`{key}` is given without `subnet`"))
                        .help("add the network's range, as in `subnet: 10.20.0.0/24`"),
                );
            }
        }
        return;
    };
    let net = subnet.value;
    if let Some(gateway) = gateway.filter(|g| !net.usable(g.value)) {
        let message = format!("the gateway {} does not fit the subnet {net}", gateway.value);
        outside(report, codes::GATEWAY_OUTSIDE, &message, &gateway.at, subnet);
    }
    for range in addresses {
        let (first, last) = (range.value.first(), range.value.last());
        if let Some(bad) = [first, last].into_iter().find(|end| !net.usable(*end)) {
            let message = if net.contains(bad) {
                format!("the address {bad} is the subnet's own or broadcast address")
            } else {
                format!("the address {bad} lies outside the subnet {net}")
            };
            outside(report, codes::ADDRESS_OUTSIDE, &message, &range.at, subnet);
        }
    }
}

fn outside(report: &mut Report<'_>, code: &'static str, message: &str, at: &Location, subnet: &Sp<Cidr>) {
    let help = format!("usable here are {}", usable(subnet.value));
    report.findings.push(
        Diagnostic::error(code, Some(at), message).related(Some(&subnet.at), "the subnet is set here").help(help),
    );
}

/// The addresses of a subnet that guests may have, as text.
pub(crate) fn usable(subnet: Cidr) -> String {
    let net = subnet.net();
    let mut hosts = net.hosts();
    let first = hosts.find(|address| subnet.usable(*address)).unwrap_or(net.addr());
    let last = match net {
        ipnet::IpNet::V4(v4) if v4.prefix_len() < 31 => IpAddr::V4((u32::from(v4.broadcast()) - 1).into()),
        ipnet::IpNet::V4(v4) => IpAddr::V4(v4.broadcast()),
        ipnet::IpNet::V6(v6) => IpAddr::V6(v6.broadcast()),
    };
    format!("{first} to {last}")
}
