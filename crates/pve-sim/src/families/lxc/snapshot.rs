//! Snapshots of containers.

use serde_json::{Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::families::index as index_of;
use crate::families::lxc::{change, check_lock, status};
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::World;
use crate::world::config::{Config, Keys, is_numbered, keys_json};

/// Names that PVE uses itself.
const RESERVED: &[&str] = &["current", "vzdump"];

pub(super) fn list(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.container(call.node(), call.vmid())?;
    let mut out = Vec::new();
    for (name, keys) in &guest.config.snapshots {
        let mut item = json!({
            "name": name,
            "snaptime": keys.get("snaptime").and_then(|t| t.parse::<i64>().ok()).unwrap_or(0),
            "description": keys.get("description").map_or("", String::as_str),
        });
        add_parent(&mut item, keys);
        out.push(item);
    }
    let mut current = json!({
        "name": "current",
        "description": "You are here!",
        "digest": guest.config.digest(),
        "running": i32::from(guest.running.is_some()),
    });
    add_parent(&mut current, &guest.config.keys);
    out.push(current);
    Ok(Value::Array(out).into())
}

fn add_parent(item: &mut Value, keys: &Keys) {
    if let Some(parent) = keys.get("parent") {
        item["parent"] = json!(parent);
    }
}

pub(super) fn index(_call: &Call) -> ReplyResult {
    Ok(index_of("cmd", &["rollback", "config"]).into())
}

fn find<'a>(config: &'a Config, name: &str) -> ApiResult<&'a Keys> {
    config.snapshots.get(name).ok_or_else(|| ApiError::die(format!("snapshot '{name}' does not exist")))
}

pub(super) fn config(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.container(call.node(), call.vmid())?;
    Ok(Value::Object(keys_json(find(&guest.config, call.args.must("snapname"))?)).into())
}

/// Changes a snapshot's description.
pub(super) async fn update(call: Call) -> ReplyResult {
    let _lock = call.site.locks.lock_guest(&call.site.clock, call.vmid()).await?;
    let mut world = call.site.world();
    let guest = world.container_mut(call.node(), call.vmid())?;
    check_lock(&guest.config)?;
    let name = call.args.must("snapname");
    find(&guest.config, name)?;
    if let (Some(text), Some(keys)) = (call.text("description"), guest.config.snapshots.get_mut(name)) {
        keys.insert("description".to_owned(), change::with_newline(text));
    }
    Ok(Reply::null())
}

struct Job {
    vmid: u32,
    node: String,
    name: String,
}

fn job(call: &Call) -> Job {
    Job { vmid: call.vmid(), node: call.node().to_owned(), name: call.args.must("snapname").to_owned() }
}

pub(super) fn create(call: &Call) -> ReplyResult {
    let job = job(call);
    if RESERVED.contains(&job.name.as_str()) {
        return Err(ApiError::die(format!("unable to use snapshot name '{}' (reserved name)", job.name)));
    }
    let description = call.text("description").map(str::to_owned);
    let id = job.vmid.to_string();
    Ok(Site::spawn(call, "vzsnapshot", &id, |ctx| run_create(ctx, job, description)))
}

async fn run_create(ctx: TaskCtx, job: Job, description: Option<String>) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, job.vmid).await.map_err(|e| e.message)?;
    prepare(&ctx, &job).map_err(|e| e.message)?;
    let worked = ctx.work(Work::Snapshot).await.and_then(|()| ctx.last_chance());
    let mut world = ctx.site.world();
    let Ok(guest) = world.container_mut(&job.node, job.vmid) else { return Err("the container vanished".to_owned()) };
    guest.config.keys.remove("lock");
    worked?;
    let mut keys: Keys = guest.config.keys.clone();
    keys.retain(|k, _| !matches!(k.as_str(), "description" | "digest") && !is_numbered(k, "unused"));
    keys.insert("snaptime".to_owned(), ctx.site.now().to_string());
    if let Some(text) = description.filter(|d| !d.is_empty()) {
        keys.insert("description".to_owned(), change::with_newline(&text));
    }
    guest.config.snapshots.insert(job.name.clone(), keys);
    guest.config.keys.insert("parent".to_owned(), job.name);
    drop(world);
    ctx.effect("snapshot", job.vmid);
    Ok(())
}

