//! The cluster: status, next free number, datacenter options, log.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, get, put};
use crate::api::error::ApiError;
use crate::api::format::split_list;
use crate::api::propstr;
use crate::families::index;
use crate::world::World;

const LANGUAGES: &str = "ar|ca|da|de|en|es|eu|fa|fr|hr|he|it|ja|ka|kr|nb|nl|nn|pl|pt_BR|ru|sl|sv|tr|ukr|zh_CN|zh_TW";
const KEYBOARDS: &str =
    "de|de-ch|da|en-gb|en-us|es|fi|fr|fr-be|fr-ca|fr-ch|hu|is|it|ja|lt|mk|nl|no|pl|pt|pt-br|sv|sl|tr";
/// Options whose value is given back as an object.
const OBJECTS: &[&str] =
    &["crs", "ha", "migration", "next-id", "notify", "replication", "tag-style", "u2f", "user-tag-access", "webauthn"];
/// How many lines the cluster log gives when nobody says.
const LOG_LINES: i64 = 50;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let options = format!(
        "bwlimit?:s@$bwlimit consent-text?:s<65536 console?:s{{applet|vv|html5|xtermjs}} crs?:s@$crs \
         delete?:s@pve-configid-list description?:s<65536 email_from?:s@email-opt fencing?:s{{watchdog|hardware|both}} \
         ha?:s@$ha http_proxy?:s~http://.* keyboard?:s{{{KEYBOARDS}}} language?:s{{{LANGUAGES}}} mac_prefix?:s@mac-prefix \
         max_workers?:i[1..] migration?:s@$migration migration_unsecure?:b next-id?:s@$next-id notify?:s@$notify \
         registered-tags?:s~(?:(?^i:[a-z0-9_][a-z0-9_\\-\\+\\.]*);)*(?^i:[a-z0-9_][a-z0-9_\\-\\+\\.]*) \
         replication?:s@$replication tag-style?:s@$tag-style u2f?:s@$u2f user-tag-access?:s@$user-tag-access \
         webauthn?:s@$webauthn"
    );
    let mut list = vec![
        get("/cluster", "all", &[], root).returns("array"),
        get("/cluster/status", "/ Sys.Audit", &[], status).protected().returns("array"),
        get("/cluster/nextid", "all", &["vmid?:i@pve-vmid[100..999999999]"], next_id).returns("integer"),
        get("/cluster/options", "all", &[], get_options).returns("object"),
        put("/cluster/options", "/ Sys.Modify", &[&options], set_options),
        get("/cluster/log", "all", &["max?:i[1..]"], log).returns("array"),
        get("/cluster/ha/resources", "/ Sys.Audit", &["type?:s{ct|vm}"], empty).returns("array"),
        get("/cluster/ha/status/current", "/ Sys.Audit", &[], ha_status).returns("array"),
        get("/cluster/ha/status", "all", &[], |_| Ok(index("name", &["current", "manager_status"]).into()))
            .returns("array"),
        get("/cluster/config/nodes", "/ Sys.Audit", &[], config_nodes).returns("array"),
    ];
    list.push(get("/cluster/config", "/ Sys.Audit", &[], config_root).returns("array"));
    list.push(
        get("/cluster/metrics", "all", &[], |_| Ok(index("name", &["server", "export"]).into())).returns("array"),
    );
    list.push(
        get("/cluster/mapping", "all", &[], |_| Ok(index("name", &["dir", "pci", "usb"]).into())).returns("array"),
    );
    for path in ["/cluster/backup", "/cluster/ha/groups", "/cluster/metrics/server"] {
        list.push(get(path, "/ Sys.Audit", &[], empty).returns("array"));
    }
    list.push(get("/cluster/replication", "all", &[], empty).returns("array"));
    for path in ["/cluster/mapping/dir", "/cluster/mapping/pci", "/cluster/mapping/usb"] {
        list.push(get(path, "all", &["check-node?:s@pve-node"], empty).returns("array"));
    }
    list
}

fn root(_call: &Call) -> ReplyResult {
    let names = &[
        "acme",
        "backup",
        "backup-info",
        "bulk-action",
        "ceph",
        "config",
        "firewall",
        "ha",
        "jobs",
        "log",
        "mapping",
        "metrics",
        "notifications",
        "nextid",
        "options",
        "replication",
        "resources",
        "status",
        "tasks",
        "sdn",
    ];
    Ok(index("name", names).into())
}

fn config_root(_call: &Call) -> ReplyResult {
    Ok(index("name", &["nodes", "totem", "join", "qdevice", "apiversion"]).into())
}

/// A list that is empty as long as nobody configures such things, which this simulator does not offer.
fn empty(_call: &Call) -> ReplyResult {
    Ok(json!([]).into())
}

fn status(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let mut out = Vec::new();
    if world.nodes.len() > 1 {
        out.push(json!({
            "type": "cluster",
            "id": "cluster",
            "name": "sim",
            "version": world.nodes.len(),
            "nodes": world.nodes.len(),
            "quorate": i32::from(!world.quorum_lost),
        }));
    }
    for (name, node) in &world.nodes {
        out.push(json!({
            "type": "node",
            "id": format!("node/{name}"),
            "name": name,
            "nodeid": node.number,
            "ip": node.ip,
            "online": i32::from(node.up),
            "local": i32::from(*name == call.local),
            "level": "",
        }));
    }
    Ok(Value::Array(out).into())
}

fn config_nodes(call: &Call) -> ReplyResult {
    let world = call.site.world();
    if world.nodes.len() == 1 {
        return Ok(json!([]).into());
    }
    let out = world.nodes.keys().map(|name| json!({"node": name})).collect();
    Ok(Value::Array(out).into())
}

