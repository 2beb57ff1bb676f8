//! Graph data: mostly empty points, as on a node that has just been installed.

use serde_json::{Value, json};

use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, get};
use crate::api::error::ApiError;
use crate::families::resources;
use crate::world::World;

const GUEST: &str = "node vmid cf?:s{AVERAGE|MAX} timeframe:s{hour|day|week|month|year}";
const NODE: &str = "node cf?:s{AVERAGE|MAX} timeframe:s{hour|day|week|month|year|decade}";
const STORAGE: &str = "node storage:s@pve-storage-id cf?:s{AVERAGE|MAX} timeframe:s{hour|day|week|month|year}";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/nodes/{node}/lxc/{vmid}/rrddata", "/vms/{vmid} VM.Audit", &[GUEST], guest)
            .local()
            .protected()
            .returns("array"),
        get("/nodes/{node}/rrddata", "/nodes/{node} Sys.Audit", &[NODE], node).local().protected().returns("array"),
        get(
            "/nodes/{node}/storage/{storage}/rrddata",
            "/storage/{storage} Datastore.Audit|Datastore.AllocateSpace",
            &[STORAGE],
            storage,
        )
        .protected()
        .returns("array"),
    ]
}

/// Points of a time frame: how many, and how many seconds apart.
fn points(call: &Call) -> impl Iterator<Item = i64> + use<> {
    let (count, step) = match call.args.must("timeframe") {
        "hour" => (60, 60),
        "day" => (1440, 60),
        "week" => (336, 1800),
        "month" => (1460, 1800),
        "year" => (1460, 21600),
        _ => (520, 604_800),
    };
    let last = call.site.now() / step * step;
    (0..count).map(move |n| last - (count - 1 - n) * step)
}

fn missing_file(file: &str) -> ApiError {
    ApiError::die(format!("RRD error: opening '/var/lib/rrdcached/db/{file}': No such file or directory"))
}

fn guest(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let vmid = call.vmid();
    let found = world.guests.get(&vmid);
    if found.is_none() && !world.had_statistics.contains(&vmid) {
        return Err(missing_file(&format!("pve-vm-9.0/{vmid}")));
    }
    let since = found.and_then(|g| g.running.as_ref()).map(|r| r.since as i64);
    let out = points(call).map(|time| match (found, since) {
        (Some(guest), Some(since)) if time >= since => json!({
            "time": time, "maxmem": guest.max_mem(), "maxdisk": guest.max_disk(), "maxcpu": 1, "cpu": 0,
            "mem": 11_694_080, "disk": 246_136_832, "netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0,
        }),
        _ => json!({"time": time}),
    });
    Ok(Value::Array(out.collect()).into())
}

fn node_point(world: &World, name: &str, time: i64) -> Value {
    let Some(node) = world.nodes.get(name) else { return json!({"time": time}) };
    let used = resources::used_memory(world, name);
    json!({
        "time": time, "maxcpu": node.cores, "cpu": 0.03, "iowait": 0.0, "loadavg": 0.4, "memtotal": node.memory,
        "memused": used, "memavailable": node.memory.saturating_sub(used), "swaptotal": 0, "swapused": 0,
        "roottotal": node.disk, "rootused": node.disk / 10, "netin": 0.0, "netout": 0.0, "arcsize": 0,
    })
}

fn node(call: &Call) -> ReplyResult {
    let world = call.site.world();
    if !world.nodes.contains_key(call.node()) {
        return Err(missing_file(&format!("pve-node-9.0/{}", call.node())));
    }
    Ok(Value::Array(points(call).map(|time| node_point(&world, call.node(), time)).collect()).into())
}

fn storage(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let id = call.args.must("storage");
    let Some(def) = world.storages.defs.get(id) else {
        return Err(missing_file(&format!("pve-storage-9.0/{}/{id}", call.node())));
    };
    let used = world.storages.used(id, call.node());
    let out = points(call).map(|time| json!({"time": time, "total": def.size, "used": used}));
    Ok(Value::Array(out.collect()).into())
}
