//! What the nodes' own tools know and the API does not tell: for the simulated `pct` and `pvesh`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::site::Site;
use crate::world::guest::GuestKind;

/// A container as its node sees it, and which files belong to whom.
pub(super) fn guest(site: &Arc<Site>, node: &str, vmid: &str) -> Result<Value, String> {
    let vmid: u32 = vmid.parse().map_err(|_| format!("'{vmid}' is no guest number"))?;
    let world = site.world();
    // A number that starts anew with each process must not find the files of another one.
    let tree = |n: u64| format!("{}-{n}", std::process::id());
    let trees: Vec<Value> = world
        .guests
        .values()
        .filter(|guest| guest.kind == GuestKind::Lxc)
        .map(|guest| json!({"tree": tree(guest.tree), "from": guest.cloned_tree.map(tree)}))
        .collect();
    let here = world.guests.get(&vmid).filter(|guest| guest.kind == GuestKind::Lxc && guest.node == node);
    let Some(guest) = here else { return Ok(json!({"found": false, "trees": trees})) };
    let boot = guest.running.as_ref().map(|running| format!("{}-{}", running.pid, running.since));
    Ok(json!({
        "found": true,
        "boot": boot,
        "tree": tree(guest.tree),
        "config": guest.config.keys,
        "trees": trees,
    }))
}

/// Takes the lock out of a container's configuration, as `pct unlock` does, whoever set it.
pub(super) fn unlock(site: &Arc<Site>, node: &str, vmid: &str) -> Result<Value, String> {
    let vmid: u32 = vmid.parse().map_err(|_| format!("'{vmid}' is no guest number"))?;
    let mut world = site.world();
    match world.guests.get_mut(&vmid).filter(|guest| guest.kind == GuestKind::Lxc && guest.node == node) {
        Some(guest) => Ok(json!({"was": guest.config.keys.remove("lock")})),
        None => Err(format!("Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist")),
    }
}

/// The node's running tasks, as `pvesh get /nodes/localhost/tasks --source active` lists them.
pub(super) fn tasks(site: &Arc<Site>, node: &str) -> Value {
    let tasks = site.tasks.active(node);
    let entry = |task: &Arc<crate::tasks::Task>| {
        json!({"upid": task.upid, "node": task.node, "pid": task.pid, "pstart": task.pstart, "starttime": task.start,
            "type": task.kind, "id": task.id, "user": task.user})
    };
    tasks.iter().map(entry).collect()
}
