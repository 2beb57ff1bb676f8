//! Pools and their members.

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::families::resources;
use crate::world::{Pool, World};

const ID: &str = "poolid:s@pve-poolid";
const UPDATE: &str =
    "allow-move?:b comment?:s delete?:b poolid:s@pve-poolid storage?:s@pve-storage-id-list vms?:s@pve-vmid-list";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let allocate = "/pool/{poolid} Pool.Allocate";
    vec![
        get("/pools", "all", &["poolid?:s@pve-poolid type?:s{qemu|lxc|storage}!poolid"], list).returns("array"),
        post("/pools", allocate, &[ID, "comment?:s"], create),
        put("/pools", allocate, &[UPDATE], update),
        delete("/pools", allocate, &[ID], remove),
        get("/pools/{poolid}", "/pool/{poolid} Pool.Audit", &[ID, "type?:s{qemu|lxc|storage}"], look).returns("object"),
        put("/pools/{poolid}", allocate, &[UPDATE], update),
        delete("/pools/{poolid}", allocate, &[ID], remove),
    ]
}

fn missing(id: &str) -> ApiError {
    ApiError::die(format!("pool '{id}' does not exist"))
}

fn head(id: &str, pool: &Pool) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("poolid".into(), json!(id));
    if let Some(comment) = &pool.comment {
        out.insert("comment".into(), json!(comment));
    }
    out
}

fn members(call: &Call, world: &World, id: &str) -> Value {
    let now = call.site.clock.now_precise();
    let wanted = |kind: &str| call.text("type").is_none_or(|t| t == kind);
    let mut out = Vec::new();
    for vmid in world.pool_guests(id) {
        if let Some(guest) = world.guests.get(&vmid).filter(|g| wanted(g.kind.name())) {
            out.push(resources::guest_entry(world, vmid, guest, now, false));
        }
    }
    if wanted("storage") {
        let mine = world.access.storage_pools.iter().filter(|(_, pools)| pools.contains(id));
        out.extend(mine.flat_map(|(storage, _)| resources::storage_entries(world, storage)));
    }
    Value::Array(out)
}

fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let seen = |id: &str| world.access.check(&call.who, &format!("/pool/{id}"), &["Pool.Audit"], false);
    if let Some(id) = call.text("poolid") {
        seen(id)?;
        let pool = world.pools.get(id).ok_or_else(|| missing(id))?;
        let mut out = head(id, pool);
        out.insert("members".into(), members(call, &world, id));
        return Ok(json!([out]).into());
    }
    let out = world.pools.iter().filter(|(id, _)| seen(id).is_ok()).map(|(id, pool)| Value::Object(head(id, pool)));
    Ok(Value::Array(out.collect()).into())
}

fn look(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let id = call.args.must("poolid");
    let pool = world.pools.get(id).ok_or_else(|| missing(id))?;
    let mut out = head(id, pool);
    out.insert("members".into(), members(call, &world, id));
    Ok(Value::Object(out).into())
}

fn create(call: &Call) -> ReplyResult {
    let id = call.args.must("poolid");
    let mut world = call.site.world();
    let failed = |why: String| ApiError::die(format!("create pool failed: {why}"));
    if world.pools.contains_key(id) {
        return Err(failed(format!("pool '{id}' already exists")));
    }
    if let Some((parent, _)) = id.rsplit_once('/')
        && !world.pools.contains_key(parent)
    {
        return Err(failed(format!("parent '{parent}' of pool '{id}' does not exist")));
    }
    let comment = call.text("comment").filter(|c| !c.is_empty()).map(str::to_owned);
    world.pools.insert(id.to_owned(), Pool { comment });
    Ok(Reply::null())
}

