//! Containers: `/nodes/{node}/lxc`.

mod change;
mod clone;
mod config;
mod create;
mod destroy;
mod migrate;
mod perms;
mod read;
mod snapshot;
mod status;
mod volumes;

use futures::FutureExt;

use crate::api::call::Call;
use crate::api::endpoint::{Endpoint, get, post, slow};

/// The options of a container's config, which create and update share.
const CONFIG: &str = r"arch?:s{amd64|i386|arm64|armhf|riscv32|riscv64} cmode?:s{shell|console|tty} console?:b cores?:i[1..8192]
 cpulimit?:n[0..8192] cpuunits?:i[0..500000] debug?:b description?:s<8192 dev[n]?:s@$dev
 entrypoint?:s~(?^:[^\x00-\x08\x10-\x1F\x7F]+)
 env?:s~(?^:(?:\w+=[^\x00-\x08\x10-\x1F\x7F]*)(?:\0\w+=[^\x00-\x08\x10-\x1F\x7F]*)*)
 features?:s@$features hookscript?:s@pve-volume-id hostname?:s@dns-name<255
 lock?:s{backup|create|destroyed|disk|fstrim|migrate|mounted|rollback|snapshot|snapshot-delete} memory?:i[16..] mp[n]?:s@$mp
 nameserver?:s@lxc-ip-with-ll-iface-list net[n]?:s@$net onboot?:b
 ostype?:s{debian|devuan|ubuntu|centos|fedora|opensuse|archlinux|alpine|gentoo|nixos|unmanaged} protection?:b rootfs?:s@$rootfs
 searchdomain?:s@dns-name-list startup?:s@pve-startup-order swap?:i[0..] tags?:s@pve-tag-list template?:b
 timezone?:s@pve-ct-timezone tty?:i[0..6] unprivileged?:b unused[n]?:s@$unused";

const CREATE: &str = "node vmid bwlimit?:n[0..] force?:b ha-managed?:b ignore-unpack-errors?:b ostemplate:s<255 password?:s>5 \
    pool?:s@pve-poolid restore?:b ssh-public-keys?:s start?:b storage?:s@pve-storage-id unique?:b!restore";

const VOLUMES: &str = "{rootfs|mp#256|unused#256}";

const CONFIG_PERM: &str =
    "/vms/{vmid} VM.Config.Disk|VM.Config.CPU|VM.Config.Memory|VM.Config.Network|VM.Config.Options";
const SNAPNAME: &str = "node vmid snapname:s@pve-configid<40";
const CLONE_PERM: &str = "and(/vms/{vmid} VM.Clone; or(/vms/{newid} VM.Allocate; /pool/{pool} VM.Allocate if:pool))";

pub(super) fn endpoints() -> Vec<Endpoint> {
    [lifecycle(), reading(), snapshots(), disks()].into_iter().flatten().collect()
}

fn lifecycle() -> Vec<Endpoint> {
    let power = "/vms/{vmid} VM.PowerMgmt";
    vec![
        slow("POST", "/nodes/{node}/lxc", "all", &[CREATE, CONFIG], |c| create::create(c).boxed()).returns("string"),
        slow(
            "PUT",
            "/nodes/{node}/lxc/{vmid}/config",
            CONFIG_PERM,
            &["node vmid delete?:s@pve-configid-list digest?:s<40 revert?:s@pve-configid-list", CONFIG],
            |c| config::update(c).boxed(),
        ),
        slow(
            "DELETE",
            "/nodes/{node}/lxc/{vmid}",
            "/vms/{vmid} VM.Allocate",
            &["node vmid destroy-unreferenced-disks?:b force?:b purge?:b"],
            |c| destroy::destroy(c).boxed(),
        )
        .returns("string"),
        post("/nodes/{node}/lxc/{vmid}/status/start", power, &["node vmid debug?:b skiplock?:b"], status::start).returns("string"),
        post("/nodes/{node}/lxc/{vmid}/status/stop", power, &["node vmid overrule-shutdown?:b skiplock?:b"], status::stop)
            .returns("string"),
        post("/nodes/{node}/lxc/{vmid}/status/shutdown", power, &["node vmid forceStop?:b timeout?:i[0..]"], status::shutdown)
            .returns("string"),
        post("/nodes/{node}/lxc/{vmid}/status/suspend", power, &["node vmid"], status::suspend).returns("string"),
        post("/nodes/{node}/lxc/{vmid}/status/resume", power, &["node vmid"], status::resume).returns("string"),
        post("/nodes/{node}/lxc/{vmid}/status/reboot", power, &["node vmid timeout?:i[0..]"], status::reboot).returns("string"),
        slow(
            "POST",
            "/nodes/{node}/lxc/{vmid}/clone",
            CLONE_PERM,
            &["node vmid bwlimit?:n[0..] description?:s full?:b hostname?:s@dns-name newid:i@pve-vmid[100..999999999] \
               pool?:s@pve-poolid snapname?:s@pve-configid<40 storage?:s@pve-storage-id target?:s@pve-node"],
            |c| clone::clone(c).boxed(),
        )
        .returns("string"),
        slow("POST", "/nodes/{node}/lxc/{vmid}/template", "/vms/{vmid} VM.Allocate", &["node vmid"], |c| {
            clone::template(c).boxed()
        }),
        post(
            "/nodes/{node}/lxc/{vmid}/migrate",
            "/vms/{vmid} VM.Migrate",
            &["node vmid bwlimit?:n[0..] online?:b restart?:b target:s@pve-node target-storage?:s@storage-pair-list timeout?:i"],
            migrate::migrate,
        )
        .returns("string"),
    ]
}

