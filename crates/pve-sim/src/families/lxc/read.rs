//! Reading containers: lists, status, config, interfaces.

use serde_json::{Map, Value, json};

use crate::api::call::{Call, ReplyResult};
use crate::api::error::ApiError;
use crate::families::index as index_of;
use crate::families::lxc::{clone, snapshot};
use crate::world::World;
use crate::world::config::{keys_json, value_json};
use crate::world::guest::{Guest, GuestKind, link_local};

/// A container's network is up so many model seconds after its start.
const BOOT_SECONDS: f64 = 0.5;
/// What a small container keeps in memory and on disk, in bytes.
const USED_MEMORY: u64 = 13 << 20;
const USED_DISK: u64 = 240 << 20;

pub(super) fn index(call: &Call) -> ReplyResult {
    call.site.world().container(call.node(), call.vmid())?;
    let names = &[
        "config",
        "pending",
        "status",
        "vncproxy",
        "termproxy",
        "vncwebsocket",
        "spiceproxy",
        "migrate",
        "clone",
        "rrd",
        "rrddata",
        "firewall",
        "snapshot",
        "resize",
        "interfaces",
    ];
    Ok(index_of("subdir", names).into())
}

pub(super) fn status_index(call: &Call) -> ReplyResult {
    call.site.world().container(call.node(), call.vmid())?;
    Ok(index_of("subdir", &["current", "start", "stop", "shutdown", "reboot", "migrate"]).into())
}

pub(super) fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let now = call.site.clock.now_precise();
    let mine = world.guests.iter().filter(|(_, g)| g.kind == GuestKind::Lxc && g.node == call.node());
    let out: Vec<Value> = mine
        .filter(|(vmid, _)| world.access.check(&call.who, &format!("/vms/{vmid}"), &["VM.Audit"], false).is_ok())
        .map(|(vmid, guest)| Value::Object(entry(&world, *vmid, guest, now)))
        .collect();
    Ok(Value::Array(out).into())
}

pub(super) fn current(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.container(call.node(), call.vmid())?;
    let mut out = entry(&world, call.vmid(), guest, call.site.clock.now_precise());
    out.insert("ha".into(), json!({"managed": 0}));
    Ok(Value::Object(out).into())
}

/// What the list and the status say of a container.
fn entry(world: &World, vmid: u32, guest: &Guest, now: f64) -> Map<String, Value> {
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| out.insert(key.to_owned(), value);
    set("vmid", json!(vmid));
    set("name", json!(guest.name(vmid)));
    set("status", json!(if guest.running.is_some() { "running" } else { "stopped" }));
    set("type", json!("lxc"));
    set("cpus", number(guest.cpus(world.node_cores(&guest.node))));
    set("maxmem", json!(guest.max_mem()));
    set("maxswap", json!(guest.max_swap()));
    set("maxdisk", json!(guest.max_disk()));
    for key in ["cpu", "diskread", "diskwrite", "swap"] {
        set(key, json!(0));
    }
    let since = guest.running.as_ref().map(|r| r.since);
    let up = since.is_some();
    set("uptime", json!(since.map_or(0, |s| (now - s).max(0.0) as u64)));
    set("mem", json!(if up { USED_MEMORY } else { 0 }));
    set("disk", json!(if up { USED_DISK } else { 0 }));
    set("netin", json!(if up { 220 } else { 0 }));
    set("netout", json!(if up { 266 } else { 0 }));
    if let Some(running) = &guest.running {
        set("pid", json!(running.pid));
        for key in ["cpufull", "cpusome", "iofull", "iosome", "memoryfull", "memorysome"] {
            set(&format!("pressure{key}"), json!("0.00"));
        }
    }
    for key in ["lock", "tags"] {
        if let Some(value) = guest.config.get(key) {
            set(key, json!(value));
        }
    }
    if guest.config.is_on("template") {
        set("template", json!(1));
    }
    out
}

/// Whole numbers as such; a fraction comes from the config's `cpulimit` and stays the text it is there.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value.to_string()) }
}

pub(super) fn config(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.container(call.node(), call.vmid())?;
    let keys = match call.text("snapshot") {
        Some(_) if call.args.is_set("current") => {
            let text = "cannot use 'snapshot' parameter with 'current'".to_owned();
            let errors = [("snapshot".to_owned(), text.clone()), ("current".to_owned(), text)];
            return Err(ApiError::params(errors.into()));
        }
        Some(name) => guest
            .config
            .snapshots
            .get(name)
            .cloned()
            .ok_or_else(|| ApiError::die(format!("snapshot '{name}' does not exist")))?,
        None if call.args.is_set("current") => guest.config.keys.clone(),
        None => guest.config.with_pending(),
    };
    let mut out = keys_json(&keys);
    out.insert("digest".into(), json!(guest.config.digest()));
    let hidden = !call.who.is_root()
        && world.access.check(&call.who, &format!("/vms/{}", call.vmid()), &["VM.Config.Options"], false).is_err();
    if hidden {
        out.remove("env");
    }
    Ok(Value::Object(out).into())
}

