//! Nodes: list, status, network and what else can be read of them.

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, get, put};
use crate::api::error::ApiError;
use crate::api::format::split_list;
use crate::families::{index, resources, version};
use crate::world::firewall::digest;
use crate::world::node::{Bridge, Node};

const OPTIONS: &str = "node acme?:s@$acme acmedomain[n]?:s@$acmedomain ballooning-target?:i[0..100] delete?:s@pve-configid-list \
    description?:s<65536 digest?:s<40 startall-onboot-delay?:i[0..300] wakeonlan?:s@$wakeonlan";
const PROPERTIES: &str = "node property?:s{acme|acmedomain0|acmedomain1|acmedomain2|acmedomain3|acmedomain4|acmedomain5|\
    ballooning-target|description|startall-onboot-delay|wakeonlan}";
const NETWORK_TYPES: &str = "node type?:s{bridge|bond|eth|alias|vlan|fabric|OVSBridge|OVSBond|OVSPort|OVSIntPort|vnet|\
    any_bridge|any_local_bridge|include_sdn}";
const SYSLOG: &str = r"node limit?:i[0..] service?:s<128 since?:s~^\d{4}-\d{2}-\d{2}(\x20\d{2}:\d{2}(:\d{2})?)?$ start?:i[0..]
    until?:s~^\d{4}-\d{2}-\d{2}(\x20\d{2}:\d{2}(:\d{2})?)?$";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let audit = "/nodes/{node} Sys.Audit";
    let here = &["node"];
    vec![
        get("/nodes", "all", &[], list).returns("array"),
        get("/nodes/{node}", "all", here, root).local().returns("array"),
        get("/nodes/{node}/version", "all", here, version::version).returns("object"),
        get("/nodes/{node}/status", audit, here, status).returns("object"),
        get("/nodes/{node}/time", audit, here, time).returns("object"),
        get("/nodes/{node}/dns", audit, here, |_| Ok(json!({"dns1": "10.99.0.53"}).into())).returns("object"),
        get("/nodes/{node}/hosts", "/ Sys.Audit", here, hosts).protected().returns("object"),
        get("/nodes/{node}/subscription", "all", here, subscription).returns("object"),
        get("/nodes/{node}/config", "/ Sys.Audit", &[PROPERTIES], get_options).returns("object"),
        put("/nodes/{node}/config", "/ Sys.Modify", &[OPTIONS], set_options),
        get("/nodes/{node}/network", "all", &[NETWORK_TYPES], network).returns("array"),
        get("/nodes/{node}/aplinfo", "all", here, empty).returns("array"),
        get("/nodes/{node}/replication", "all", &["node guest?:i@pve-vmid[100..999999999]"], empty)
            .protected()
            .returns("array"),
        get("/nodes/{node}/syslog", "/nodes/{node} Sys.Syslog", &[SYSLOG], syslog).protected().returns("array"),
        get("/nodes/{node}/netstat", audit, here, empty).returns("array"),
        get("/nodes/{node}/scan", "all", here, |_| {
            Ok(index("method", &["cifs", "iscsi", "lvm", "nfs", "pbs", "zfs"]).into())
        })
        .local()
        .returns("array"),
        get("/nodes/{node}/capabilities", "all", here, |_| Ok(index("name", &["qemu"]).into())).returns("array"),
        get("/nodes/{node}/disks", "all", here, |_| {
            let names = &["list", "initgpt", "smart", "lvm", "lvmthin", "directory", "wipedisk", "zfs"];
            Ok(index("name", names).into())
        })
        .returns("array"),
        get("/nodes/{node}/hardware", "all", here, |_| Ok(index("type", &["pci", "usb"]).into()))
            .local()
            .returns("array"),
    ]
}

/// A list that stays empty because nothing here fills it.
fn empty(_call: &Call) -> ReplyResult {
    Ok(json!([]).into())
}

