//! Storages as a node sees them.

use serde_json::{Value, json};

use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, get};
use crate::api::error::ApiError;
use crate::api::format::split_list;
use crate::families::index;
use crate::world::World;

const AUDIT: &str = "/storage/{storage} Datastore.Audit|Datastore.AllocateSpace";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/nodes/{node}/storage",
            "all",
            &["node content?:s@pve-storage-content-list enabled?:b format?:b storage?:s@pve-storage-id target?:s@pve-node"],
            list,
        )
        .protected()
        .returns("array"),
        get("/nodes/{node}/storage/{storage}", AUDIT, &["node storage:s@pve-storage-id"], |_| {
            let names = &[
                "content", "download-url", "file-restore", "import-metadata", "oci-registry-pull", "prunebackups", "rrd",
                "rrddata", "status", "upload",
            ];
            Ok(index("subdir", names).into())
        })
        .local()
        .returns("array"),
        get("/nodes/{node}/storage/{storage}/status", AUDIT, &["node storage:s@pve-storage-id"], status)
            .protected()
            .returns("object"),
    ]
}

/// Readings of a storage on a node; zeros where it cannot be used.
fn info(world: &World, id: &str, node: &str, with_id: bool) -> Value {
    let Some(storage) = world.storages.defs.get(id) else { return Value::Null };
    let enabled = !storage.disabled && storage.is_on(node);
    let (total, used) = if enabled { (storage.size, world.storages.used(id, node)) } else { (0, 0) };
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    let mut out = json!({
        "type": storage.kind,
        "content": content.join(","),
        "enabled": i32::from(enabled),
        "active": i32::from(enabled),
        "shared": i32::from(storage.shared),
        "total": total,
        "used": used,
        "avail": total.saturating_sub(used),
    });
    if with_id {
        out["storage"] = json!(id);
        if total > 0 {
            out["used_fraction"] = json!(used as f64 / total as f64);
        }
    }
    out
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    if call.text("storage").is_some_and(|s| !world.storages.defs.contains_key(s)) {
        return Err(ApiError::param("storage", "No such storage."));
    }
    let mut out = Vec::new();
    for (id, storage) in &world.storages.defs {
        let path = format!("/storage/{id}");
        let seen = world.access.check(&call.who, &path, &["Datastore.Audit", "Datastore.AllocateSpace"], true).is_ok();
        let usable = !storage.disabled && storage.is_on(call.node());
        let reaches = call.text("target").is_none_or(|t| storage.is_on(t));
        let holds = call.text("content").is_none_or(|c| split_list(c).any(|kind| storage.content.contains(kind)));
        let named = call.text("storage").is_none_or(|s| s == id);
        if seen && named && holds && reaches && (usable || !call.args.is_set("enabled")) {
            out.push(info(&world, id, call.node(), true));
        }
    }
    Ok(Value::Array(out).into())
}

fn status(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let id = call.args.must("storage");
    if !world.storages.defs.contains_key(id) {
        return Err(ApiError::param("storage", "No such storage."));
    }
    Ok(info(&world, id, call.node(), false).into())
}
