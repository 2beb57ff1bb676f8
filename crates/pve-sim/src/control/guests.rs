//! Guests as strangers make, change and remove them: past the API, without locks or checks.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::seed::{SeedGuest, SeedKind, insert_guest};
use crate::site::Site;
use crate::world::config::keys_json;
use crate::world::guest::Running;

/// What `POST /guests` takes. A guest that is not there is made; one that is there is changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GuestChange {
    vmid: u32,
    /// Where a new guest goes, or where an old one moves to.
    #[serde(default)]
    node: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<SeedKind>,
    /// Keys to set.
    #[serde(default)]
    config: BTreeMap<String, String>,
    /// Keys to delete.
    #[serde(default)]
    delete: Vec<String>,
    #[serde(default)]
    running: Option<bool>,
    #[serde(default)]
    pool: Option<String>,
    /// Two NIC keys whose values change places.
    #[serde(default)]
    swap_nics: Option<(String, String)>,
    /// NIC key to the address that answers inside instead of the configured one; an empty text takes it back.
    #[serde(default)]
    live_address: BTreeMap<String, String>,
    /// Replaces the guest that holds the number, whoever it is.
    #[serde(default)]
    replace: bool,
}

/// Makes or changes a guest.
pub(crate) fn put(site: &Arc<Site>, value: Value) -> Result<Value, String> {
    let change: GuestChange = serde_json::from_value(value).map_err(|e| format!("this is no guest: {e}"))?;
    let now = site.clock.now_precise();
    let mut world = site.world();
    if let Some(node) = change.node.as_ref().filter(|n| !world.nodes.contains_key(*n)) {
        return Err(format!("no node '{node}'"));
    }
    if change.replace {
        world.remove_guest(change.vmid);
    }
    if !world.guests.contains_key(&change.vmid) {
        let node = change.node.clone().or_else(|| world.nodes.keys().next().cloned()).unwrap_or_default();
        let seed = SeedGuest {
            vmid: change.vmid,
            node,
            kind: change.kind.unwrap_or_default(),
            config: BTreeMap::new(),
            running: false,
            pool: None,
        };
        insert_guest(&mut world, &seed, now);
    }
    world.touch(change.vmid, now);
    if let Some(pool) = change.pool.clone() {
        world.access.guest_pool.insert(change.vmid, pool);
    }
    let guest = world.guests.get_mut(&change.vmid).ok_or("the guest vanished")?;
    if let Some(node) = change.node {
        guest.node = node;
    }
    for key in &change.delete {
        guest.config.keys.remove(key);
    }
    guest.config.keys.extend(change.config);
    if let Some((a, b)) = change.swap_nics {
        let (left, right) = (guest.config.keys.remove(&a), guest.config.keys.remove(&b));
        guest.config.keys.extend(right.map(|v| (a, v)));
        guest.config.keys.extend(left.map(|v| (b, v)));
    }
    match change.running {
        Some(true) if guest.running.is_none() => guest.running = Some(Running { pid: 901, since: now }),
        Some(false) => guest.running = None,
        _ => {}
    }
    for (nic, address) in change.live_address {
        if address.is_empty() {
            guest.live_override.remove(&nic);
        } else {
            guest.live_override.insert(nic, address);
        }
    }
    Ok(json!({"ok": true, "vmid": change.vmid}))
}

/// Removes a guest with its volumes.
pub(crate) fn delete(site: &Arc<Site>, vmid: &str) -> Result<Value, String> {
    let vmid: u32 = vmid.parse().map_err(|_| format!("'{vmid}' is no guest number"))?;
    let mut world = site.world();
    let guest = world.remove_guest(vmid).ok_or_else(|| format!("no guest {vmid}"))?;
    world.storages.remove_all_of(vmid, &guest.node);
    Ok(json!({"ok": true}))
}

/// The whole world, without secrets.
pub(crate) fn state(site: &Arc<Site>) -> Value {
    let world = site.world();
    let guests: serde_json::Map<String, Value> = world
        .guests
        .iter()
        .map(|(vmid, guest)| {
            let shown = json!({
                "type": guest.kind.name(),
                "node": guest.node,
                "running": guest.running.is_some(),
                "pool": world.access.guest_pool.get(vmid),
                "config": keys_json(&guest.config.keys),
                "pending": guest.config.pending.set,
                "pending_delete": guest.config.pending.delete.keys().collect::<Vec<_>>(),
                "snapshots": guest.config.snapshots.keys().collect::<Vec<_>>(),
                "digest": guest.config.digest(),
            });
            (vmid.to_string(), shown)
        })
        .collect();
    let nodes: serde_json::Map<String, Value> = world
        .nodes
        .iter()
        .map(|(name, node)| (name.clone(), json!({"up": node.up, "cores": node.cores, "memory": node.memory})))
        .collect();
    let mut volumes = Vec::new();
    for ((storage, node), list) in &world.storages.volumes {
        for (name, volume) in list {
            volumes.push(
                json!({"volid": format!("{storage}:{name}"), "node": node, "vmid": volume.vmid, "size": volume.size}),
            );
        }
    }
    json!({
        "nodes": nodes,
        "guests": guests,
        "volumes": volumes,
        "pools": world.pools.keys().collect::<Vec<_>>(),
        "quorum": !world.quorum_lost,
        "firewall": world.firewall.state(site.now()),
    })
}
