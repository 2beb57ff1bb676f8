//! Address ranges and endpoints of sites against each other.

use std::collections::BTreeMap;

use rl_model::manifest::{Location, Origins};
use rl_model::{AddressRange, Endpoint, Network, Site, SiteName};

use super::super::report::Findings;
use crate::diagnostic::{Diagnostic, codes};

/// Whether a site is declared in the files given; others were checked when they were stored.
fn declared(origins: &Origins, site: &Site) -> bool {
    origins.get(&format!("sites.{}", site.name)).is_some()
}

/// Ranges of one site must not share an address: a lease is unique per site.
pub(super) fn within_sites(findings: &mut Findings, sites: &BTreeMap<SiteName, Site>, origins: &Origins) {
    for site in sites.values().filter(|site| declared(origins, site)) {
        let all = ranges(site);
        for ((network, range), (other, second)) in overlaps(&all, &all) {
            let message = match network.name == other.name {
                true => format!("the ranges {range} and {second} of the network `{}` overlap", network.name),
                false => format!("the ranges of the networks `{}` and `{}` overlap", network.name, other.name),
            };
            findings.push(
                Diagnostic::error(codes::RANGES_OVERLAP, place(origins, site, other, second), message)
                    .label(format!("shares addresses with {range}"))
                    .related(place(origins, site, network, range), "the other range")
                    .help("an address must not be handed out twice; part the ranges"),
            );
        }
    }
}

/// Ranges of two sites in one data centre most likely lie in one network.
pub(super) fn between_sites(findings: &mut Findings, sites: &BTreeMap<SiteName, Site>, origins: &Origins) {
    let all: Vec<&Site> = sites.values().collect();
    for (index, site) in all.iter().enumerate() {
        let neighbours = all[index + 1..].iter().filter(|o| o.datacenter.is_some() && o.datacenter == site.datacenter);
        for other in neighbours.filter(|other| declared(origins, site) || declared(origins, other)) {
            for ((network, range), (neighbour, second)) in overlaps(&ranges(site), &ranges(other)) {
                let message = format!(
                    "the sites `{}` and `{}` in one data centre hand out the same addresses",
                    site.name, other.name
                );
                findings.push(
                    Diagnostic::warning(codes::RANGES_OVERLAP, place(origins, other, neighbour, second), message)
                        .label(format!("shares addresses with {range}"))
                        .related(place(origins, site, network, range), format!("the range of `{}`", site.name))
                        .help("part the ranges, unless these are networks that never meet"),
                );
            }
        }
    }
}

/// Two sites must not be one: each would take the other's guests for strangers.
pub(super) fn endpoints(findings: &mut Findings, sites: &BTreeMap<SiteName, Site>, origins: &Origins) {
    let mut seen: BTreeMap<&Endpoint, &Site> = BTreeMap::new();
    for site in sites.values() {
        for endpoint in &site.endpoints {
            let Some(first) = seen.insert(endpoint, site).filter(|first| first.name != site.name) else { continue };
            let place = |site: &Site| origins.get(&format!("sites.{}.proxmox.endpoints.{endpoint}", site.name));
            if !declared(origins, first) && !declared(origins, site) {
                continue;
            }
            let (at, other) = if place(site).is_some() { (site, first) } else { (first, site) };
            let message = format!("the sites `{}` and `{}` have one endpoint", first.name, site.name);
            findings.push(
                Diagnostic::error(codes::ENDPOINT_TWICE, place(at), message)
                    .related(place(other), "the same endpoint")
                    .help("a site is one Proxmox cluster; give each its own endpoints, or keep one site"),
            );
        }
    }
}

/// Where a range of a network was written.
fn place<'o>(origins: &'o Origins, site: &Site, network: &Network, range: AddressRange) -> Option<&'o Location> {
    let path = format!("sites.{}.networks.{}.addresses", site.name, network.name);
    origins.get(&format!("{path}.{range}")).or_else(|| origins.get(&path))
}

/// A range with its network.
type Owned<'a> = (&'a Network, AddressRange);
type Ranges<'a> = Vec<Owned<'a>>;

/// Every range of a site, sorted by its first address.
fn ranges(site: &Site) -> Ranges<'_> {
    let mut all: Ranges<'_> = site
        .networks
        .values()
        .flat_map(|network| network.addresses.iter().map(move |range| (network, *range)))
        .collect();
    all.sort_by_key(|(network, range)| (*range, network.name.clone()));
    all
}

/// Most overlaps looked at: each is reported, and nobody reads more.
const OVERLAPS_MAX: usize = 50;

/// The pairs that share an address; of one and the same list, each pair once.
fn overlaps<'a>(one: &Ranges<'a>, two: &Ranges<'a>) -> Vec<(Owned<'a>, Owned<'a>)> {
    let same = std::ptr::eq(one, two);
    let mut out = Vec::new();
    for (index, first) in one.iter().enumerate() {
        let rest = if same { &two[index + 1..] } else { two.as_slice() };
        // Both are sorted by their first address, so what begins behind the end cannot overlap.
        let near = rest.iter().take_while(|second| second.1.first() <= first.1.last());
        out.extend(near.filter(|second| first.1.overlaps(second.1)).map(|second| (*first, *second)));
        if out.len() > OVERLAPS_MAX {
            return out;
        }
    }
    out
}
