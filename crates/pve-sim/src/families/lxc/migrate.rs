//! Moving a container to another node.

use serde_json::{Value, json};

use crate::api::call::{Call, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::families::lxc::check_lock;
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::World;
use crate::world::guest::{Guest, Running};

struct Job {
    vmid: u32,
    from: String,
    to: String,
    running: bool,
    /// Storage for the volumes, by the storage they are on; `None` keeps the name.
    storages: Option<String>,
}

/// Where could the container go?
pub(super) fn look(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let guest = world.container(call.node(), call.vmid())?;
    let mut allowed = Vec::new();
    let mut refused = serde_json::Map::new();
    for name in world.nodes.keys().filter(|n| n.as_str() != call.node()) {
        let missing: Vec<&str> =
            storages_of(guest).into_iter().filter(|s| world.storages.usable(s, name).is_err()).collect();
        if missing.is_empty() {
            allowed.push(name.clone());
        } else {
            refused.insert(name.clone(), json!({"unavailable-storages": missing}));
        }
    }
    let running = i32::from(guest.running.is_some());
    Ok(json!({"running": running, "allowed-nodes": allowed, "not-allowed-nodes": Value::Object(refused)}).into())
}

fn storages_of(guest: &Guest) -> Vec<&str> {
    let values = guest.config.keys.iter().filter(|(k, _)| k.as_str() == "rootfs" || k.starts_with("mp"));
    let mut out: Vec<&str> = values.filter_map(|(_, v)| v.split_once(':').map(|(s, _)| s)).collect();
    out.sort_unstable();
    out.dedup();
    out
}

pub(super) fn migrate(call: &Call) -> ReplyResult {
    let to = call.args.must("target").to_owned();
    if to == call.node() {
        return Err(ApiError::param("target", "target is local node."));
    }
    let world = call.site.world();
    if !world.nodes.contains_key(&to) {
        return Err(ApiError::die(format!("no such cluster node '{to}'")));
    }
    let guest = world.container(call.node(), call.vmid())?;
    let running = guest.running.is_some();
    if running {
        if call.args.is_set("online") && !call.args.is_set("restart") {
            return Err(ApiError::die("lxc live migration is currently not implemented"));
        }
        if !call.args.is_set("restart") {
            return Err(ApiError::die("can't migrate running container without --online or --restart"));
        }
    }
    let storages = call.text("target-storage").filter(|s| *s != "1").map(str::to_owned);
    drop(world);
    let job = Job { vmid: call.vmid(), from: call.node().to_owned(), to, running, storages };
    let id = call.vmid().to_string();
    Ok(Site::spawn(call, "vzmigrate", &id, |ctx| run(ctx, job)))
}

async fn run(ctx: TaskCtx, job: Job) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, job.vmid).await.map_err(|e| e.message)?;
    prepare(&ctx, &job).map_err(|e| format!("migration aborted: {}", e.message))?;
    ctx.log(format!("starting migration of CT {} to node '{}'", job.vmid, job.to));
    let moved = travel(&ctx, &job).await;
    let mut world = ctx.site.world();
    if let Some(guest) = world.guests.get_mut(&job.vmid) {
        guest.config.keys.remove("lock");
    }
    drop(world);
    moved.map_err(|why| format!("migration aborted: {why}"))?;
    ctx.effect("migrate", job.vmid);
    Ok(())
}

/// Checks lock, target and storages, then locks the config.
fn prepare(ctx: &TaskCtx, job: &Job) -> ApiResult<()> {
    let mut world = ctx.site.world();
    let guest = world.container(&job.from, job.vmid)?;
    check_lock(&guest.config)?;
    if !world.nodes.get(&job.to).is_some_and(|n| n.up) {
        return Err(ApiError::die(format!("can't connect to node '{}'", job.to)));
    }
    for storage in storages_of(guest) {
        world.storages.usable(job.storages.as_deref().unwrap_or(storage), &job.to)?;
    }
    let guest = world.container_mut(&job.from, job.vmid)?;
    guest.config.keys.insert("lock".to_owned(), "migrate".to_owned());
    Ok(())
}

async fn travel(ctx: &TaskCtx, job: &Job) -> Result<(), String> {
    if job.running {
        ctx.log(format!("shutdown CT {}", job.vmid));
        ctx.work(Work::Shutdown).await?;
        set_running(ctx, job.vmid, false);
    }
    ctx.work(Work::Migrate).await?;
    ctx.last_chance()?;
    {
        let mut world = ctx.site.world();
        world.touch(job.vmid, ctx.site.clock.now_precise());
        move_volumes(&mut world, job);
        if let Some(guest) = world.guests.get_mut(&job.vmid) {
            guest.node = job.to.clone();
        }
    }
    if job.running {
        ctx.log("start container on target node");
        ctx.work(Work::Start).await?;
        set_running(ctx, job.vmid, true);
    }
    Ok(())
}

fn set_running(ctx: &TaskCtx, vmid: u32, running: bool) {
    let now = ctx.site.clock.now_precise();
    let pid = ctx.site.tasks.next_pid();
    let mut world = ctx.site.world();
    world.touch(vmid, now);
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.running = running.then_some(Running { pid, since: now });
    }
}

/// Carries volumes on local storages over; shared ones stay where they are.
fn move_volumes(world: &mut World, job: &Job) {
    let Some(guest) = world.guests.get(&job.vmid) else { return };
    let mounts = guest.config.mounts();
    for (key, mut mount) in mounts {
        let Some((storage, name)) = mount.volume().split_once(':').map(|(s, n)| (s.to_owned(), n.to_owned())) else {
            continue;
        };
        let target = job.storages.clone().unwrap_or_else(|| storage.clone());
        if let Some(volume) = world.storages.remove(&storage, &job.from, &name) {
            world.storages.insert(&target, &job.to, &name, volume);
        }
        if target != storage {
            mount.props.insert("volume".to_owned(), format!("{target}:{name}"));
            if let Some(guest) = world.guests.get_mut(&job.vmid) {
                guest.config.keys.insert(key.clone(), mount.print(&key));
            }
        }
    }
}
