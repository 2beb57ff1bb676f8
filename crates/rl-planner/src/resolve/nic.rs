//! NICs: slots, MACs and addresses, kept where a guest has them and given from what is free.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rl_model::manifest::{Nic, NicAddress, Stack};
use rl_model::{
    AddressMode, GuestId, IfaceAddr, LeaseState, Leases, MacAddr, Network, NetworkName, NicSlot, ObservedGuest,
    PropertyString, ResolvedNic, SiteName,
};

use crate::plan::world::World;

use super::codes;
use super::error::Findings;
use super::mint;
use super::roster::Wanted;

/// Tries for a free MAC. With 40 random bits a second try is rare; the bound only keeps the search finite.
const MAC_TRIES: u32 = 64;

/// Addresses and MACs still to be handed out.
pub(crate) struct Nics<'a> {
    stack: &'a Stack,
    leases: &'a Leases,
    /// Addresses held, by whom where that is one of ours.
    addresses: BTreeMap<(&'a SiteName, IpAddr), Option<GuestId>>,
    macs: BTreeMap<(&'a SiteName, MacAddr), Option<GuestId>>,
    /// What some NIC of the stack is pinned to: no other NIC keeps it, not even one of the same guest.
    pinned_addresses: BTreeSet<(&'a SiteName, IpAddr)>,
    pinned_macs: BTreeSet<(&'a SiteName, MacAddr)>,
    /// Where the search for a free address of a network goes on.
    cursors: BTreeMap<(&'a SiteName, &'a NetworkName, bool), Box<dyn Iterator<Item = IpAddr>>>,
}

impl<'a> Nics<'a> {
    /// Marks as taken what leases hold, what foreign guests were seen with, and what NICs of this stack are pinned to.
    pub(crate) fn new(stack: &'a Stack, roster: &[Wanted<'a>], leases: &'a Leases, world: &World<'a>) -> Self {
        let mut nics = Self {
            stack,
            leases,
            addresses: BTreeMap::new(),
            macs: BTreeMap::new(),
            pinned_addresses: BTreeSet::new(),
            pinned_macs: BTreeSet::new(),
            cursors: BTreeMap::new(),
        };
        let ours: BTreeSet<&GuestId> = roster.iter().map(|wanted| &wanted.id).collect();
        let sites: BTreeSet<&'a SiteName> = roster.iter().map(|wanted| &wanted.site.name).collect();
        for site in sites {
            nics.leased(site);
            let seen = world.site(site).into_iter().flat_map(|seen| seen.guests.values());
            seen.for_each(|guest| nics.seen(site, guest, &ours));
        }
        for wanted in roster {
            nics.held_by(wanted);
        }
        nics
    }

    fn leased(&mut self, site: &'a SiteName) {
        let Some(held) = self.leases.sites.get(site) else { return };
        for (address, lease) in &held.addresses {
            self.addresses.insert((site, *address), Some(lease.guest.clone()));
        }
        for (mac, lease) in &held.macs {
            self.macs.insert((site, *mac), Some(lease.guest.clone()));
        }
    }

    /// Marks what a foreign guest's configuration shows.
    fn seen(&mut self, site: &'a SiteName, guest: &ObservedGuest, ours: &BTreeSet<&GuestId>) {
        let Some(config) = &guest.config else { return };
        if config.stamp.as_ref().is_some_and(|stamp| ours.contains(&stamp.guest)) {
            return;
        }
        let nics = config.fields.0.iter().filter(|(key, _)| matches!(key, rl_model::FieldKey::Nic(_)));
        for (_, text) in nics {
            let parsed = PropertyString::parse(text);
            for address in ["ip", "ip6"].into_iter().filter_map(|key| parsed.get(key)?.parse::<IfaceAddr>().ok()) {
                self.addresses.entry((site, address.address())).or_insert(None);
            }
            if let Some(mac) = parsed.get("hwaddr").and_then(|mac| mac.parse().ok()) {
                self.macs.entry((site, mac)).or_insert(None);
            }
        }
    }

    /// Marks what a guest of this stack is pinned to or has.
    fn held_by(&mut self, wanted: &Wanted<'a>) {
        let site = &wanted.site.name;
        for nic in &wanted.container.nics {
            for pins in [&nic.ipv4, &nic.ipv6] {
                if let NicAddress::Pinned(pins) = pins
                    && let Some(pin) = pins.get(wanted.ordinal)
                {
                    self.pinned_addresses.insert((site, *pin));
                    self.addresses.entry((site, *pin)).or_insert_with(|| Some(wanted.id.clone()));
                }
            }
            if let Some(mac) = nic.mac {
                self.pinned_macs.insert((site, mac));
                self.macs.entry((site, mac)).or_insert_with(|| Some(wanted.id.clone()));
            }
        }
        if let Some(known) = wanted.known {
            for address in known.addresses.values().flatten() {
                self.addresses.entry((site, *address)).or_insert_with(|| Some(wanted.id.clone()));
            }
            for mac in known.macs.values() {
                self.macs.entry((site, *mac)).or_insert_with(|| Some(wanted.id.clone()));
            }
        }
    }

    /// The NICs of a guest in slot order.
    pub(crate) fn resolve(&mut self, wanted: &Wanted<'a>, findings: &mut Findings<'_>) -> Vec<ResolvedNic> {
        let slots = self.slots(wanted, findings);
        let mut out = Vec::new();
        for (nic, slot) in wanted.container.nics.iter().zip(slots) {
            let path = wanted.path(self.stack, &format!("nics.{}", nic.name));
            let Some(network) = wanted.site.networks.get(&nic.network) else {
                let message = format!("site `{}` has no network `{}`", wanted.site.name, nic.network);
                findings.add(codes::ADDRESS_UNFIT, &path, message, "name one of the site's networks");
                continue;
            };
            let mac = self.mac(wanted, nic, &path, findings);
            let ipv4 = self.address(wanted, nic, network, (&nic.ipv4, true), findings);
            let ipv6 = self.address(wanted, nic, network, (&nic.ipv6, false), findings);
            out.push(ResolvedNic {
                slot,
                name: nic.name.clone(),
                network: network.name.clone(),
                bridge: network.bridge.clone(),
                vlan: network.vlan,
                mtu: network.mtu,
                rate_mbps: nic.rate_mbps,
                mac,
                ipv4,
                ipv6,
                firewall: nic.firewall,
            });
        }
        out.sort_by_key(|nic| nic.slot);
        out
    }

    /// A slot for each NIC in the order of the file: the one it has, else the lowest free; the first of a new guest is
    /// `net0`.
    fn slots(&self, wanted: &Wanted<'a>, findings: &mut Findings<'_>) -> Vec<NicSlot> {
        let last = wanted.known.filter(|_| wanted.is_there()).and_then(|known| known.last.as_ref());
        let had = |nic: &Nic| last?.nics.iter().find(|had| had.name == nic.name).map(|had| had.slot);
        let mut used: BTreeSet<NicSlot> = wanted.container.nics.iter().filter_map(had).collect();
        let mut out = Vec::new();
        for nic in &wanted.container.nics {
            let free = (0..).map_while(|number| NicSlot::new(number).ok()).find(|slot| !used.contains(slot));
            let Some(slot) = had(nic).or(free) else {
                let message = format!("`{}` has more NICs than a container can have", wanted.name);
                findings.add(codes::TOO_MANY_SLOTS, &wanted.path(self.stack, "nics"), message, "take some out");
                break;
            };
            used.insert(slot);
            out.push(slot);
        }
        out
    }

    fn mac(&mut self, wanted: &Wanted<'a>, nic: &Nic, path: &str, findings: &mut Findings<'_>) -> MacAddr {
        let site = &wanted.site.name;
        let free = |macs: &BTreeMap<(&SiteName, MacAddr), Option<GuestId>>, mac: MacAddr| {
            macs.get(&(site, mac)).is_none_or(|holder| holder.as_ref() == Some(&wanted.id))
        };
        if let Some(pin) = nic.mac {
            let quarantined = self.leases.sites.get(site).and_then(|held| held.macs.get(&pin));
            if !free(&self.macs, pin) && quarantined.is_none_or(|lease| lease.state == LeaseState::Held) {
                let message =
                    format!("MAC address {pin}, which `{}` is pinned to, is held by another guest", wanted.name);
                findings.add(codes::MAC_HELD, path, message, "pin another one, or leave `mac` out to have one made");
            }
            return pin;
        }
        let known = wanted.known.and_then(|known| known.macs.get(&nic.name)).copied();
        if let Some(mac) = known.filter(|mac| free(&self.macs, *mac) && !self.pinned_macs.contains(&(site, *mac))) {
            return mac;
        }
        let tries = (0..MAC_TRIES).map(|attempt| mint::mac(self.leases.entropy, &wanted.id, &nic.name, attempt));
        let mut tries = tries.filter(|mac| !self.macs.contains_key(&(site, *mac)));
        let mac = tries.next().unwrap_or_else(|| mint::mac(self.leases.entropy, &wanted.id, &nic.name, MAC_TRIES));
        self.macs.insert((site, mac), Some(wanted.id.clone()));
        mac
    }

    /// The address of one family; none after a finding.
    fn address(
        &mut self,
        wanted: &Wanted<'a>,
        nic: &Nic,
        network: &'a Network,
        (mode, v4): (&NicAddress, bool),
        findings: &mut Findings<'_>,
    ) -> AddressMode {
        let path = wanted.path(self.stack, &format!("nics.{}.{}", nic.name, if v4 { "ipv4" } else { "ipv6" }));
        let address = match mode {
            NicAddress::None => return AddressMode::None,
            NicAddress::Dhcp => return AddressMode::Dhcp,
            NicAddress::Auto => return AddressMode::Auto,
            NicAddress::Pinned(pins) => match pins.get(wanted.ordinal) {
                Some(pin) => self.pinned(wanted, *pin, &path, findings),
                None => None,
            },
            NicAddress::Lease => self.lease(wanted, nic, network, v4, &path, findings),
        };
        let Some(address) = address else { return AddressMode::None };
        let joined = network.subnet.map(|subnet| IfaceAddr::new(address, subnet));
        match joined {
            Some(Ok(joined)) => {
                let gateway = network.gateway.filter(|gateway| gateway.is_ipv4() == v4 && *gateway != address);
                AddressMode::Static { address: joined, gateway }
            }
            _ => {
                let subnet =
                    network.subnet.map_or_else(|| "it has no subnet".to_owned(), |net| format!("its subnet is {net}"));
                let message = format!("{address} cannot be used on network `{}`: {subnet}", network.name);
                findings.add(codes::ADDRESS_UNFIT, &path, message, "name an address of the network's subnet");
                AddressMode::None
            }
        }
    }

    fn pinned(&self, wanted: &Wanted<'a>, pin: IpAddr, path: &str, findings: &mut Findings<'_>) -> Option<IpAddr> {
        let site = &wanted.site.name;
        let holder = self.addresses.get(&(site, pin));
        let lease = self.leases.sites.get(site).and_then(|held| held.addresses.get(&pin));
        let quarantined = lease.is_some_and(|lease| lease.state == LeaseState::Quarantined);
        let ours = holder.is_none_or(|holder| holder.as_ref() == Some(&wanted.id));
        if ours || quarantined {
            return Some(pin);
        }
        let by = if lease.is_some() { "another guest of RapidLaunch" } else { "a guest that is not ours" };
        let message = format!("address {pin}, which `{}` is pinned to, is held by {by}", wanted.name);
        let help = "pin another address, or leave it out to have a free one chosen; if it is held by a guest that this \
                    stack releases, apply that first";
        findings.add(codes::ADDRESS_HELD, path, message, help);
        None
    }

    fn lease(
        &mut self,
        wanted: &Wanted<'a>,
        nic: &Nic,
        network: &'a Network,
        v4: bool,
        path: &str,
        findings: &mut Findings<'_>,
    ) -> Option<IpAddr> {
        let site = &wanted.site.name;
        let fits = |address: IpAddr| address.is_ipv4() == v4 && Self::may_lease(network, address);
        let ours = |address: &IpAddr| {
            let pinned = self.pinned_addresses.contains(&(site, *address));
            !pinned && self.addresses.get(&(site, *address)).is_none_or(|holder| holder.as_ref() == Some(&wanted.id))
        };
        let known = wanted.known.and_then(|known| known.addresses.get(&nic.name)).into_iter().flatten();
        if let Some(kept) = known.copied().find(|address| fits(*address) && ours(address)) {
            return Some(kept);
        }
        let cursor = self.cursors.entry((site, &network.name, v4)).or_insert_with(|| {
            let mut ranges = network.addresses.clone();
            ranges.sort_unstable();
            Box::new(ranges.into_iter().flat_map(rl_model::AddressRange::iter))
        });
        let free = cursor.find(|address| {
            address.is_ipv4() == v4
                && Self::may_lease(network, *address)
                && !self.addresses.contains_key(&(site, *address))
        });
        match free {
            Some(address) => drop(self.addresses.insert((site, address), Some(wanted.id.clone()))),
            None => Self::no_address(wanted, network, v4, path, findings),
        }
        free
    }

    /// Whether the network hands an address out: in its ranges, usable in its subnet, and no gateway or name server.
    fn may_lease(network: &Network, address: IpAddr) -> bool {
        network.addresses.iter().any(|range| range.contains(address))
            && network.subnet.is_some_and(|subnet| subnet.usable(address))
            && network.gateway != Some(address)
            && !network.nameservers.contains(&address)
    }

    fn no_address(wanted: &Wanted<'a>, network: &Network, v4: bool, path: &str, findings: &mut Findings<'_>) {
        let family = if v4 { "IPv4" } else { "IPv6" };
        let has_any = network.addresses.iter().any(|range| range.first().is_ipv4() == v4);
        if has_any && network.subnet.is_some() {
            let message = format!("network `{}` has no free {family} address left for `{}`", network.name, wanted.name);
            let help = format!(
                "widen `addresses` of network `{}` on site `{}`, remove guests, \
                 or wait until released addresses may be given out again",
                network.name, wanted.site.name
            );
            findings.add_once(codes::NO_ADDRESS, path, message, help);
        } else {
            let message = format!("network `{}` has no {family} addresses to give to `{}`", network.name, wanted.name);
            findings.add(
                codes::ADDRESS_UNFIT,
                path,
                message,
                "give the network a subnet and `addresses`, or let the NIC use `dhcp`",
            );
        }
    }
}