fn next_id(call: &Call) -> ReplyResult {
    let world = call.site.world();
    if let Some(vmid) = call.args.int("vmid") {
        let taken = u32::try_from(vmid).is_ok_and(|v| world.guests.contains_key(&v));
        if taken {
            return Err(ApiError::param("vmid", format!("VM {vmid} already exists")));
        }
        return Ok(json!(vmid.to_string()).into());
    }
    let (lower, upper) = id_range(&world);
    let free = (lower..upper).find(|v| !world.guests.contains_key(v));
    match free {
        Some(vmid) => Ok(json!(vmid.to_string()).into()),
        None => Err(ApiError::die(format!("unable to get any free VMID in range [{lower}, {}]", upper - 1))),
    }
}

/// The range of automatic numbers; the upper end is not part of it.
fn id_range(world: &World) -> (u32, u32) {
    const DEFAULT: (u32, u32) = (100, 1_000_000);
    let range =
        world.options.get("next-id").and_then(|t| propstr::parse("next-id", t, "next-id").ok()).unwrap_or_default();
    let read = |key: &str, default| range.get(key).and_then(|v| v.parse().ok()).unwrap_or(default);
    (read("lower", DEFAULT.0), read("upper", DEFAULT.1))
}

fn get_options(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let full = world.access.check(&call.who, "/", &["Sys.Audit"], false).is_ok();
    let mut out = Map::new();
    for (key, value) in &world.options {
        let shown = match key.as_str() {
            "registered-tags" => split_list(value).map(|t| json!(t)).collect(),
            _ if OBJECTS.contains(&key.as_str()) => object(key, value),
            _ => json!(value),
        };
        if full || matches!(key.as_str(), "tag-style" | "console") {
            out.insert(key.clone(), shown);
        }
    }
    out.insert("allowed-tags".into(), json!(allowed_tags(call, &world)));
    if full {
        out.entry("description").or_insert(json!(""));
        out.entry("mac_prefix").or_insert(json!("BC:24:11"));
    }
    Ok(Value::Object(out).into())
}

/// The tags the caller may use: registered ones with the right to change the site, listed ones, and those of guests he sees.
fn allowed_tags(call: &Call, world: &World) -> BTreeSet<String> {
    let access = world.options.get("user-tag-access");
    let access = access.and_then(|t| propstr::parse("user-tag-access", t, "user-tag-access").ok()).unwrap_or_default();
    let mode = access.get("user-allow").map_or("free", String::as_str);
    let privileged = world.access.check(&call.who, "/", &["Sys.Modify"], false).is_ok();
    let mut tags = BTreeSet::new();
    let mut add = |list: &str| tags.extend(split_list(list).map(str::to_owned));
    if privileged {
        add(world.options.get("registered-tags").map_or("", String::as_str));
    }
    if privileged || mode != "none" {
        add(access.get("user-allow-list").map_or("", String::as_str));
    }
    if privileged || matches!(mode, "free" | "existing") {
        for (vmid, guest) in &world.guests {
            let Some(own) = guest.config.get("tags") else { continue };
            if privileged || world.access.check(&call.who, &format!("/vms/{vmid}"), &["VM.Audit"], false).is_ok() {
                add(own);
            }
        }
    }
    tags
}

fn object(name: &str, text: &str) -> Value {
    let mut out = json!(propstr::parse(name, text, name).unwrap_or_default());
    if let Some(list) = out.get("user-allow-list").and_then(Value::as_str) {
        let items: Vec<String> = split_list(list).map(str::to_owned).collect();
        out["user-allow-list"] = json!(items);
    }
    out
}

fn set_options(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    if let Some(text) = call.text("next-id") {
        let range = propstr::parse("next-id", text, "next-id").unwrap_or_default();
        let read = |key: &str, default: u32| range.get(key).and_then(|v| v.parse().ok()).unwrap_or(default);
        let (lower, upper) = (read("lower", 100), read("upper", 1_000_000));
        if lower > upper {
            return Err(ApiError::die(format!("lower ({lower}) <= upper ({upper}) boundary rule broken")));
        }
    }
    for key in split_list(call.text("delete").unwrap_or("")) {
        world.options.remove(key);
    }
    for key in call.args.0.keys().filter(|k| k.as_str() != "delete") {
        let text = call.args.must(key);
        let text = if key == "description" && !text.is_empty() && !text.ends_with('\n') {
            format!("{text}\n")
        } else {
            text.to_owned()
        };
        world.options.insert(key.clone(), text);
    }
    Ok(Reply::null())
}

fn ha_status(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let quorate = !world.quorum_lost;
    let node = world.nodes.keys().next().cloned().unwrap_or_default();
    Ok(json!([{
        "id": "quorum",
        "type": "quorum",
        "node": node,
        "status": if quorate { "OK" } else { "No quorum on node" },
        "quorate": i32::from(quorate),
    }])
    .into())
}

fn log(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let max = call.args.int("max").unwrap_or(LOG_LINES) as usize;
    let audit = world.access.check(&call.who, "/", &["Sys.Syslog"], false).is_ok();
    let own = call.who.authuser();
    let lines =
        world.cluster_log.iter().filter(|l| audit || l.user == own || l.user.split('!').next() == Some(own.as_str()));
    let out = lines
        .take(max)
        .map(|line| {
            json!({
                "uid": line.number.to_string(),
                "id": format!("{}:{}", line.number, line.node),
                "node": line.node,
                "user": line.user,
                "tag": "pvedaemon",
                "pid": line.pid,
                "pri": 6,
                "time": line.time,
                "msg": line.text,
            })
        })
        .collect();
    Ok(Value::Array(out).into())
}