fn reading() -> Vec<Endpoint> {
    let audit = "/vms/{vmid} VM.Audit";
    let here = &["node vmid"];
    vec![
        get("/nodes/{node}/lxc", "all", &["node"], read::list).protected().returns("array"),
        get("/nodes/{node}/lxc/{vmid}", "all", here, read::index).returns("array"),
        get("/nodes/{node}/lxc/{vmid}/status", "all", here, read::status_index).returns("array"),
        get("/nodes/{node}/lxc/{vmid}/status/current", audit, here, read::current).protected().returns("object"),
        get(
            "/nodes/{node}/lxc/{vmid}/config",
            audit,
            &["node vmid current?:b snapshot?:s@pve-configid<40"],
            read::config,
        )
        .returns("object"),
        get("/nodes/{node}/lxc/{vmid}/pending", audit, here, read::pending).returns("array"),
        get("/nodes/{node}/lxc/{vmid}/interfaces", audit, here, read::interfaces).protected().returns("array"),
        get(
            "/nodes/{node}/lxc/{vmid}/feature",
            audit,
            &["node vmid feature:s{snapshot|clone|copy} snapname?:s@pve-configid<40"],
            read::feature,
        )
        .protected()
        .returns("object"),
        get(
            "/nodes/{node}/lxc/{vmid}/migrate",
            "/vms/{vmid} VM.Migrate",
            &["node vmid target?:s@pve-node"],
            migrate::look,
        )
        .protected()
        .returns("object"),
    ]
}

fn snapshots() -> Vec<Endpoint> {
    let perm = "/vms/{vmid} VM.Snapshot";
    vec![
        get("/nodes/{node}/lxc/{vmid}/snapshot", "/vms/{vmid} VM.Audit", &["node vmid"], snapshot::list)
            .protected()
            .returns("array"),
        post("/nodes/{node}/lxc/{vmid}/snapshot", perm, &[SNAPNAME, "description?:s"], snapshot::create)
            .returns("string"),
        Endpoint::new(
            "DELETE",
            "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}",
            perm,
            &[SNAPNAME, "force?:b"],
            crate::api::endpoint::Handler::Quick(snapshot::delete),
        )
        .protected()
        .returns("string"),
        get("/nodes/{node}/lxc/{vmid}/snapshot/{snapname}", "all", &[SNAPNAME], snapshot::index)
            .local()
            .returns("array"),
        post(
            "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/rollback",
            "/vms/{vmid} VM.Snapshot|VM.Snapshot.Rollback",
            &[SNAPNAME, "start?:b"],
            snapshot::rollback,
        )
        .returns("string"),
        get(
            "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
            "/vms/{vmid} VM.Snapshot|VM.Snapshot.Rollback|VM.Audit",
            &[SNAPNAME],
            snapshot::config,
        )
        .returns("object"),
        slow(
            "PUT",
            "/nodes/{node}/lxc/{vmid}/snapshot/{snapname}/config",
            perm,
            &[SNAPNAME, "description?:s"],
            |c: Call| snapshot::update(c).boxed(),
        ),
    ]
}

fn disks() -> Vec<Endpoint> {
    let perm = "/vms/{vmid} VM.Config.Disk";
    let moved = format!(
        "node vmid bwlimit?:n[0..] delete?:b digest?:s<40 storage?:s@pve-storage-id target-digest?:s<40 \
         target-vmid?:i@pve-vmid[100..999999999] target-volume?:s{VOLUMES} volume:s{VOLUMES}"
    );
    vec![
        slow(
            "PUT",
            "/nodes/{node}/lxc/{vmid}/resize",
            "/vms/{vmid} VM.Config.Disk|",
            &[r"node vmid digest?:s<40 disk:s{rootfs|mp#256} size:s~\+?\d+(\.\d+)?[KMGT]?"],
            |c| volumes::resize(c).boxed(),
        )
        .returns("string"),
        slow("POST", "/nodes/{node}/lxc/{vmid}/move_volume", perm, &[&moved], |c| volumes::move_volume(c).boxed())
            .returns("string"),
    ]
}

/// `storage:size-in-gigabytes`, the way a new volume is asked for.
fn new_disk(volume: &str) -> Option<(&str, f64)> {
    let (storage, size) = volume.split_once(':')?;
    let digits =
        size.bytes().all(|b| b.is_ascii_digit() || b == b'.') && size.starts_with(|c: char| c.is_ascii_digit());
    let gigabytes = size.parse().ok().filter(|_| digits && !size.ends_with('.'))?;
    Some((storage, gigabytes))
}

/// Gigabytes, as a create call counts them, in bytes, rounded to a KiB.
fn gigabytes(count: f64) -> u64 {
    ((count * f64::from(1 << 20)).round() as u64) << 10
}

/// PVE's words for a config that is locked.
pub(super) fn check_lock(config: &crate::world::config::Config) -> Result<(), crate::api::error::ApiError> {
    match config.get("lock") {
        Some(lock) => Err(crate::api::error::ApiError::die(format!("CT is locked ({lock})"))),
        None => Ok(()),
    }
}

/// Refuses a change based on an older config.
fn check_digest(given: Option<&str>, config: &crate::world::config::Config) -> Result<(), crate::api::error::ApiError> {
    match given {
        Some(digest) if !digest.is_empty() && digest != config.digest() => Err(crate::api::error::ApiError::die(
            "detected modified configuration - file changed by other user? Try again.",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