fn root(_call: &Call) -> ReplyResult {
    let names = &[
        "aplinfo",
        "apt",
        "capabilities",
        "ceph",
        "certificates",
        "config",
        "disks",
        "dns",
        "firewall",
        "hardware",
        "hosts",
        "journal",
        "lxc",
        "migrateall",
        "netstat",
        "network",
        "qemu",
        "query-oci-repo-tags",
        "query-url-metadata",
        "replication",
        "report",
        "rrd",
        "rrddata",
        "scan",
        "sdn",
        "services",
        "spiceshell",
        "startall",
        "status",
        "stopall",
        "storage",
        "subscription",
        "suspendall",
        "syslog",
        "tasks",
        "termproxy",
        "time",
        "version",
        "vncshell",
        "vzdump",
        "wakeonlan",
    ];
    Ok(index("name", names).into())
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let uptime = call.site.clock.uptime().as_secs();
    let mut out = Vec::new();
    for (name, node) in &world.nodes {
        let mut entry = resources::node_entry(&world, &call.who, name, uptime);
        if let Some(map) = entry.as_object_mut() {
            map.remove("cgroup-mode");
            if node.up {
                map.insert("ssl_fingerprint".into(), json!(call.site.fingerprint));
            }
        }
        out.push(entry);
    }
    Ok(Value::Array(out).into())
}

fn status(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let node = world.nodes.get(call.node()).ok_or_else(|| ApiError::die("no such node"))?;
    let used = resources::used_memory(&world, call.node());
    let disk_used = node.disk / 10;
    Ok(json!({
        "uptime": call.site.clock.uptime().as_secs() + 3600,
        "cpu": 0.03,
        "wait": 0,
        "idle": 0,
        "loadavg": ["0.42", "0.37", "0.31"],
        "kversion": "Linux 6.17.2-1-pve #1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1",
        "pveversion": "pve-manager/9.1.6/c38976409b2f3402",
        "current-kernel": {
            "sysname": "Linux",
            "release": "6.17.2-1-pve",
            "version": "#1 SMP PREEMPT_DYNAMIC PMX 6.17.2-1",
            "machine": "x86_64",
        },
        "boot-info": {"mode": "legacy-bios"},
        "memory": {"total": node.memory, "used": used, "free": node.memory.saturating_sub(used), "available": node.memory.saturating_sub(used)},
        "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {"total": node.disk, "used": disk_used, "free": node.disk - disk_used, "avail": node.disk - disk_used},
        "ksm": {"shared": 0},
        "cpuinfo": cpu_info(node),
    })
    .into())
}

fn cpu_info(node: &Node) -> Value {
    json!({
        "model": "Simulated CPU",
        "vendor": "GenuineIntel",
        "family": "6",
        "mhz": "2300.000",
        "cpus": node.cores,
        "cores": node.cores,
        "sockets": 1,
        "user_hz": 100,
        "hvm": "",
        "flags": "fpu vme de pse tsc msr",
    })
}

fn time(call: &Call) -> ReplyResult {
    let now = call.site.now();
    Ok(json!({"timezone": "Etc/UTC", "time": now, "localtime": now}).into())
}

fn hosts(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let own = world.nodes.get(call.node()).map_or("127.0.1.1", |n| n.ip.as_str());
    let data = format!("127.0.0.1 localhost\n{own} {node}.sim.local {node}\n", node = call.node());
    Ok(json!({"data": data, "digest": digest(&data)}).into())
}

fn subscription(_call: &Call) -> ReplyResult {
    Ok(json!({
        "status": "notfound",
        "message": "There is no subscription key",
        "serverid": "00000000000000000000000000000000",
        "url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
    })
    .into())
}

fn options_text(node: &Node) -> String {
    node.options.iter().map(|(k, v)| format!("{k}: {v}\n")).collect()
}