fn update(call: &Call) -> ReplyResult {
    let id = call.args.must("poolid");
    let failed =
        |e: ApiError| if e.status == 500 { ApiError::die(format!("update pools failed: {}", e.message)) } else { e };
    let mut world = call.site.world();
    if !world.pools.contains_key(id) {
        return Err(failed(missing(id)));
    }
    if let Some(comment) = call.text("comment")
        && let Some(pool) = world.pools.get_mut(id)
    {
        pool.comment = (!comment.is_empty()).then(|| comment.to_owned());
    }
    update_guests(call, &mut world, id).map_err(failed)?;
    update_storages(call, &mut world, id).map_err(failed)?;
    Ok(Reply::null())
}

fn update_guests(call: &Call, world: &mut World, id: &str) -> ApiResult<()> {
    let delete = call.args.is_set("delete");
    for vmid in split_list(call.text("vms").unwrap_or("")).filter_map(|v| v.parse::<u32>().ok()) {
        // Rights on the guest are needed so that nobody takes it over by pulling it into a pool.
        world.access.check(&call.who, &format!("/vms/{vmid}"), &["VM.Allocate"], false).or_else(|denied| {
            world.access.check(&call.who, &format!("/vms/{vmid}"), &["Permissions.Modify"], false).map_err(|_| denied)
        })?;
        let now_in = world.access.guest_pool.get(&vmid).cloned();
        if delete {
            if now_in.as_deref() != Some(id) {
                return Err(ApiError::die(format!("VM {vmid} is not a pool member")));
            }
            world.access.guest_pool.remove(&vmid);
            continue;
        }
        match now_in {
            Some(pool) if pool == id => return Err(ApiError::die(format!("VM {vmid} is already a pool member"))),
            Some(pool) if !call.args.is_set("allow-move") => {
                let text = format!("VM {vmid} belongs already to pool '{pool}' and 'allow-move' is not set");
                return Err(ApiError::die(text));
            }
            _ => {
                world.access.guest_pool.insert(vmid, id.to_owned());
            }
        }
    }
    Ok(())
}

fn update_storages(call: &Call, world: &mut World, id: &str) -> ApiResult<()> {
    let delete = call.args.is_set("delete");
    for storage in split_list(call.text("storage").unwrap_or("")) {
        world.access.check(&call.who, &format!("/storage/{storage}"), &["Datastore.Allocate"], false)?;
        let pools = world.access.storage_pools.entry(storage.to_owned()).or_default();
        if delete && !pools.remove(id) {
            return Err(ApiError::die(format!("Storage '{storage}' is not a pool member")));
        }
        if !delete && !pools.insert(id.to_owned()) {
            return Err(ApiError::die(format!("Storage '{storage}' is already a pool member")));
        }
    }
    Ok(())
}

fn remove(call: &Call) -> ReplyResult {
    let id = call.args.must("poolid");
    let failed = |why: String| ApiError::die(format!("delete pool failed: {why}"));
    let mut world = call.site.world();
    if !world.pools.contains_key(id) {
        return Err(failed(format!("pool '{id}' does not exist")));
    }
    let stem = format!("{id}/");
    if let Some(child) = world.pools.keys().find(|p| p.starts_with(&stem)) {
        return Err(failed(format!("pool '{id}' is not empty (contains pool '{child}')")));
    }
    let guests = world.pool_guests(id);
    if let Some(vmid) = guests.iter().find(|v| world.guests.contains_key(v)) {
        return Err(failed(format!("pool '{id}' is not empty (contains VM {vmid})")));
    }
    let holds = |pools: &std::collections::BTreeSet<String>| pools.contains(id);
    let storages = world.access.storage_pools.iter();
    let held = storages
        .filter(|(s, pools)| holds(pools) && world.storages.defs.contains_key(*s))
        .map(|(s, _)| s.clone())
        .next();
    if let Some(storage) = held {
        return Err(failed(format!("pool '{id}' is not empty (contains storage '{storage}')")));
    }
    world.access.guest_pool.retain(|_, pool| pool != id);
    world.access.storage_pools.values_mut().for_each(|pools| _ = pools.remove(id));
    world.access.acl.remove(&format!("/pool/{id}"));
    world.pools.remove(id);
    Ok(Reply::null())
}