fn prepare(ctx: &TaskCtx, job: &Job) -> ApiResult<()> {
    let mut world = ctx.site.world();
    let guest = world.container(&job.node, job.vmid)?;
    if guest.is_template() {
        return Err(ApiError::die("you can't take a snapshot if it's a template"));
    }
    check_lock(&guest.config)?;
    if guest.config.snapshots.contains_key(&job.name) {
        return Err(ApiError::die(format!("snapshot name '{}' already used", job.name)));
    }
    if !can_snapshot(&world, job.vmid) {
        return Err(ApiError::die("snapshot feature is not available"));
    }
    let guest = world.container_mut(&job.node, job.vmid)?;
    guest.config.keys.insert("lock".to_owned(), "snapshot".to_owned());
    Ok(())
}

/// All volumes must be on storages that can.
pub(super) fn can_snapshot(world: &World, vmid: u32) -> bool {
    let Some(guest) = world.guests.get(&vmid) else { return false };
    guest.config.mounts().iter().all(|(_, mount)| {
        let storage = mount.volume().split_once(':').and_then(|(s, _)| world.storages.defs.get(s));
        mount.kind() == "volume" && storage.is_some_and(crate::world::storage::Storage::has_snapshots)
    })
}

pub(super) fn delete(call: &Call) -> ReplyResult {
    let job = job(call);
    let id = job.vmid.to_string();
    Ok(Site::spawn(call, "vzdelsnapshot", &id, |ctx| run_delete(ctx, job)))
}

async fn run_delete(ctx: TaskCtx, job: Job) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, job.vmid).await.map_err(|e| e.message)?;
    {
        let world = ctx.site.world();
        let config = &world.container(&job.node, job.vmid).map_err(|e| e.message)?.config;
        find(config, &job.name).and_then(|_| check_lock(config)).map_err(|e| e.message)?;
    }
    ctx.work(Work::Snapshot).await?;
    ctx.last_chance()?;
    let mut world = ctx.site.world();
    let config = &mut world.container_mut(&job.node, job.vmid).map_err(|e| e.message)?.config;
    let parent = config.snapshots.remove(&job.name).and_then(|keys| keys.get("parent").cloned());
    let orphans = config.snapshots.values_mut().chain(std::iter::once(&mut config.keys));
    for keys in orphans.filter(|k| k.get("parent") == Some(&job.name)) {
        keys.remove("parent");
        keys.extend(parent.clone().map(|p| ("parent".to_owned(), p)));
    }
    Ok(())
}

pub(super) fn rollback(call: &Call) -> ReplyResult {
    let job = job(call);
    let id = job.vmid.to_string();
    let starter = call.args.is_set("start").then(|| call.clone());
    Ok(Site::spawn(call, "vzrollback", &id, |ctx| run_rollback(ctx, job, starter)))
}

async fn run_rollback(ctx: TaskCtx, job: Job, starter: Option<Call>) -> Result<(), String> {
    {
        let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, job.vmid).await.map_err(|e| e.message)?;
        check_rollback(&ctx, &job).map_err(|e| e.message)?;
        ctx.work(Work::Snapshot).await?;
        ctx.last_chance()?;
        restore(&ctx, &job).map_err(|e| e.message)?;
    }
    ctx.effect("rollback", job.vmid);
    if let Some(call) = starter {
        status::start_inside(&call, job.vmid);
    }
    Ok(())
}

fn check_rollback(ctx: &TaskCtx, job: &Job) -> ApiResult<()> {
    let world = ctx.site.world();
    let guest = world.container(&job.node, job.vmid)?;
    find(&guest.config, &job.name)?;
    if guest.is_template() {
        return Err(ApiError::die("you can't rollback if CT is a template"));
    }
    check_lock(&guest.config)
}

/// The snapshot's keys become the config; description and unused volumes stay.
fn restore(ctx: &TaskCtx, job: &Job) -> ApiResult<()> {
    let mut world = ctx.site.world();
    world.touch(job.vmid, ctx.site.clock.now_precise());
    let guest = world.container_mut(&job.node, job.vmid)?;
    let mut keys = find(&guest.config, &job.name)?.clone();
    for key in ["snaptime", "description", "parent"] {
        keys.remove(key);
    }
    keys.insert("parent".to_owned(), job.name.clone());
    let kept = guest.config.keys.iter().filter(|(k, _)| k.as_str() == "description" || is_numbered(k, "unused"));
    keys.extend(kept.map(|(k, v)| (k.clone(), v.clone())));
    guest.config.keys = keys;
    guest.config.pending = crate::world::config::Pending::default();
    guest.running = None;
    Ok(())
}
