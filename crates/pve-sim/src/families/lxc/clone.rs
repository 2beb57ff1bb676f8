//! Clones and templates.

use std::collections::BTreeMap;

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::families::lxc::{change, check_lock};
use crate::latency::Work;
use crate::site::{Site, TaskCtx};
use crate::world::World;
use crate::world::config::{Config, Keys, Mount, is_numbered, mounts_of};
use crate::world::guest::{Guest, GuestKind};
use crate::world::storage::{Volume, is_base};

/// A clone that has passed all checks and reserved its number.
struct Plan {
    source: u32,
    target: u32,
    /// Where the source is.
    node: String,
    /// Where the clone goes.
    target_node: String,
    storage: Option<String>,
    full: bool,
    mounts: Vec<(String, Mount)>,
}

/// Copies or links a container under a new number.
pub(super) async fn clone(call: Call) -> ReplyResult {
    let source = call.vmid();
    let node = call.node().to_owned();
    let target = call.args.int("newid").and_then(|v| u32::try_from(v).ok()).unwrap_or(0);
    let target_node = check_call(&call, &node)?;
    call.site.world().container(&node, source)?;
    call.site.world().check_vmid_unused(target)?;
    let lock = call.site.locks.lock_guest(&call.site.clock, source).await?;
    let plan = reserve(&call, source, target, node, target_node)?;
    drop(lock);
    Ok(Site::spawn(&call, "vzclone", &source.to_string(), |ctx| run(ctx, plan)))
}

fn check_call(call: &Call, node: &str) -> ApiResult<String> {
    let world = call.site.world();
    if let Some(pool) = call.text("pool").filter(|p| !world.pools.contains_key(*p)) {
        return Err(ApiError::perm(format!("pool '{pool}' does not exist")));
    }
    let target = call.text("target").filter(|t| *t != "localhost").unwrap_or(node);
    if !world.nodes.contains_key(target) {
        return Err(ApiError::die(format!("no such cluster node '{target}'")));
    }
    if let Some(storage) = call.text("storage") {
        let def = world.storages.usable(storage, node)?;
        if target != node && !def.shared {
            return Err(ApiError::die(format!("can't clone to non-shared storage '{storage}'")));
        }
    }
    Ok(target.to_owned())
}

/// Locks the source and writes the clone's config without its volumes.
fn reserve(call: &Call, source: u32, target: u32, node: String, target_node: String) -> ApiResult<Plan> {
    let mut world = call.site.world();
    let guest = world.container(&node, source)?;
    check_lock(&guest.config)?;
    let running = guest.running.is_some();
    let tree = guest.tree;
    let full = call.args.flag("full").unwrap_or(!guest.is_template());
    let storage = call.text("storage").map(str::to_owned);
    if storage.is_some() && !full {
        return Err(ApiError::die("parameter 'storage' not allowed for linked clones"));
    }
    let keys = match call.text("snapname") {
        Some(name) => guest
            .config
            .snapshots
            .get(name)
            .cloned()
            .ok_or_else(|| ApiError::die(format!("snapshot '{name}' does not exist")))?,
        None => guest.config.keys.clone(),
    };
    if full && running && call.text("snapname").is_none() {
        return Err(ApiError::die("Full clone of a running container is only possible from a snapshot"));
    }
    let mounts = check_mounts(&world, call, &keys, &node, &target_node, full)?;
    world.check_vmid_unused(target)?;
    let new_keys = clone_keys(call, &world, &keys);
    let config = Config { keys: new_keys, ..Config::default() };
    let now = call.site.clock.now_precise();
    let mut clone = Guest::new(GuestKind::Lxc, &target_node, config, now);
    clone.cloned_tree = Some(tree);
    world.guests.insert(target, clone);
    if let Some(pool) = call.text("pool") {
        world.access.guest_pool.insert(target, pool.to_owned());
    }
    if let Some(guest) = world.guests.get_mut(&source) {
        guest.config.keys.insert("lock".to_owned(), "disk".to_owned());
    }
    Ok(Plan { source, target, node, target_node, storage, full, mounts })
}