pub(super) fn pending(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let config = &world.container(call.node(), call.vmid())?.config;
    let mut out = Vec::new();
    for (key, value) in &config.keys {
        let mut item = json!({"key": key, "value": value_json(key, value)});
        if let Some(new) = config.pending.set.get(key) {
            item["pending"] = value_json(key, new);
        }
        if let Some(force) = config.pending.delete.get(key) {
            item["delete"] = json!(if *force { 2 } else { 1 });
        }
        out.push(item);
    }
    for (key, value) in config.pending.set.iter().filter(|(k, _)| !config.keys.contains_key(*k)) {
        out.push(json!({"key": key, "pending": value_json(key, value)}));
    }
    out.push(json!({"key": "digest", "value": config.digest()}));
    Ok(Value::Array(out).into())
}

pub(super) fn feature(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.container(call.node(), call.vmid())?;
    if let Some(name) = call.text("snapname").filter(|n| !guest.config.snapshots.contains_key(*n)) {
        return Err(ApiError::die(format!("snapshot '{name}' does not exist")));
    }
    let linkable = || {
        guest.config.mounts().iter().all(|(_, m)| {
            let (storage, name) = m.volume().split_once(':').unwrap_or(("", ""));
            world.storages.defs.get(storage).is_some_and(|s| clone::can_link(&s.kind, name))
        })
    };
    let has = match call.args.must("feature") {
        "copy" => true,
        "clone" => linkable(),
        _ => snapshot::can_snapshot(&world, call.vmid()),
    };
    Ok(json!({"hasFeature": i32::from(has)}).into())
}

pub(super) fn interfaces(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let Ok(guest) = world.container(call.node(), call.vmid()) else { return Ok(Value::Null.into()) };
    let Some(running) = &guest.running else { return Ok(Value::Null.into()) };
    let booted = (call.site.clock.now_precise() - running.since) * call.site.clock.scale() >= BOOT_SECONDS;
    let lo = interface("lo", "00:00:00:00:00:00", &["127.0.0.1/8".to_owned()], &["::1/128".to_owned()]);
    let mut out = vec![lo];
    for (key, nic) in guest.config.nics() {
        let get = |k: &str| nic.get(k).map(String::as_str);
        let mac = get("hwaddr").unwrap_or("").to_lowercase();
        let up = get("link_down") != Some("1");
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        if booted && up {
            let answered = guest.live_override.get(&key).cloned();
            v4.extend(answered.or_else(|| address4(&world, guest, call.vmid(), get("ip")?, get("bridge"))));
            v6.extend(get("ip6").filter(|ip| ip.contains('/')).map(str::to_owned));
        }
        if up {
            v6.extend(link_local(&mac).map(|a| format!("{a}/64")));
        }
        out.push(interface(get("name").unwrap_or("eth0"), &mac, &v4, &v6));
    }
    Ok(Value::Array(out).into())
}

/// The configured address; for DHCP one made of the bridge's network and the guest's number.
fn address4(world: &World, guest: &Guest, vmid: u32, ip: &str, bridge: Option<&str>) -> Option<String> {
    match ip {
        "dhcp" => {
            let node = world.nodes.get(&guest.node)?;
            let bridge = node.bridges.iter().find(|b| Some(b.name.as_str()) == bridge)?;
            let (address, length) =
                bridge.address.as_deref().and_then(|a| a.split_once('/')).unwrap_or(("10.0.0.1", "16"));
            let mut parts: Vec<u8> = address.split('.').filter_map(|p| p.parse().ok()).collect();
            if parts.len() == 4 {
                parts[3] = (vmid % 250 + 2) as u8;
                if length.parse::<u8>().is_ok_and(|l| l <= 16) {
                    parts[2] = (vmid / 250 % 250) as u8;
                }
            }
            let parts: Vec<String> = parts.iter().map(u8::to_string).collect();
            Some(format!("{}/{length}", parts.join(".")))
        }
        "manual" => None,
        fixed => Some(fixed.to_owned()),
    }
}

fn interface(name: &str, mac: &str, v4: &[String], v6: &[String]) -> Value {
    let mut addresses = Vec::new();
    for (kind, list) in [("inet", v4), ("inet6", v6)] {
        for cidr in list {
            let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, ""));
            addresses.push(json!({"ip-address-type": kind, "ip-address": address, "prefix": prefix}));
        }
    }
    let mut out = json!({"name": name, "hwaddr": mac, "hardware-address": mac, "ip-addresses": addresses});
    for (key, list) in [("inet", v4), ("inet6", v6)] {
        if let Some(first) = list.first() {
            out[key] = json!(first);
        }
    }
    out
}
