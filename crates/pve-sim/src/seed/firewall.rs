//! Firewall files that are there at the start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{SeedError, SeedKind, SeedState};
use crate::world::World;
use crate::world::firewall::{Env, Place};

/// Firewall files as Proxmox VE writes them, with their sections `[OPTIONS]`, `[ALIASES]`, `[IPSET name]`, `[RULES]` and
/// `[group name]`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedFirewall {
    /// The datacenter's file.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Files of nodes, by name.
    #[serde(default)]
    pub nodes: BTreeMap<String, String>,
    /// Files of guests, by number; a guest need not be there.
    #[serde(default)]
    pub guests: BTreeMap<u32, String>,
}

impl SeedState {
    /// Writes the files, the datacenter's first because the others may use its names.
    pub(super) fn add_firewall(&self, world: &mut World, now: f64) -> Result<(), SeedError> {
        let seed = &self.firewall;
        if let Some(node) = seed.nodes.keys().find(|n| !world.nodes.contains_key(*n)) {
            return Err(SeedError::Unknown { what: "firewall".to_owned(), kind: "node", name: node.clone() });
        }
        let machine = |vmid: &u32| self.guests.iter().any(|g| g.vmid == *vmid && g.kind == SeedKind::Qemu);
        let cluster = seed.cluster.iter().map(|text| (Place::Cluster, Env::Cluster, text));
        let nodes = seed.nodes.iter().map(|(node, text)| (Place::Node(node.clone()), Env::Node, text));
        let guests = seed.guests.iter().map(|(vmid, text)| {
            let env = if machine(vmid) { Env::Vm } else { Env::Ct };
            (Place::Guest(*vmid), env, text)
        });
        for (place, env, text) in cluster.chain(nodes).chain(guests) {
            let what = match &place {
                Place::Cluster => "firewall of the datacenter".to_owned(),
                Place::Node(node) => format!("firewall of node {node}"),
                Place::Guest(vmid) => format!("firewall of guest {vmid}"),
            };
            world.firewall.seed(place, env, text, now as i64).map_err(|lines| SeedError::Value {
                what,
                value: lines.into_iter().next().unwrap_or_default(),
                expected: "a line of a firewall file",
            })?;
        }
        Ok(())
    }
}
