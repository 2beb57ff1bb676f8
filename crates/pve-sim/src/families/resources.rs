//! `/cluster/resources`: everything at a glance, as the statistics daemon last saw it.

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Identity, ReplyResult};
use crate::api::endpoint::{Endpoint, get};
use crate::world::World;
use crate::world::guest::{Guest, GuestKind};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![get("/cluster/resources", "all", &["type?:s{vm|storage|node|sdn}"], list).returns("array")]
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let now = call.site.clock.now_precise();
    let kind = call.text("type").unwrap_or("");
    let all = kind.is_empty();
    let mut out = Vec::new();
    if all {
        for pool in world.pools.keys() {
            if world.access.check(&call.who, &format!("/pool/{pool}"), &["Pool.Audit"], false).is_ok() {
                out.push(json!({"id": format!("/pool/{pool}"), "type": "pool", "pool": pool}));
            }
        }
    }
    if all || kind == "vm" {
        for (vmid, guest) in &world.guests {
            if world.access.check(&call.who, &format!("/vms/{vmid}"), &["VM.Audit"], false).is_ok() {
                out.push(guest_entry(&world, *vmid, guest, now, true));
            }
        }
    }
    if all || kind == "node" {
        out.extend(
            world.nodes.keys().map(|node| node_entry(&world, &call.who, node, call.site.clock.uptime().as_secs())),
        );
    }
    if all || kind == "storage" {
        for id in world.storages.defs.keys() {
            if world.access.check(&call.who, &format!("/storage/{id}"), &["Datastore.Audit"], false).is_ok() {
                out.extend(storage_entries(&world, id));
            }
        }
    }
    if all {
        let zone = "/sdn/zones/localnetwork";
        if world.access.check(&call.who, zone, &["SDN.Audit", "SDN.Use", "SDN.Allocate"], true).is_ok() {
            out.extend(world.nodes.iter().filter(|(_, n)| n.up).map(|(name, _)| zone_entry(name)));
        }
    }
    Ok(Value::Array(out).into())
}

fn zone_entry(node: &str) -> Value {
    json!({
        "id": format!("network/{node}/zone/localnetwork"),
        "type": "network",
        "network-type": "zone",
        "network": "localnetwork",
        "node": node,
        "status": "ok",
    })
}

/// A guest; before the statistics daemon has seen it little is known of it. `in_full` adds what comes from its config.
pub(super) fn guest_entry(world: &World, vmid: u32, guest: &Guest, now: f64, in_full: bool) -> Value {
    let kind = guest.kind.name();
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| out.insert(key.to_owned(), value);
    set("id", json!(format!("{kind}/{vmid}")));
    set("vmid", json!(vmid));
    set("type", json!(kind));
    set("node", json!(guest.node));
    if let Some(pool) = world.access.guest_pool.get(&vmid).filter(|_| in_full) {
        set("pool", json!(pool));
    }
    for key in ["lock", "tags"] {
        if let Some(value) = guest.config.get(key).filter(|_| in_full) {
            set(key, json!(value));
        }
    }
    let node_up = world.nodes.get(&guest.node).is_some_and(|n| n.up);
    let Some(stats) = world.collected(vmid, guest, now).filter(|_| node_up) else {
        set("status", json!("unknown"));
        return Value::Object(out);
    };
    let up = stats.running_since.is_some();
    set("status", json!(if up { "running" } else { "stopped" }));
    set("name", json!(stats.name));
    set("maxmem", json!(stats.max_mem));
    set("maxdisk", json!(stats.max_disk));
    set("maxcpu", if stats.cpus.fract() == 0.0 { json!(stats.cpus as i64) } else { json!(stats.cpus) });
    set("uptime", json!(stats.running_since.map_or(0, |s| (now - s).max(0.0) as u64)));
    set("template", json!(i32::from(stats.template)));
    set("mem", json!(if up { 11_694_080 } else { 0 }));
    set("disk", json!(if up && guest.kind == GuestKind::Lxc { 246_136_832 } else { 0 }));
    for key in ["cpu", "diskread", "diskwrite", "netin", "netout", "memhost"] {
        set(key, json!(0));
    }
    Value::Object(out)
}

/// A node; readings only for those who may audit it.
pub(super) fn node_entry(world: &World, who: &Identity, name: &str, uptime: u64) -> Value {
    let mut out = json!({
        "id": format!("node/{name}"),
        "type": "node",
        "node": name,
        "level": "",
        "status": if world.nodes.get(name).is_some_and(|n| n.up) { "online" } else { "offline" },
        "cgroup-mode": 2,
    });
    let Some(node) = world.nodes.get(name) else { return out };
    if !node.up {
        out["cgroup-mode"].take();
        if let Some(map) = out.as_object_mut() {
            map.remove("cgroup-mode");
        }
        return out;
    }
    if world.access.check(who, &format!("/nodes/{name}"), &["Sys.Audit"], false).is_ok() {
        let readings = json!({
            "maxcpu": node.cores,
            "maxmem": node.memory,
            "maxdisk": node.disk,
            "cpu": 0.03,
            "mem": used_memory(world, name),
            "disk": node.disk / 10,
            "uptime": uptime + 3600,
        });
        if let (Some(map), Value::Object(readings)) = (out.as_object_mut(), readings) {
            map.extend(readings);
        }
    }
    out
}

/// Bytes the node itself and its running guests use.
pub(super) fn used_memory(world: &World, node: &str) -> u64 {
    /// What a node without guests needs.
    const IDLE_NODE: u64 = 2 << 30;
    /// What a small guest really touches.
    const PER_GUEST: u64 = 64 << 20;
    let running = world.guests.values().filter(|g| g.node == node && g.running.is_some()).count() as u64;
    IDLE_NODE + running * PER_GUEST
}

/// A storage on every node that has it.
pub(super) fn storage_entries(world: &World, id: &str) -> Vec<Value> {
    let Some(storage) = world.storages.defs.get(id).filter(|s| !s.disabled) else { return Vec::new() };
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    let on = world.nodes.iter().filter(|(name, _)| storage.is_on(name));
    on.map(|(name, node)| {
        let mut out = json!({
            "id": format!("storage/{name}/{id}"),
            "type": "storage",
            "node": name,
            "storage": id,
            "plugintype": storage.kind,
            "content": content.join(","),
            "shared": i32::from(storage.shared),
            "status": if node.up { "available" } else { "unknown" },
        });
        if node.up {
            out["maxdisk"] = json!(storage.size);
            out["disk"] = json!(world.storages.used(id, name));
        }
        out
    })
    .collect()
}
