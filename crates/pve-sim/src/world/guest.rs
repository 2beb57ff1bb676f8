//! A guest on a node: a container in full, or a virtual machine as far as it can be listed.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::world::config::Config;

/// Numbers of guests' files, counted over all sites of the process.
static TREES: AtomicU64 = AtomicU64::new(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestKind {
    Lxc,
    Qemu,
}

impl GuestKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lxc => "lxc",
            Self::Qemu => "qemu",
        }
    }
}

/// A running guest.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    /// Seconds since 1970, with fraction.
    pub(crate) since: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct Guest {
    pub(crate) kind: GuestKind,
    pub(crate) node: String,
    pub(crate) config: Config,
    pub(crate) running: Option<Running>,
    /// What a stranger made the inside answer instead of the configured address, per NIC key.
    pub(crate) live_override: BTreeMap<String, String>,
    /// Names the files inside: a guest made anew under an old number has others.
    pub(crate) tree: u64,
    /// The files that a clone began with.
    pub(crate) cloned_tree: Option<u64>,
    /// When the guest or what the statistics show of it last changed, in seconds since 1970.
    pub(crate) changed_at: f64,
    /// What the statistics daemon had collected before that; `None` for a guest it has not seen.
    pub(crate) old_stats: Option<Stats>,
}

/// What the statistics daemon collects of a guest every ten seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stats {
    pub(crate) name: String,
    pub(crate) running_since: Option<f64>,
    pub(crate) max_mem: u64,
    pub(crate) max_disk: u64,
    pub(crate) cpus: f64,
    pub(crate) template: bool,
}

impl Guest {
    pub(crate) fn new(kind: GuestKind, node: &str, config: Config, now: f64) -> Self {
        Self {
            kind,
            node: node.to_owned(),
            config,
            running: None,
            live_override: BTreeMap::new(),
            tree: TREES.fetch_add(1, Ordering::Relaxed),
            cloned_tree: None,
            changed_at: now,
            old_stats: None,
        }
    }

    pub(crate) fn is_template(&self) -> bool {
        self.config.is_on("template")
    }

    /// The name lists show.
    pub(crate) fn name(&self, vmid: u32) -> String {
        let key = if self.kind == GuestKind::Lxc { "hostname" } else { "name" };
        let fallback = if self.kind == GuestKind::Lxc { format!("CT{vmid}") } else { format!("VM {vmid}") };
        self.config.get(key).map_or(fallback, str::to_owned)
    }

    /// Bytes of memory it may use.
    pub(crate) fn max_mem(&self) -> u64 {
        self.config.int("memory").unwrap_or(512) << 20
    }

    /// Bytes of swap it may use; nothing while the config is still empty.
    pub(crate) fn max_swap(&self) -> u64 {
        self.config.int("swap").unwrap_or(0) << 20
    }

    /// Bytes of the root volume; 4 GiB where the config does not say. Lists ask this of every guest, so the entry is not
    /// taken apart in full.
    pub(crate) fn max_disk(&self) -> u64 {
        let root = self.config.get("rootfs").unwrap_or("");
        let size = root.split(',').find_map(|part| part.strip_prefix("size="));
        size.and_then(crate::api::format::parse_size).unwrap_or(4 << 30)
    }

    /// The cores it is given: its own number, else its limit, else all of the node's.
    pub(crate) fn cpus(&self, node_cores: u32) -> f64 {
        let own = |key: &str| self.config.get(key).and_then(|v| v.parse::<f64>().ok()).filter(|v| *v > 0.0);
        own("cores").or_else(|| own("cpulimit")).unwrap_or_else(|| f64::from(node_cores))
    }

    /// What the statistics daemon would collect now.
    pub(crate) fn stats(&self, vmid: u32, node_cores: u32) -> Stats {
        Stats {
            name: self.name(vmid),
            running_since: self.running.as_ref().map(|r| r.since),
            max_mem: self.max_mem(),
            max_disk: self.max_disk(),
            cpus: self.cpus(node_cores),
            template: self.config.is_on("template"),
        }
    }
}

/// The link-local address that a NIC gives itself from its MAC (RFC 4291, appendix A).
pub(crate) fn link_local(mac: &str) -> Option<Ipv6Addr> {
    let bytes: Vec<u8> = mac.split(':').map(|p| u8::from_str_radix(p, 16)).collect::<Result<_, _>>().ok()?;
    let [a, b, c, d, e, f] = bytes.as_slice() else { return None };
    let pair = |hi: u8, lo: u8| u16::from_be_bytes([hi, lo]);
    Some(Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, *b), pair(*c, 0xff), pair(0xfe, *d), pair(*e, *f)))
}