fn get_options(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let node = world.nodes.get(call.node()).ok_or_else(|| ApiError::die("no such node"))?;
    let mut out: Map<String, Value> = Map::new();
    for (key, value) in &node.options {
        if call.text("property").is_none_or(|p| p == key) {
            let number = matches!(key.as_str(), "ballooning-target" | "startall-onboot-delay");
            let shown = value.parse::<i64>().ok().filter(|_| number).map_or_else(|| json!(value), |n| json!(n));
            out.insert(key.clone(), shown);
        }
    }
    if !node.options.is_empty() {
        out.insert("digest".into(), json!(digest(&options_text(node))));
    }
    Ok(Value::Object(out).into())
}

fn set_options(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    let node = world.nodes.get_mut(call.node()).ok_or_else(|| ApiError::die("no such node"))?;
    if let Some(given) = call.text("digest").filter(|d| *d != digest(&options_text(node))) {
        let _ = given;
        return Err(ApiError::die("detected modified configuration - file changed by other user? Try again."));
    }
    for key in split_list(call.text("delete").unwrap_or("")) {
        node.options.remove(key);
    }
    for key in call.args.0.keys().filter(|k| !matches!(k.as_str(), "node" | "delete" | "digest")) {
        let text = call.args.must(key);
        if key == "description" && text.is_empty() {
            node.options.remove(key);
            continue;
        }
        let newline = key == "description" && !text.ends_with('\n');
        node.options.insert(key.clone(), if newline { format!("{text}\n") } else { text.to_owned() });
    }
    Ok(Reply::null())
}

fn network(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let node = world.nodes.get(call.node()).ok_or_else(|| ApiError::die("no such node"))?;
    let wanted = call.text("type").unwrap_or("");
    let mut out = Vec::new();
    let bridges = matches!(wanted, "" | "bridge" | "any_bridge" | "any_local_bridge" | "include_sdn");
    for bridge in node.bridges.iter().filter(|_| bridges) {
        let path = format!("/sdn/zones/localnetwork/{}", bridge.name);
        let seen = world.access.check(&call.who, &path, &["SDN.Audit", "SDN.Use"], true).is_ok();
        if seen {
            out.push(bridge_entry(bridge));
        }
    }
    if matches!(wanted, "" | "eth" | "include_sdn") {
        let ports: std::collections::BTreeSet<&str> = node.bridges.iter().flat_map(|b| split_list(&b.ports)).collect();
        out.extend(ports.into_iter().map(eth_entry));
    }
    Ok(Value::Array(out).into())
}

fn eth_entry(name: &str) -> Value {
    json!({
        "iface": name, "type": "eth", "active": 1, "exists": 1, "method": "manual", "method6": "manual",
        "families": ["inet"], "priority": 3,
    })
}

fn bridge_entry(bridge: &Bridge) -> Value {
    let mut out = json!({
        "iface": bridge.name, "type": "bridge", "active": 1, "autostart": 1, "method": "manual", "method6": "manual",
        "families": ["inet"], "bridge_ports": bridge.ports, "bridge_stp": "off", "bridge_fd": "0", "priority": 3,
    });
    if let Some((address, length)) = bridge.address.as_deref().and_then(|a| a.split_once('/')) {
        out["method"] = json!("static");
        out["address"] = json!(address);
        out["netmask"] = json!(length);
        out["cidr"] = json!(format!("{address}/{length}"));
    }
    if let Some(gateway) = &bridge.gateway {
        out["gateway"] = json!(gateway);
    }
    if bridge.vlan_aware {
        out["bridge_vlan_aware"] = json!(1);
        out["bridge_vids"] = json!("2-4094");
    }
    out
}

fn syslog(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let start = call.args.int("start").unwrap_or(0).max(0) as usize;
    let limit = call.args.int("limit").unwrap_or(500).max(0) as usize;
    let lines: Vec<&crate::world::LogLine> = world.cluster_log.iter().rev().filter(|l| l.node == call.node()).collect();
    let shown = lines.iter().enumerate().skip(start).take(limit);
    let data =
        shown.map(|(n, l)| json!({"n": n + 1, "t": format!("{} pvedaemon[{}]: {}", l.node, l.pid, l.text)})).collect();
    Ok(Reply { data: Value::Array(data), total: Some(lines.len() as u64), ..Reply::default() })
}
