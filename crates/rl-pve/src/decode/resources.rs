//! The resource list, sorted into nodes, storages and guests.

use std::collections::BTreeMap;

use rl_model::config::split_tags;
use rl_model::{
    GuestKind, GuestStatus, NodeName, ObservedGuest, ObservedNode, ObservedStorage, StorageId, Unread, Vmid,
};

use crate::api::cluster::Resource;
use crate::wire::{PveInt, Rows};

/// What the resource list shows of a site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SiteRows {
    /// Nodes with their storages; bridges and templates are read elsewhere.
    pub nodes: BTreeMap<NodeName, ObservedNode>,
    /// Guests, ours or not.
    pub guests: BTreeMap<Vmid, ObservedGuest>,
    /// Rows that make no sense.
    pub unread: Vec<Unread>,
}

/// Sorts a resource list. Rows of other kinds (pools, networks) are left out.
pub fn site_rows(rows: Rows<Resource>) -> SiteRows {
    let mut out = SiteRows::default();
    for row in rows {
        let taken = match row.kind.as_str() {
            "lxc" => guest(&row, GuestKind::Container).map(|guest| drop(out.guests.insert(guest.vmid, guest))),
            "qemu" => guest(&row, GuestKind::Vm).map(|guest| drop(out.guests.insert(guest.vmid, guest))),
            "node" => node(&row, &mut out),
            "storage" => storage(&row, &mut out),
            _ => Ok(()),
        };
        if let Err(why) = taken {
            let what = format!("resource {}", crate::error::clean(&row.id, 100));
            out.unread.push(Unread { what, why });
        }
    }
    out
}

fn bytes(value: Option<PveInt>) -> u64 {
    value.unwrap_or_default().unsigned()
}

fn node_name(row: &Resource) -> Result<NodeName, String> {
    let text = row.node.as_deref().ok_or("it names no node")?;
    text.parse().map_err(|e: rl_model::ParseError| e.to_string())
}

fn guest(row: &Resource, kind: GuestKind) -> Result<ObservedGuest, String> {
    let number = row.vmid.ok_or("it has no VMID")?;
    let vmid = number.0.to_string().parse::<Vmid>().map_err(|e| e.to_string())?;
    Ok(ObservedGuest {
        vmid,
        kind,
        node: node_name(row)?,
        name: row.name.clone().unwrap_or_default().0,
        status: match row.status.as_deref() {
            Some("running") => GuestStatus::Running,
            Some("stopped") => GuestStatus::Stopped,
            _ => GuestStatus::Unknown,
        },
        template: row.template.is_some_and(|template| template.0),
        tags: row.tags.as_ref().map(|tags| split_tags(&tags.0)).unwrap_or_default(),
        lock: row.lock.clone().filter(|lock| !lock.is_empty()),
        pool: row.pool.as_ref().and_then(|pool| pool.0.parse().ok()),
        max_cores: row.maxcpu.unwrap_or_default().0.clamp(0.0, f64::from(u32::MAX)) as u32,
        max_memory_bytes: bytes(row.maxmem),
        max_disk_bytes: bytes(row.maxdisk),
        config: None,
        live: None,
    })
}

/// Fills in a node, whose storages may have come first.
fn node(row: &Resource, out: &mut SiteRows) -> Result<(), String> {
    let node = out.nodes.entry(node_name(row)?).or_default();
    node.online = row.status.as_deref() == Some("online");
    node.cores = row.maxcpu.unwrap_or_default().0.clamp(0.0, f64::from(u32::MAX)) as u32;
    node.memory_bytes = bytes(row.maxmem);
    node.memory_used_bytes = bytes(row.mem);
    Ok(())
}

fn storage(row: &Resource, out: &mut SiteRows) -> Result<(), String> {
    let name = row.storage.as_deref().ok_or("it names no storage")?;
    let name: StorageId = name.parse().map_err(|e: rl_model::ParseError| e.to_string())?;
    let storage = ObservedStorage {
        kind: row.plugintype.clone().unwrap_or_default(),
        content: row.content.as_deref().map(super::split_list).unwrap_or_default(),
        shared: row.shared.is_some_and(|shared| shared.0),
        available: row.status.as_deref() == Some("available"),
        total_bytes: bytes(row.maxdisk),
        used_bytes: bytes(row.disk),
    };
    out.nodes.entry(node_name(row)?).or_default().storages.insert(name, storage);
    Ok(())
}
