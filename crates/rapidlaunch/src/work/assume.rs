//! A site as it would look to a token that may see everything: what the site file and the stack name is taken to be there.
//!
//! Proxmox hides bridges, storages and templates from a token that lacks the privilege to use them. A plan cannot be made
//! then, and without a plan it could not be said which privileges are missing. The plan made here is never carried out.

use rl_model::manifest::Stack;
use rl_model::{Bridge, Observed, ObservedNode, ObservedStorage, Site};

/// Room of a storage that is only assumed to be there: more than any stack asks for.
const ROOM_BYTES: u64 = 1 << 60;

/// Adds what the stack needs of a site and what cannot be seen there.
pub(crate) fn everything_is_there(stack: &Stack, site: &Site, observed: &mut Observed) {
    let Some(seen) = observed.sites.get_mut(&site.name) else { return };
    for node in seen.nodes.values_mut().filter(|node| node.online) {
        // A token without Sys.Audit sees a node without its size.
        node.cores = node.cores.max(u32::from(u16::MAX));
        node.memory_bytes = node.memory_bytes.max(ROOM_BYTES);
        on_node(stack, site, node);
    }
}

fn on_node(stack: &Stack, site: &Site, node: &mut ObservedNode) {
    let bridges = node.bridges.get_or_insert_default();
    for network in site.networks.values() {
        bridges.entry(network.bridge.clone()).or_insert(Bridge { vlan_aware: true, active: true });
    }
    let templates = node.templates.get_or_insert_default();
    for container in stack.containers.values().filter(|container| container.site == site.name) {
        if !templates.contains(&container.image) {
            templates.push(container.image.clone());
        }
        let volumes = container.volumes.iter().map(|volume| &volume.storage);
        for storage in volumes.chain([&container.storage, &container.image.storage()]) {
            node.storages.entry(storage.clone()).or_insert_with(any_storage);
        }
    }
}

fn any_storage() -> ObservedStorage {
    ObservedStorage {
        kind: String::new(),
        content: ["rootdir", "images", "vztmpl"].map(str::to_owned).to_vec(),
        shared: false,
        available: true,
        total_bytes: ROOM_BYTES,
        used_bytes: 0,
    }
}
