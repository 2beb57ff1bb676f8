//! Whether a site has as many addresses and VMIDs as its guests need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rl_model::manifest::{Location, Origins};
use rl_model::{AddressRange, Network, NetworkName, Site, SiteName};

use super::super::link::{Placed, modes};
use super::super::nic::Mode;
use super::super::report::Findings;
use crate::diagnostic::{Diagnostic, codes};

/// Addresses of one network of one site that are taken.
#[derive(Default)]
struct Use {
    leased: u128,
    pinned: u128,
}

/// Counts the leased and pinned addresses of each network against its ranges; reported where it runs out.
pub(super) fn addresses(findings: &mut Findings, placed: &[Placed<'_>], origins: &Origins) {
    let mut uses: BTreeMap<(&SiteName, &NetworkName, bool), Use> = BTreeMap::new();
    for one in placed {
        let Some(site) = one.site else { continue };
        for (nic, network) in one.nics() {
            let (ipv4, ipv6) = modes(nic, network);
            for (mode, v6) in [(ipv4, false), (ipv6, true)] {
                let count = uses.entry((&site.name, &network.name, v6)).or_default();
                let size = size(network, v6);
                let was_enough = count.leased + count.pinned <= size;
                match mode {
                    Mode::Lease => count.leased += u128::from(one.draft.guests()),
                    Mode::Pinned(list) => {
                        count.pinned += list.iter().filter(|a| in_ranges(network, a.value)).count() as u128
                    }
                    _ => {}
                }
                if count.leased > 0 && size > 0 && was_enough && count.leased + count.pinned > size {
                    let at = nic.network.as_ref().map(|sp| &sp.at);
                    few_addresses(findings, site, network, count, size, at, origins);
                }
            }
        }
    }
}

fn in_ranges(network: &Network, address: IpAddr) -> bool {
    network.addresses.iter().any(|range| range.contains(address))
}

/// Addresses that can be handed out: those of the ranges without the gateway.
fn size(network: &Network, v6: bool) -> u128 {
    let ranges = network.addresses.iter().filter(|range| range.first().is_ipv6() == v6);
    let gateway = network.gateway.filter(|gateway| gateway.is_ipv6() == v6 && in_ranges(network, *gateway));
    ranges.map(|range| length(*range)).fold(0u128, u128::saturating_add) - u128::from(gateway.is_some())
}

fn length(range: AddressRange) -> u128 {
    match (range.first(), range.last()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(u32::from(b) - u32::from(a)) + 1,
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(b) - u128::from(a)).saturating_add(1),
        _ => 0,
    }
}

fn few_addresses(
    findings: &mut Findings,
    site: &Site,
    network: &Network,
    count: &Use,
    size: u128,
    at: Option<&Location>,
    origins: &Origins,
) {
    let needed = count.leased + count.pinned;
    let message = format!("the network `{}` hands out {size} addresses, its guests need {needed}", network.name);
    let ranges = origins.find(&format!("sites.{}.networks.{}.addresses", site.name, network.name));
    findings.push(
        Diagnostic::error(codes::TOO_FEW_ADDRESSES, at, message)
            .label("here they run out")
            .related(ranges, "the addresses handed out")
            .help("widen `addresses`, or lower `count`"),
    );
}

/// Counts the guests of each site against its VMIDs.
pub(super) fn vmids(findings: &mut Findings, placed: &[Placed<'_>], origins: &Origins) {
    let mut guests: BTreeMap<&SiteName, u64> = BTreeMap::new();
    for one in placed {
        let Some(site) = one.site else { continue };
        let (count, size) = (guests.entry(&site.name).or_default(), u64::from(site.vmids.size()));
        let was_enough = *count <= size;
        *count += u64::from(one.draft.guests());
        if was_enough && *count > size {
            let message = format!("the site `{}` has {size} VMIDs, its guests need more", site.name);
            findings.push(
                Diagnostic::error(codes::TOO_FEW_VMIDS, Some(&one.draft.name.at), message)
                    .label("here they run out")
                    .related(origins.get(&format!("sites.{}.vmids", site.name)), "the site's range")
                    .help("widen `vmids`, or lower `count`"),
            );
        }
    }
}