fn check_mounts(
    world: &World,
    call: &Call,
    keys: &Keys,
    node: &str,
    target_node: &str,
    full: bool,
) -> ApiResult<Vec<(String, Mount)>> {
    let mounts = mounts_of(keys);
    for (key, mount) in &mounts {
        if mount.kind() != "volume" {
            return Err(ApiError::die(format!("unable to clone mountpoint '{key}' (type {})", mount.kind())));
        }
        let (own, name) = mount.volume().split_once(':').unwrap_or(("", ""));
        let storage = call.text("storage").unwrap_or(own);
        let def = world.storages.get(storage)?;
        world.access.check(&call.who, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"], false)?;
        if !full && !can_link(&def.kind, name) {
            return Err(ApiError::die(format!("Linked clone feature for '{}' is not available", mount.volume())));
        }
        if target_node != node && !def.shared {
            return Err(ApiError::die(format!("can't clone CT to node '{target_node}' (CT uses local storage)")));
        }
    }
    Ok(mounts)
}

/// Which storages can make a volume from another without copying it.
pub(super) fn can_link(storage_kind: &str, volume: &str) -> bool {
    match storage_kind {
        "btrfs" => true,
        "zfspool" | "zfs" | "lvmthin" | "rbd" => is_base(volume),
        _ => false,
    }
}

/// The clone's options: MAC addresses are new; addresses, tags and description are not.
fn clone_keys(call: &Call, world: &World, keys: &Keys) -> Keys {
    let left_out = ["lock", "parent", "snaptime", "snapstate", "template"];
    let prefix = change::mac_prefix(world);
    let mut out = Keys::new();
    for (key, value) in keys {
        if left_out.contains(&key.as_str()) || key == "rootfs" || is_numbered(key, "mp") || is_numbered(key, "unused") {
            continue;
        }
        let value = if is_numbered(key, "net") {
            let without: Vec<&str> = value.split(',').filter(|p| !p.starts_with("hwaddr=")).collect();
            change::print_nic(&call.site, &prefix, &without.join(","))
        } else {
            value.clone()
        };
        out.insert(key.clone(), value);
    }
    if let Some(hostname) = call.text("hostname") {
        out.insert("hostname".to_owned(), hostname.to_owned());
    }
    if let Some(description) = call.text("description") {
        out.insert("description".to_owned(), change::with_newline(description));
    }
    out.insert("lock".to_owned(), "create".to_owned());
    out
}

async fn run(ctx: TaskCtx, plan: Plan) -> Result<(), String> {
    let result = copy(&ctx, &plan).await;
    {
        let mut world = ctx.site.world();
        if let Some(guest) = world.guests.get_mut(&plan.source) {
            guest.config.keys.remove("lock");
        }
        match &result {
            Ok(mounts) => finish(&ctx, &mut world, &plan, mounts),
            Err(_) => {
                world.storages.remove_all_of(plan.target, &plan.target_node);
                world.remove_guest(plan.target);
            }
        }
    }
    match result {
        Ok(_) => {
            ctx.effect("clone", plan.target);
            Ok(())
        }
        Err(why) => Err(format!("clone failed: {why}")),
    }
}

fn finish(ctx: &TaskCtx, world: &mut World, plan: &Plan, mounts: &BTreeMap<String, String>) {
    world.touch(plan.target, ctx.site.clock.now_precise());
    world.firewall.clone_guest(plan.source, plan.target);
    if let Some(guest) = world.guests.get_mut(&plan.target) {
        guest.config.keys.remove("lock");
        guest.config.keys.extend(mounts.clone());
    }
}

/// Makes the clone's volumes and gives its mount point entries.
async fn copy(ctx: &TaskCtx, plan: &Plan) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    for (key, mount) in &plan.mounts {
        let volid = mount.volume();
        let (own, name) = volid.split_once(':').unwrap_or(("", ""));
        let storage = plan.storage.as_deref().unwrap_or(own);
        let (bytes, used) = ctx
            .site
            .world()
            .storages
            .volume(own, &plan.node, name)
            .map_or((mount.size().unwrap_or(0), 0), |v| (v.size, v.used));
        let mut mount = mount.clone();
        if plan.full {
            ctx.log(format!("create full clone of mountpoint {key} ({volid})"));
            ctx.heavy(storage, Work::Copy(used)).await?;
            let mut world = ctx.site.world();
            change::allocate_into(&ctx.site, &mut world, &plan.target_node, plan.target, &mut mount, storage, bytes)
                .map_err(|e| e.message)?;
        } else {
            ctx.log(format!("create linked clone of mount point {key} ({volid})"));
            ctx.work(Work::Small).await?;
            let linked = link(ctx, plan, own, name, bytes);
            mount.props.insert("volume".to_owned(), linked);
        }
        out.insert(key.clone(), mount.print(key));
    }
    ctx.last_chance()?;
    Ok(out)
}

