//! Resizing and moving volumes.

use std::collections::BTreeMap;

use crate::api::call::{Call, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::{parse_size, print_size};
use crate::families::lxc::{change, check_digest, check_lock};
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::World;
use crate::world::config::{Config, Mount};
use crate::world::storage::is_base;

/// Grows a volume.
pub(super) async fn resize(call: Call) -> ReplyResult {
    let vmid = call.vmid();
    let _lock = call.site.locks.lock_guest(&call.site.clock, vmid).await?;
    let disk = call.args.must("disk").to_owned();
    let (storage, name, old, new) = {
        let world = call.site.world();
        let guest = world.container(call.node(), vmid)?;
        check_lock(&guest.config)?;
        check_digest(call.text("digest"), &guest.config)?;
        let mount = mount_of(&guest.config, &disk)?;
        let (storage, name) = split(&mount)?;
        world.access.check(&call.who, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"], false)?;
        let old = world.storages.volume(&storage, call.node(), &name).map_or(mount.size().unwrap_or(0), |v| v.size);
        (storage, name, old, new_size(call.args.must("size"), old)?)
    };
    if new == old {
        return Err(ApiError::die("disk is already at specified size"));
    }
    let path = call.site.world().storages.get(&storage)?.path_of(&name);
    let job = Resize { vmid, node: call.node().to_owned(), disk, storage, name, new, path };
    Ok(Site::spawn(&call, "resize", &vmid.to_string(), |ctx| run_resize(ctx, job)))
}

struct Resize {
    vmid: u32,
    node: String,
    disk: String,
    storage: String,
    name: String,
    new: u64,
    path: String,
}

fn new_size(text: &str, old: u64) -> ApiResult<u64> {
    let (text, grows) = text.strip_prefix('+').map_or((text, false), |t| (t, true));
    let bytes = parse_size(text).ok_or_else(|| ApiError::die("unable to parse size"))?;
    let new = if grows { old + bytes } else { bytes };
    if new < old { Err(ApiError::die("unable to shrink disk size")) } else { Ok(new) }
}

async fn run_resize(ctx: TaskCtx, job: Resize) -> Result<(), String> {
    let _lock = ctx.site.locks.lock_guest(&ctx.site.clock, job.vmid).await.map_err(|e| e.message)?;
    check_unlocked(&ctx, &job.node, job.vmid)?;
    if is_base(&job.name) {
        let command = format!("/usr/bin/qemu-img resize '--preallocation=off' -f raw {} {}", job.path, job.new);
        return Err(format!("command '{command}' failed: exit code 1"));
    }
    ctx.work(Work::Resize).await?;
    ctx.last_chance()?;
    ctx.log("Image resized.");
    {
        let mut world = ctx.site.world();
        world.touch(job.vmid, ctx.site.clock.now_precise());
        if let Some(volume) = world.storages.volume_mut(&job.storage, &job.node, &job.name) {
            volume.size = job.new;
        }
        let guest = world.container_mut(&job.node, job.vmid).map_err(|e| e.message)?;
        let mut mount = mount_of(&guest.config, &job.disk).map_err(|e| e.message)?;
        mount.props.insert("size".to_owned(), print_size(job.new));
        guest.config.keys.insert(job.disk.clone(), mount.print(&job.disk));
    }
    ctx.effect("resize", job.vmid);
    Ok(())
}

fn check_unlocked(ctx: &TaskCtx, node: &str, vmid: u32) -> Result<(), String> {
    let world = ctx.site.world();
    let guest = world.container(node, vmid).map_err(|e| e.message)?;
    check_lock(&guest.config).map_err(|e| e.message)
}

/// The mount point of a key; without one PVE fails on parsing nothing.
fn mount_of(config: &Config, key: &str) -> ApiResult<Mount> {
    let missing = "property is missing and it is not optional".to_owned();
    let value = config.get(key).ok_or_else(|| {
        let errors = BTreeMap::from([("mp".to_owned(), missing.clone()), ("volume".to_owned(), missing)]);
        ApiError { status: 500, message: "format error".to_owned(), errors }
    })?;
    Mount::parse(if key.starts_with("unused") { "rootfs" } else { key }, value)
        .map_err(crate::api::propstr::PropError::into_api)
}

fn split(mount: &Mount) -> ApiResult<(String, String)> {
    let parts = mount.volume().split_once(':').map(|(s, n)| (s.to_owned(), n.to_owned()));
    parts.ok_or_else(|| ApiError::die(format!("cannot resize mount point of type {}", mount.kind())))
}

/// Moves a volume to another storage or another container.
pub(super) async fn move_volume(call: Call) -> ReplyResult {
    let vmid = call.vmid();
    let volume = call.args.must("volume").to_owned();
    let target_vmid = call.args.int("target-vmid").and_then(|v| u32::try_from(v).ok());
    match (call.text("storage"), target_vmid) {
        (None, None) => {
            let text = "both 'storage' and 'target-vmid' missing, either needs to be set".to_owned();
            let errors = BTreeMap::from([("storage".to_owned(), text.clone()), ("target-vmid".to_owned(), text)]);
            Err(ApiError::params(errors))
        }
        (Some(_), Some(_)) => {
            let text = "either set 'storage' or 'target-vmid', but not both".to_owned();
            let errors = BTreeMap::from([("storage".to_owned(), text.clone()), ("target-vmid".to_owned(), text)]);
            Err(ApiError::params(errors))
        }
        (Some(storage), None) => move_storage(&call, vmid, volume, storage.to_owned()).await,
        (None, Some(target)) => move_owner(&call, vmid, volume, target).await,
    }
}

struct Move {
    vmid: u32,
    node: String,
    key: String,
    storage: String,
    delete: bool,
}

async fn move_storage(call: &Call, vmid: u32, key: String, storage: String) -> ReplyResult {
    call.check(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let _lock = call.site.locks.lock_guest(&call.site.clock, vmid).await?;
    {
        let mut world = call.site.world();
        let guest = world.container(call.node(), vmid)?;
        check_lock(&guest.config)?;
        check_digest(call.text("digest"), &guest.config)?;
        if guest.running.is_some() {
            return Err(ApiError::die("cannot move volumes of a running container"));
        }
        let mount = mount_of(&guest.config, &key)?;
        if mount.kind() != "volume" {
            return Err(ApiError::die("you can't move a volume with snapshots or a bind mount"));
        }
        let guest = world.container_mut(call.node(), vmid)?;
        guest.config.keys.insert("lock".to_owned(), "disk".to_owned());
    }
    let job = Move { vmid, node: call.node().to_owned(), key, storage, delete: call.args.is_set("delete") };
    Ok(Site::spawn(call, "move_volume", &vmid.to_string(), |ctx| run_move(ctx, job)))
}

async fn run_move(ctx: TaskCtx, job: Move) -> Result<(), String> {
    let result = copy_over(&ctx, &job).await;
    let mut world = ctx.site.world();
    if let Some(guest) = world.guests.get_mut(&job.vmid) {
        guest.config.keys.remove("lock");
    }
    drop(world);
    result?;
    ctx.effect("move-volume", job.vmid);
    Ok(())
}

async fn copy_over(ctx: &TaskCtx, job: &Move) -> Result<(), String> {
    let (old, used) = {
        let world = ctx.site.world();
        world.storages.usable(&job.storage, &job.node).map_err(|e| e.message)?;
        let guest = world.container(&job.node, job.vmid).map_err(|e| e.message)?;
        let mount = mount_of(&guest.config, &job.key).map_err(|e| e.message)?;
        let (storage, name) = split(&mount).map_err(|e| e.message)?;
        let used = world.storages.volume(&storage, &job.node, &name).map_or(0, |v| v.used);
        (mount, used)
    };
    ctx.heavy(&job.storage, Work::Copy(used)).await?;
    ctx.last_chance()?;
    let mut world = ctx.site.world();
    let bytes = old.size().unwrap_or(0);
    let mut new = old.clone();
    change::allocate_into(&ctx.site, &mut world, &job.node, job.vmid, &mut new, &job.storage, bytes)
        .map_err(|e| e.message)?;
    let guest = world.container_mut(&job.node, job.vmid).map_err(|e| e.message)?;
    let printed = if job.key.starts_with("unused") { new.volume().to_owned() } else { new.print(&job.key) };
    guest.config.keys.insert(job.key.clone(), printed);
    if !job.delete {
        guest.config.add_unused(old.volume());
    } else if let Some((storage, name)) = old.volume().split_once(':') {
        world.storages.remove(storage, &job.node, name);
    }
    Ok(())
}

async fn move_owner(call: &Call, vmid: u32, key: String, target: u32) -> ReplyResult {
    let target_key = call.text("target-volume").unwrap_or(&key).to_owned();
    if !call.who.is_root() {
        call.check(&format!("/vms/{target}"), &["VM.Config.Disk"])?;
    }
    if vmid == target {
        return Err(ApiError::die("must be different than source CT to move a disk"));
    }
    {
        let world = call.site.world();
        check_lock(&world.container(call.node(), vmid)?.config)?;
        let found = world.container(call.node(), target);
        found.map_err(|_| ApiError::die(format!("could not find CT {target}")))?;
        if key == "rootfs" || target_key == "rootfs" {
            return Err(ApiError::die("Cannot move to/from 'rootfs'"));
        }
        check_owners(&world, call, vmid, &key, target, &target_key)?;
    }
    let (node, from, to) = (call.node().to_owned(), key.clone(), target_key.clone());
    let id = format!("{vmid}-{key}>{target}-{target_key}");
    Ok(Site::spawn(call, "move_volume", &id, |ctx| async move {
        ctx.work(Work::Small).await?;
        ctx.last_chance()?;
        hand_over(&ctx, &node, (vmid, &from), (target, &to)).map_err(|e| e.message)?;
        ctx.effect("move-volume", target);
        Ok(())
    }))
}

fn check_owners(world: &World, call: &Call, vmid: u32, key: &str, target: u32, target_key: &str) -> ApiResult<()> {
    let (source, goal) = (world.container(call.node(), vmid)?, world.container(call.node(), target)?);
    check_digest(call.text("digest"), &source.config)?;
    check_digest(call.text("target-digest"), &goal.config)?;
    if source.config.get(key).is_none() {
        return Err(ApiError::die(format!("Source volume '{key}' for container {vmid} does not exist")));
    }
    if goal.config.get(target_key).is_some() {
        return Err(ApiError::die(format!("Target volume key is already in use: {target_key}")));
    }
    Ok(())
}

/// Renames the volume to its new owner's and moves the entry from one config to the other.
fn hand_over(ctx: &TaskCtx, node: &str, from: (u32, &str), to: (u32, &str)) -> ApiResult<()> {
    let mut world = ctx.site.world();
    let mut mount = mount_of(&world.container(node, from.0)?.config, from.1)?;
    let (storage, name) = split(&mount)?;
    let volume = world.storages.remove(&storage, node, &name);
    let (bytes, used) = volume.map_or((0, 0), |v| (v.size, v.used));
    let renamed = world.storages.allocate(&storage, node, to.0, bytes, used, ctx.site.now())?;
    mount.props.insert("volume".to_owned(), format!("{storage}:{renamed}"));
    world.container_mut(node, from.0)?.config.keys.remove(from.1);
    let printed = if to.1.starts_with("unused") { mount.volume().to_owned() } else { mount.print(to.1) };
    world.container_mut(node, to.0)?.config.keys.insert(to.1.to_owned(), printed);
    Ok(())
}
