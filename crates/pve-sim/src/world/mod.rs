//! The simulated cluster: everything the API reads and changes.

pub(crate) mod access;
pub(crate) mod config;
pub(crate) mod firewall;
pub(crate) mod guest;
pub(crate) mod node;
pub(crate) mod privileges;
pub(crate) mod storage;

use std::collections::{BTreeMap, BTreeSet};

use crate::api::error::{ApiError, ApiResult};
use access::Access;
use guest::{Guest, GuestKind, Stats};
use node::Node;
use storage::Storages;

/// How often the statistics daemon collects, in seconds of model time (pvestatd).
pub(crate) const STATS_CYCLE_S: f64 = 10.0;

#[derive(Debug, Clone, Default)]
pub(crate) struct Pool {
    pub(crate) comment: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) guests: BTreeMap<u32, Guest>,
    pub(crate) storages: Storages,
    pub(crate) access: Access,
    pub(crate) pools: BTreeMap<String, Pool>,
    /// Datacenter options as text.
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) firewall: firewall::Firewall,
    pub(crate) cluster_log: std::collections::VecDeque<LogLine>,
    pub(crate) log_number: u64,
    pub(crate) quorum_lost: bool,
    /// Guests that are gone but whose graphs are still there.
    pub(crate) had_statistics: BTreeSet<u32>,
    /// Model seconds between collections, made real by the clock's scale.
    pub(crate) stats_cycle: f64,
}

/// A line of the cluster log.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) number: u64,
    pub(crate) node: String,
    pub(crate) user: String,
    pub(crate) text: String,
    pub(crate) time: i64,
    pub(crate) pid: u32,
}

impl World {
    /// A container on a node, or PVE's words when its file is not there.
    pub(crate) fn container(&self, node: &str, vmid: u32) -> ApiResult<&Guest> {
        self.guest(GuestKind::Lxc, node, vmid)
    }

    pub(crate) fn container_mut(&mut self, node: &str, vmid: u32) -> ApiResult<&mut Guest> {
        self.container(node, vmid)?;
        self.guests.get_mut(&vmid).ok_or_else(|| missing(GuestKind::Lxc, node, vmid))
    }

    /// A guest of one kind on a node.
    pub(crate) fn guest(&self, kind: GuestKind, node: &str, vmid: u32) -> ApiResult<&Guest> {
        let found = self.guests.get(&vmid).filter(|g| g.kind == kind && g.node == node);
        found.ok_or_else(|| missing(kind, node, vmid))
    }

    /// PVE refuses a number that any guest of the cluster has.
    pub(crate) fn check_vmid_unused(&self, vmid: u32) -> ApiResult<()> {
        match self.guests.get(&vmid) {
            Some(guest) => {
                let kind = if guest.kind == GuestKind::Lxc { "CT" } else { "VM" };
                Err(ApiError::die(format!("{kind} {vmid} already exists on node '{}'", guest.node)))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn node_cores(&self, node: &str) -> u32 {
        self.nodes.get(node).map_or(2, |n| n.cores)
    }

    /// Call before changing what the statistics show of a guest.
    pub(crate) fn touch(&mut self, vmid: u32, now: f64) {
        let cycle = self.last_cycle(now);
        let Some(guest) = self.guests.get(&vmid) else { return };
        let cores = self.node_cores(&guest.node);
        // While a container is being made the daemon finds nothing worth keeping.
        let half_made = guest.config.get("lock") == Some("create") && guest.config.get("hostname").is_none();
        let collected = (guest.changed_at <= cycle && !half_made).then(|| guest.stats(vmid, cores));
        if let Some(guest) = self.guests.get_mut(&vmid) {
            if let Some(stats) = collected {
                guest.old_stats = Some(stats);
            }
            guest.changed_at = now;
        }
    }

    /// What the statistics daemon last collected of a guest; `None` before it has seen the guest.
    pub(crate) fn collected(&self, vmid: u32, guest: &Guest, now: f64) -> Option<Stats> {
        if guest.changed_at <= self.last_cycle(now) {
            return Some(guest.stats(vmid, self.node_cores(&guest.node)));
        }
        guest.old_stats.clone()
    }

    fn last_cycle(&self, now: f64) -> f64 {
        let cycle = if self.stats_cycle > 0.0 { self.stats_cycle } else { STATS_CYCLE_S };
        (now / cycle).floor() * cycle
    }

    /// Takes a guest out of the cluster with everything that names it.
    pub(crate) fn remove_guest(&mut self, vmid: u32) -> Option<Guest> {
        self.had_statistics.insert(vmid);
        self.access.guest_pool.remove(&vmid);
        self.firewall.remove_guest(vmid);
        self.access.acl.remove(&format!("/vms/{vmid}"));
        self.guests.remove(&vmid)
    }

    /// Members of a pool.
    pub(crate) fn pool_guests(&self, pool: &str) -> BTreeSet<u32> {
        self.access.guest_pool.iter().filter(|(_, p)| p.as_str() == pool).map(|(v, _)| *v).collect()
    }

    /// Adds a line to the cluster log, forgetting the oldest.
    pub(crate) fn log(&mut self, node: &str, user: &str, pid: u32, time: i64, text: String) {
        /// pmxcfs keeps about this much of its log.
        const CLUSTER_LOG_LINES: usize = 500;
        self.log_number += 1;
        let line = LogLine { number: self.log_number, node: node.to_owned(), user: user.to_owned(), text, time, pid };
        self.cluster_log.push_front(line);
        self.cluster_log.truncate(CLUSTER_LOG_LINES);
    }
}

/// PVE's words for a guest whose file is not there.
pub(crate) fn missing(kind: GuestKind, node: &str, vmid: u32) -> ApiError {
    let dir = if kind == GuestKind::Lxc { "lxc" } else { "qemu-server" };
    ApiError::die(format!("Configuration file 'nodes/{node}/{dir}/{vmid}.conf' does not exist"))
}
