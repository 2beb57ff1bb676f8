//! `POST /nodes/{node}/lxc`: a container from a template.

use std::collections::BTreeMap;

use crate::api::call::{Call, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::api::propstr::PropError;
use crate::families::lxc::{change, gigabytes, new_disk, perms, status};
use crate::latency::Work;
use crate::locks::GuestLock;
use crate::site::{Site, TaskCtx};
use crate::world::config::{Config, Keys, Mount, is_numbered};
use crate::world::guest::{Guest, GuestKind};
use crate::world::storage::VolumeId;

/// Parameters that are not options of the config.
const NOT_OPTIONS: &[&str] = &[
    "node",
    "vmid",
    "bwlimit",
    "force",
    "ha-managed",
    "ignore-unpack-errors",
    "ostemplate",
    "password",
    "pool",
    "restore",
    "ssh-public-keys",
    "start",
    "storage",
    "unique",
    "unprivileged",
];
/// Bytes a root file system needs for the template to fit.
const UNPACKED: u64 = 240 << 20;
/// A root volume's size when the call does not say, in gigabytes.
const DEFAULT_ROOT_GB: f64 = 4.0;

/// A mount point of a container to be.
struct PlannedMount {
    key: String,
    mount: Mount,
    /// Storage and bytes of the volume to make; an existing one has none.
    new: Option<(String, u64)>,
}

/// A create that has passed all checks.
struct Plan {
    vmid: u32,
    node: String,
    template: String,
    /// Options without mount points.
    options: Keys,
    mounts: Vec<PlannedMount>,
    start: bool,
    unprivileged: bool,
}

/// Creates a container.
pub(super) async fn create(call: Call) -> ReplyResult {
    let vmid = call.vmid();
    let plan = check(&call)?;
    let lock = call.site.locks.lock_guest(&call.site.clock, vmid).await?;
    reserve(&call, &plan)?;
    let starter = call.clone();
    let id = vmid.to_string();
    Ok(Site::spawn(&call, "vzcreate", &id, |ctx| run(ctx, plan, lock, starter)))
}

fn check(call: &Call) -> ApiResult<Plan> {
    let vmid = call.vmid();
    let args = &call.args;
    let restore = args.is_set("restore");
    let unprivileged = args.flag("unprivileged").unwrap_or(!restore);
    call.site.world().check_vmid_unused(vmid)?;
    if let Some(keys) = args.text("ssh-public-keys")
        && !keys_look_valid(keys)
    {
        return Err(ApiError::die("SSH public key validation error"));
    }
    let pool = args.text("pool");
    if let Some(pool) = pool.filter(|p| !call.site.world().pools.contains_key(*p)) {
        return Err(ApiError::perm(format!("pool '{pool}' does not exist")));
    }
    check_allocate(call, vmid, pool)?;
    if !unprivileged {
        call.check("/", &["Sys.Modify"])?;
    }
    let options = perms::options_of(args, NOT_OPTIONS);
    let fixed = with_default_storage(&options, args.text("storage").unwrap_or("local"));
    perms::check(call, &perms::Change { vmid, pool, old: &Keys::new(), new: &fixed, delete: &[], unprivileged })?;
    let template = args.must("ostemplate").to_owned();
    let wanted = if restore { "backup" } else { "vztmpl" };
    perms::check_volume(call, Some(vmid), &template, wanted)?;
    if restore {
        return Err(ApiError::die("restoring a backup is not part of this simulator yet"));
    }
    let mounts = plan_mounts(call, &fixed)?;
    let options = options.into_iter().filter(|(k, _)| !is_mount(k) && !is_numbered(k, "unused")).collect();
    let (node, start) = (call.node().to_owned(), args.is_set("start"));
    Ok(Plan { vmid, node, template, options, mounts, start, unprivileged })
}

fn is_mount(key: &str) -> bool {
    key == "rootfs" || is_numbered(key, "mp")
}

fn keys_look_valid(keys: &str) -> bool {
    let valid = |line: &str| line.split_whitespace().count() >= 2 && (line.contains("ssh-") || line.contains("ecdsa-"));
    keys.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')).all(valid)
}

fn check_allocate(call: &Call, vmid: u32, pool: Option<&str>) -> ApiResult<()> {
    let on_pool = |p: &str| call.may(&format!("/pool/{p}"), &["VM.Allocate"]);
    if call.who.is_root() || call.may(&format!("/vms/{vmid}"), &["VM.Allocate"]) || pool.is_some_and(on_pool) {
        return Ok(());
    }
    Err(ApiError::perm(""))
}

/// A mount point that is only a number means that many gigabytes on the default storage.
fn with_default_storage(options: &BTreeMap<String, String>, storage: &str) -> BTreeMap<String, String> {
    let mut fixed = options.clone();
    for (_, value) in fixed.iter_mut().filter(|(k, _)| is_mount(k)) {
        let bare = value.split(',').next().unwrap_or("");
        if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !value.contains(',') {
            *value = format!("{storage}:{value}");
        }
    }
    fixed
}

fn plan_mounts(call: &Call, options: &BTreeMap<String, String>) -> ApiResult<Vec<PlannedMount>> {
    let default = call.text("storage").unwrap_or("local").to_owned();
    let mut wanted: Vec<(String, String)> =
        options.iter().filter(|(k, _)| is_mount(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if wanted.is_empty() {
        wanted.push(("rootfs".to_owned(), format!("{default}:{DEFAULT_ROOT_GB}")));
    } else if !wanted.iter().any(|(k, _)| k == "rootfs") {
        return Err(ApiError::die("mount points configured, but 'rootfs' not set - aborting"));
    }
    wanted.sort_by_key(|(k, _)| (k != "rootfs", k.clone()));
    let mut mounts = Vec::new();
    for (key, value) in wanted {
        let mount = Mount::parse(&key, &value).map_err(PropError::into_api)?;
        let new = new_disk(mount.volume()).map(|(storage, count)| (storage.to_owned(), gigabytes(count)));
        let storage = new.as_ref().map(|(s, _)| s.as_str()).or_else(|| mount.volume().split_once(':').map(|(s, _)| s));
        if let Some(storage) = storage.filter(|_| mount.kind() == "volume") {
            check_storage(call, storage)?;
        }
        mounts.push(PlannedMount { key, mount, new });
    }
    Ok(mounts)
}

fn check_storage(call: &Call, id: &str) -> ApiResult<()> {
    {
        let world = call.site.world();
        let storage = world.storages.usable(id, call.node())?;
        if !storage.content.contains("rootdir") {
            let text = format!("storage '{id}' does not support container directories");
            return Err(ApiError::param("storage", text));
        }
    }
    call.check(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])
}

/// Writes the empty, locked config that holds the number until the container is there.
fn reserve(call: &Call, plan: &Plan) -> ApiResult<()> {
    let mut world = call.site.world();
    if let Err(taken) = world.check_vmid_unused(plan.vmid) {
        return Err(ApiError::die(format!("unable to create CT {} - {taken}", plan.vmid)));
    }
    let config = Config { keys: Keys::from([("lock".to_owned(), "create".to_owned())]), ..Config::default() };
    let guest = Guest::new(GuestKind::Lxc, &plan.node, config, call.site.clock.now_precise());
    world.guests.insert(plan.vmid, guest);
    if let Some(pool) = call.text("pool") {
        world.access.guest_pool.insert(plan.vmid, pool.to_owned());
    }
    Ok(())
}

async fn run(ctx: TaskCtx, plan: Plan, lock: GuestLock, starter: Call) -> Result<(), String> {
    let vmid = plan.vmid;
    let node = plan.node.clone();
    let start = plan.start;
    if let Err(why) = build(&ctx, plan).await {
        let mut world = ctx.site.world();
        world.storages.remove_all_of(vmid, &node);
        world.remove_guest(vmid);
        return Err(format!("unable to create CT {vmid} - {why}"));
    }
    drop(lock);
    if start {
        status::start_inside(&starter, vmid);
    }
    Ok(())
}

async fn build(ctx: &TaskCtx, plan: Plan) -> Result<(), String> {
    let mut keys = allocate(ctx, &plan)?;
    unpack(ctx, &plan, &keys).await?;
    let os = os_of(&plan.template);
    keys.entry("ostype".to_owned()).or_insert_with(|| os.to_owned());
    if plan.unprivileged {
        keys.insert("unprivileged".to_owned(), "1".to_owned());
    }
    change::add_defaults(&mut keys, plan.vmid);
    ctx.last_chance()?;
    let nesting = keys.get("features").is_some_and(|f| f.contains("nesting=1"));
    if plan.unprivileged && !nesting && uses_systemd(os) {
        ctx.task.warn("Systemd 252 detected. You may need to enable nesting.");
    }
    {
        let mut world = ctx.site.world();
        let now = ctx.site.clock.now_precise();
        world.touch(plan.vmid, now);
        let guest = world.container_mut(&plan.node, plan.vmid).map_err(|e| e.message)?;
        guest.config.keys = keys;
    }
    ctx.effect("create", plan.vmid);
    Ok(())
}

/// Allocates the volumes and gives the options with the mount points among them.
fn allocate(ctx: &TaskCtx, plan: &Plan) -> Result<Keys, String> {
    let site = &ctx.site;
    let mut world = site.world();
    let prefix = change::mac_prefix(&world);
    let mut keys: Keys =
        plan.options.iter().map(|(k, v)| (k.clone(), change::canonical(site, &prefix, k, v))).collect();
    keys.retain(|k, v| k != "description" || !v.is_empty());
    for PlannedMount { key, mount, new } in &plan.mounts {
        let mut mount = mount.clone();
        if let Some((storage, bytes)) = new {
            let volid = change::allocate_into(site, &mut world, &plan.node, plan.vmid, &mut mount, storage, *bytes);
            let volid = volid.map_err(|e| e.message)?;
            log_new_volume(ctx, &volid, *bytes);
        }
        keys.insert(key.clone(), mount.print(key));
    }
    Ok(keys)
}

fn log_new_volume(ctx: &TaskCtx, volid: &str, bytes: u64) {
    /// Bytes a block of the file system has.
    const BLOCK: u64 = 4096;
    let name = VolumeId::parse(volid).map_or(volid, |v| v.name);
    if bytes > 0 && name.ends_with(".raw") {
        ctx.log(format!("Formatting '/var/lib/vz/images/{name}', fmt=raw size={bytes} preallocation=off"));
        ctx.log(format!("Creating filesystem with {} 4k blocks and {} inodes", bytes / BLOCK, bytes / BLOCK / 4));
    }
}

/// Unpacks the template into the root volume.
async fn unpack(ctx: &TaskCtx, plan: &Plan, keys: &Keys) -> Result<(), String> {
    let (storage, file) = plan.template.split_once(':').unwrap_or(("", &plan.template));
    if ctx.site.world().storages.volume(storage, &plan.node, file).is_none() {
        return Err(format!("volume '{}' does not exist", plan.template));
    }
    let root = keys.get("rootfs").and_then(|value| Mount::parse("rootfs", value).ok());
    let bytes = root.as_ref().and_then(Mount::size).unwrap_or(UNPACKED);
    let volume = root.as_ref().map_or("", Mount::volume).to_owned();
    let (target, name) = volume.split_once(':').unwrap_or((storage, ""));
    let archive = file.strip_prefix("vztmpl/").unwrap_or(file);
    ctx.log(format!("extracting archive '/var/lib/vz/template/cache/{archive}'"));
    let command = "command 'lxc-usernsexec -- tar xpf - -C rootfs' failed";
    ctx.heavy(target, Work::Unpack).await.map_err(|why| format!("{command}: {why}"))?;
    if bytes > 0 && bytes < UNPACKED {
        return Err(format!("{command}: exit code 2"));
    }
    if let Some(volume) = ctx.site.world().storages.volume_mut(target, &plan.node, name) {
        volume.used += UNPACKED;
    }
    ctx.log("Total bytes read: 221583360 (212MiB, 337MiB/s)");
    ctx.log("Detected container architecture: amd64");
    ctx.log("Creating SSH host key 'ssh_host_ed25519_key' - this may take some time ...");
    Ok(())
}

/// The kind of system in a template, by its file name.
fn os_of(template: &str) -> &'static str {
    const KNOWN: &[&str] =
        &["debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos"];
    let file = template.rsplit('/').next().unwrap_or(template);
    if file.starts_with("rockylinux") || file.starts_with("almalinux") {
        return "centos";
    }
    KNOWN.iter().find(|os| file.starts_with(**os)).copied().unwrap_or("unmanaged")
}

fn uses_systemd(os: &str) -> bool {
    matches!(os, "debian" | "ubuntu" | "centos" | "fedora" | "opensuse" | "archlinux" | "nixos")
}
