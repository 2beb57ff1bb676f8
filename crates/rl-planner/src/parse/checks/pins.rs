//! Pinned VMIDs, MACs and addresses: each once per site, and where they belong.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rl_model::manifest::{Location, Origins};
use rl_model::{MacAddr, Network, Site, SiteName, Vmid};

use super::super::link::{Placed, modes};
use super::super::network::usable;
use super::super::nic::{Mode, NicDraft};
use super::super::report::{Findings, Sp};
use crate::diagnostic::{Diagnostic, codes};

/// VMIDs lie in the site's range, each once.
pub(super) fn vmids(findings: &mut Findings, placed: &[Placed<'_>], origins: &Origins) {
    let mut seen: BTreeMap<(&SiteName, Vmid), &Location> = BTreeMap::new();
    for one in placed {
        let Some(site) = one.site else { continue };
        for vmid in one.draft.vmids.iter().flat_map(|list| &list.value) {
            if !site.vmids.contains(vmid.value) {
                let message = format!(
                    "the VMID {} lies outside {}, the range of the site `{}`",
                    vmid.value, site.vmids, site.name
                );
                findings.push(
                    Diagnostic::error(codes::VMID_OUTSIDE, Some(&vmid.at), message)
                        .related(origins.get(&format!("sites.{}.vmids", site.name)), "the site's range")
                        .help("take one from the range, widen the range, or leave `vmid` out"),
                );
            }
            if let Some(first) = seen.get(&(&site.name, vmid.value)).copied() {
                let message = format!("two guests are pinned to the VMID {}", vmid.value);
                findings.push(
                    Diagnostic::error(codes::VMID_TWICE, Some(&vmid.at), message)
                        .related(Some(first), "first guest")
                        .help("give one of them another VMID, or leave `vmid` out"),
                );
            } else {
                seen.insert((&site.name, vmid.value), &vmid.at);
            }
        }
    }
}

/// MACs are unique on a site.
pub(super) fn macs(findings: &mut Findings, placed: &[Placed<'_>]) {
    let mut seen: BTreeMap<(&SiteName, MacAddr), &Location> = BTreeMap::new();
    for one in placed {
        let Some(site) = one.site else { continue };
        for mac in one.draft.nics.iter().filter_map(|nic| nic.mac.as_ref()) {
            let Some(first) = seen.get(&(&site.name, mac.value)).copied() else {
                seen.insert((&site.name, mac.value), &mac.at);
                continue;
            };
            findings.push(
                Diagnostic::error(
                    codes::MAC_TWICE,
                    Some(&mac.at),
                    format!("two NICs are pinned to the MAC {}", mac.value),
                )
                .related(Some(first), "first NIC")
                .help("remove one of them; a NIC without `mac` is given its own"),
            );
        }
    }
}

/// Addresses fit their network, and no two NICs of a site have one.
pub(super) fn addresses(findings: &mut Findings, placed: &[Placed<'_>], origins: &Origins) {
    let mut seen: BTreeMap<(&SiteName, IpAddr), &Location> = BTreeMap::new();
    for one in placed {
        let Some(site) = one.site else { continue };
        for (nic, network) in one.nics() {
            for address in pinned(nic) {
                if !fits(findings, site, network, address, origins) {
                    continue;
                }
                let Some(first) = seen.get(&(&site.name, address.value)).copied() else {
                    seen.insert((&site.name, address.value), &address.at);
                    continue;
                };
                let message = format!("two NICs are pinned to the address {}", address.value);
                findings.push(
                    Diagnostic::error(codes::ADDRESS_TWICE, Some(&address.at), message)
                        .related(Some(first), "first NIC")
                        .help("give one of them another address, or `lease`"),
                );
            }
            leased(findings, site, network, nic, origins);
        }
    }
}

/// The pinned addresses of a NIC.
fn pinned(nic: &NicDraft) -> impl Iterator<Item = &Sp<IpAddr>> {
    [&nic.ipv4, &nic.ipv6].into_iter().flatten().flat_map(|mode| match &mode.value {
        Mode::Pinned(list) => list.as_slice(),
        _ => &[],
    })
}

fn fits(findings: &mut Findings, site: &Site, network: &Network, address: &Sp<IpAddr>, origins: &Origins) -> bool {
    let path = format!("sites.{}.networks.{}", site.name, network.name);
    let Some(subnet) = network.subnet else {
        if origins.get(&format!("{path}.subnet")).is_none() {
            let message =
                format!("the network `{}` has no subnet, so the address {} has no prefix", network.name, address.value);
            findings.push(
                Diagnostic::error(codes::NO_ADDRESSES, Some(&address.at), message)
                    .related(origins.get(&path), "the network")
                    .help("give the network `subnet: ADDRESS/PREFIX`, or the NIC `dhcp`"),
            );
        }
        return false;
    };
    if !subnet.usable(address.value) {
        let message = match subnet.contains(address.value) {
            true => format!("{} is the own or the broadcast address of {subnet}", address.value),
            false => format!("the address {} lies outside {subnet}, the subnet of `{}`", address.value, network.name),
        };
        findings.push(
            Diagnostic::error(codes::ADDRESS_OUTSIDE, Some(&address.at), message)
                .related(origins.get(&format!("{path}.subnet")), "the network's subnet")
                .help(format!("usable here are {}", usable(subnet))),
        );
        return false;
    }
    if network.gateway == Some(address.value) {
        let message = format!("{} is the gateway of `{}`", address.value, network.name);
        findings.push(
            Diagnostic::error(codes::ADDRESS_OUTSIDE, Some(&address.at), message)
                .related(origins.get(&format!("{path}.gateway")), "the gateway is set here")
                .help("choose another address"),
        );
        return false;
    }
    true
}

/// A lease needs a network with ranges of its family.
fn leased(findings: &mut Findings, site: &Site, network: &Network, nic: &NicDraft, origins: &Origins) {
    let path = format!("sites.{}.networks.{}", site.name, network.name);
    let broken = |key: &str, empty: bool| empty && origins.get(&format!("{path}.{key}")).is_some();
    if broken("addresses", network.addresses.is_empty()) || broken("subnet", network.subnet.is_none()) {
        return;
    }
    let (ipv4, ipv6) = modes(nic, network);
    for (mode, v6, given) in [(ipv4, false, &nic.ipv4), (ipv6, true, &nic.ipv6)] {
        if mode != Mode::Lease || network.addresses.iter().any(|range| range.first().is_ipv6() == v6) {
            continue;
        }
        let family = if v6 { "IPv6" } else { "IPv4" };
        let message = format!("the network `{}` has no {family} addresses to hand out", network.name);
        let at = given.as_ref().map(|sp| &sp.at).or(nic.network.as_ref().map(|sp| &sp.at));
        findings.push(
            Diagnostic::error(codes::NO_ADDRESSES, at, message)
                .label("an address is to be leased here")
                .related(origins.get(&path), "the network")
                .help("give the network `addresses: FIRST-LAST`, or the NIC an address, `dhcp` or `none`"),
        );
    }
}
