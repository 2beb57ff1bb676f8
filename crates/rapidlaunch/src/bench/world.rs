//! What a bench acts on: a simulated site, a folder, and the files in it.

use std::path::{Path, PathBuf};

use pve_sim::{Sim, SimConfig};
use serde_json::{Value, json};

use crate::error::CommandError;

/// Heavy tasks that a simulated storage does at once.
const HEAVY_PER_NODE: usize = 4;
/// Creates asked for at once on a node: one more than it does, so that the next is there when one ends.
const CREATES_PER_NODE: usize = HEAVY_PER_NODE + 1;

/// A simulated site and a folder, both gone when it is dropped.
pub(super) struct World {
    sim: Option<Sim>,
    dir: PathBuf,
    stack: String,
    example: String,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl World {
    /// No site, only a folder with the smallest example.
    pub(super) fn idle() -> Result<Self, CommandError> {
        Self::within(&std::env::temp_dir())
    }

    /// As [`World::idle`], in a place that is on a disk where the usual one may be in memory (`/var/tmp`, hier(7)).
    pub(super) fn on_disk() -> Result<Self, CommandError> {
        let disk = Path::new("/var/tmp");
        Self::within(if disk.is_dir() { disk } else { Path::new(".") })
    }

    fn within(parent: &Path) -> Result<Self, CommandError> {
        let dir = parent.join(format!("rapidlaunch-bench-{}-{}", std::process::id(), ulid::Ulid::generate()));
        let example = dir.join("first.yaml");
        let world = Self {
            sim: None,
            stack: dir.join("stack.yaml").display().to_string(),
            example: example.display().to_string(),
            dir,
        };
        std::fs::create_dir_all(&world.dir).map_err(failed)?;
        std::fs::write(&example, include_str!("../../../../examples/first.yaml")).map_err(failed)?;
        Ok(world)
    }

    /// A site of so many nodes, and a stack of so many containers for it.
    pub(super) async fn start(nodes: usize, speed: f64, containers: usize) -> Result<Self, CommandError> {
        Self::start_with(nodes, speed, containers, None).await
    }

    /// The same, each container with this firewall.
    pub(super) async fn start_with(
        nodes: usize,
        speed: f64,
        containers: usize,
        firewall: Option<Value>,
    ) -> Result<Self, CommandError> {
        let mut world = Self::on_disk()?;
        let mut config = SimConfig::new(nodes);
        config.time_scale = speed;
        config.max_creates = HEAVY_PER_NODE;
        let sim = Sim::start(config)
            .await
            .map_err(|error| CommandError::failed("the simulator cannot start").because(error))?;
        let ready: Value = serde_json::from_str(&sim.ready_line())
            .map_err(|error| CommandError::failed("the simulator's ready line cannot be read").because(error))?;
        let token = world.dir.join("token");
        std::fs::write(&token, ready["token"].as_str().unwrap_or_default()).map_err(failed)?;
        private(&token).map_err(failed)?;
        std::fs::write(&world.stack, declaration(&ready, containers, firewall.as_ref())).map_err(failed)?;
        world.sim = Some(sim);
        Ok(world)
    }

    /// The site.
    pub(super) fn sim(&self) -> &Sim {
        self.sim.as_ref().expect("this world was started with a site")
    }

    /// The program's data directory.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The stack file.
    pub(super) fn stack(&self) -> &str {
        &self.stack
    }

    /// The smallest example.
    pub(super) fn example(&self) -> &str {
        &self.example
    }

    /// API calls the site has answered, by method and path template.
    pub(super) fn calls_by_path(&self) -> std::collections::BTreeMap<String, u64> {
        self.sim().ledger().calls
    }

    /// API calls the site has answered.
    pub(super) async fn calls(&self) -> u64 {
        let (_, ledger) = self.sim().control("GET", "/ledger", Value::Null).await;
        ledger["calls_total"].as_u64().unwrap_or(0)
    }
}

fn failed(error: std::io::Error) -> CommandError {
    CommandError::failed("the bench's folder cannot be used").because(error)
}

fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Site and stack; JSON is YAML.
fn declaration(ready: &Value, containers: usize, firewall: Option<&Value>) -> String {
    let mut site = json!({
        "kind": "site", "name": "bench",
        "proxmox": {
            "endpoints": ready["urls"], "token": { "file": "token" }, "tls": { "fingerprint": ready["fingerprint"] },
        },
        "vmids": "10000-29999",
        "networks": { "lan": { "bridge": "vmbr0", "subnet": "10.64.0.0/16", "gateway": "10.64.0.1", "addresses": "10.64.1.0-10.64.250.250" } },
        "images": { "debian-12": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst" },
        "storage": "local-zfs",
        "limits": { "creates_per_node": CREATES_PER_NODE },
    });
    if firewall.is_some() {
        site["firewall"] = json!({ "enable": true, "policy_in": "allow" });
    }
    let half = containers.div_ceil(MAX_COUNT);
    let groups: serde_json::Map<String, Value> = (0..half)
        .map(|group| {
            let count = (containers - group * MAX_COUNT).min(MAX_COUNT);
            let mut container = json!({
                "count": count, "image": "debian-12", "cores": 1, "memory": "64 MiB", "swap": "0 MiB", "disk": "1 GiB",
                "spread": "node", "nics": { "eth0": { "network": "lan" } },
            });
            if let Some(firewall) = firewall {
                container["firewall"] = firewall.clone();
            }
            (format!("g{group}"), container)
        })
        .collect();
    let stack = json!({ "kind": "stack", "name": "bench", "site": "bench", "containers": groups });
    format!("{site:#}\n---\n{stack:#}\n")
}

/// Containers of one entry.
const MAX_COUNT: usize = 1_000;
