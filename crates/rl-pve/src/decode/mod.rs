//! From answers to `rl_model` types. Nothing here can fail: what makes no sense is left out and told as unread.

mod config;
pub mod firewall;
mod resources;

use std::collections::BTreeMap;
use std::net::IpAddr;

use rl_model::{Bridge, BridgeName, IfaceAddr, LiveInterface, ObservedStorage, StorageId, VolumeId};

use crate::api::lxc::{AddressRow, InterfaceRow};
use crate::api::{cluster, network, storage};
use crate::wire::Rows;

pub use config::{container_config, effective, pending_config, pending_keys};
pub use resources::{SiteRows, site_rows};

/// Interfaces inside a running container; loopback and link-local addresses are left out.
pub fn live_interfaces(rows: Rows<InterfaceRow>) -> Vec<LiveInterface> {
    rows.into_iter().filter_map(live_interface).collect()
}

fn live_interface(row: InterfaceRow) -> Option<LiveInterface> {
    let name = row.name.parse().ok()?;
    let mac = row.hwaddr.and_then(|mac| mac.parse().ok());
    let listed = row.addresses.into_iter().filter_map(|row| address(&row));
    let mut addresses: Vec<IfaceAddr> = listed.collect();
    // Releases before 8.4 list one address of each family only.
    for text in [row.inet, row.inet6].into_iter().flatten() {
        if let Ok(address) = text.parse::<IfaceAddr>()
            && !addresses.iter().any(|have| have.address() == address.address())
        {
            addresses.push(address);
        }
    }
    addresses.retain(|address| !is_link_local(address.address()));
    Some(LiveInterface { name, mac, addresses })
}

fn address(row: &AddressRow) -> Option<IfaceAddr> {
    format!("{}/{}", row.ip_address.as_deref()?, row.prefix?.0).parse().ok()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// What a NIC can hang on. VNets and Open vSwitch bridges always take VLAN tags and are up when they are listed.
pub fn bridges(rows: Rows<network::InterfaceRow>) -> BTreeMap<BridgeName, Bridge> {
    let bridge = |row: network::InterfaceRow| {
        let linux = row.kind == "bridge";
        let name = row.iface.parse().ok()?;
        let vlan_aware = if linux { row.bridge_vlan_aware.is_some_and(|on| on.0) } else { true };
        let active = if linux { row.active.is_some_and(|on| on.0) } else { row.active.is_none_or(|on| on.0) };
        Some((name, Bridge { vlan_aware, active }))
    };
    rows.into_iter().filter_map(bridge).collect()
}

/// Volumes of a content list, templates above all.
pub fn volumes(rows: Rows<storage::ContentRow>) -> Vec<VolumeId> {
    rows.into_iter().filter_map(|row| row.volid.parse().ok()).collect()
}

/// The storages of one node.
pub fn storages(rows: Rows<storage::StorageRow>) -> BTreeMap<StorageId, ObservedStorage> {
    let one = |row: storage::StorageRow| {
        let name: StorageId = row.storage.parse().ok()?;
        let on = |flag: Option<crate::wire::PveBool>| flag.is_none_or(|flag| flag.0);
        let storage = ObservedStorage {
            kind: row.kind,
            content: split_list(&row.content),
            shared: row.shared.is_some_and(|shared| shared.0),
            available: on(row.enabled) && on(row.active),
            total_bytes: row.total.unwrap_or_default().unsigned(),
            used_bytes: row.used.unwrap_or_default().unsigned(),
        };
        Some((name, storage))
    };
    rows.into_iter().filter_map(one).collect()
}

/// Parts of a `,` separated list, sorted: Proxmox gives them in any order.
fn split_list(text: &str) -> Vec<String> {
    let mut parts: Vec<String> =
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    parts.sort_unstable();
    parts
}

/// Whether the site has a quorum; a node without a cluster always has.
pub fn quorate(rows: &Rows<cluster::StatusRow>) -> bool {
    rows.0.iter().find(|row| row.kind == "cluster").is_none_or(|row| row.quorate.is_none_or(|quorate| quorate.0))
}

#[cfg(test)]
mod tests;