fn link(ctx: &TaskCtx, plan: &Plan, storage: &str, base: &str, bytes: u64) -> String {
    let mut world = ctx.site.world();
    let kind = world.storages.defs.get(storage).map_or("", |s| s.kind.as_str()).to_owned();
    let file = base.rsplit('/').next().unwrap_or(base);
    let number = file.rsplit("disk-").next().unwrap_or("0").trim_end_matches(".raw").to_owned();
    let target = plan.target;
    let (name, format) = match kind.as_str() {
        "btrfs" => (format!("{target}/vm-{target}-disk-{number}.raw"), "raw"),
        "zfspool" | "zfs" => (format!("{base}/subvol-{target}-disk-{number}"), "subvol"),
        "rbd" => (format!("{base}/vm-{target}-disk-{number}"), "raw"),
        _ => (format!("vm-{target}-disk-{number}"), "raw"),
    };
    let volume = Volume {
        vmid: Some(target),
        size: bytes,
        used: 0,
        format: format.to_owned(),
        ctime: ctx.site.now(),
        ..Volume::default()
    };
    world.storages.insert(storage, &plan.target_node, &name, volume);
    format!("{storage}:{name}")
}

/// Turns a container into a template. The call answers at once; the worker holds the container's file lock.
pub(super) async fn template(call: Call) -> ReplyResult {
    let vmid = call.vmid();
    let lock = call.site.locks.lock_guest(&call.site.clock, vmid).await?;
    {
        let world = call.site.world();
        let guest = world.container(call.node(), vmid)?;
        check_lock(&guest.config)?;
        if !guest.config.snapshots.is_empty() {
            return Err(ApiError::die("unable to create template, because CT contains snapshots"));
        }
        if guest.is_template() {
            return Err(ApiError::die("you can't convert a template to a template"));
        }
        if guest.running.is_some() {
            return Err(ApiError::die("you can't convert a CT to template if the CT is running"));
        }
    }
    let node = call.node().to_owned();
    Site::start_task(&call, "vztemplate", &vmid.to_string(), |ctx| async move {
        let _lock = lock;
        ctx.work(Work::Convert).await?;
        ctx.last_chance()?;
        convert(&ctx, &node, vmid).map_err(|e| e.message)?;
        ctx.effect("template", vmid);
        Ok(())
    });
    Ok(Reply::null())
}

fn convert(ctx: &TaskCtx, node: &str, vmid: u32) -> ApiResult<()> {
    let mut world = ctx.site.world();
    world.touch(vmid, ctx.site.clock.now_precise());
    let mounts = world.container(node, vmid)?.config.mounts();
    let mut changed = Keys::from([("template".to_owned(), "1".to_owned())]);
    for (key, mut mount) in mounts {
        if let Some((storage, name)) = mount.volume().split_once(':') {
            let (storage, name) = (storage.to_owned(), name.to_owned());
            let base = world.storages.make_base(&storage, node, &name);
            mount.props.insert("volume".to_owned(), format!("{storage}:{base}"));
            changed.insert(key.clone(), mount.print(&key));
        }
    }
    world.container_mut(node, vmid)?.config.keys.extend(changed);
    Ok(())
}
