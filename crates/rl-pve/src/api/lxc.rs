//! `/nodes/{node}/lxc`: containers.

use rl_model::{DiskSize, FieldKey, Hostname, MountSlot, NodeName, PoolId, StorageId, Upid, Vmid};
use serde::Deserialize;

use crate::Request;
use crate::wire::{PveBool, PveInt, PveNumber, PveText, RawConfig, Rows};

pub use super::lxc_create::create;
pub use super::lxc_patch::{ConfigPatch, set_config};
pub use super::lxc_snapshot::{
    SnapshotName, SnapshotRow, delete_snapshot, list_snapshots, rollback_snapshot, take_snapshot,
};

/// One guest of a node's list.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GuestRow {
    /// Its number.
    pub vmid: PveInt,
    /// `running` or `stopped`.
    pub status: String,
    /// Its name.
    pub name: Option<PveText>,
    /// Whether it is a template.
    pub template: Option<PveBool>,
    /// Its tags.
    pub tags: Option<PveText>,
    /// Its config lock.
    pub lock: Option<String>,
    /// CPU cores.
    pub cpus: Option<PveNumber>,
    /// Memory in bytes.
    pub maxmem: Option<PveInt>,
    /// Root disk in bytes.
    pub maxdisk: Option<PveInt>,
}

/// `GET /nodes/{node}/lxc`.
pub fn list(node: &NodeName) -> Request<Rows<GuestRow>> {
    Request::get("/nodes/{node}/lxc").on(node)
}

fn at<A>(request: Request<A>, node: &NodeName, vmid: Vmid) -> Request<A> {
    request.on(node).arg("vmid", vmid)
}

/// Which configuration is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigView {
    /// What holds now.
    Current,
    /// What will hold after the next start: pending changes are merged in.
    Merged,
}

/// `GET …/config`.
pub fn config(node: &NodeName, vmid: Vmid, view: ConfigView) -> Request<RawConfig> {
    let request = at(Request::get("/nodes/{node}/lxc/{vmid}/config"), node, vmid);
    match view {
        ConfigView::Current => request.flag("current", true),
        ConfigView::Merged => request,
    }
}

/// One key of a configuration with what waits for the next start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PendingRow {
    /// The key.
    pub key: String,
    /// Its value now.
    pub value: Option<PveText>,
    /// Its value after the next start, where that differs.
    pub pending: Option<PveText>,
    /// Not 0 where the key goes away with the next start.
    pub delete: Option<PveInt>,
}

/// `GET …/pending`: the whole configuration, what holds and what waits, with the digest, in one answer.
pub fn pending(node: &NodeName, vmid: Vmid) -> Request<Rows<PendingRow>> {
    at(Request::get("/nodes/{node}/lxc/{vmid}/pending"), node, vmid)
}

/// State of one container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct LxcStatus {
    /// `running` or `stopped`.
    pub status: String,
    /// Its name.
    pub name: Option<PveText>,
    /// Its config lock.
    pub lock: Option<String>,
    /// Whether it is a template.
    pub template: Option<PveBool>,
    /// Seconds since it started.
    pub uptime: Option<PveInt>,
    /// What the HA manager has to do with it.
    pub ha: HaStatus,
}

/// Whether the HA manager looks after a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HaStatus {
    /// Whether it does: start and stop then end when they are queued, not when they are done.
    pub managed: PveBool,
}

/// `GET …/status/current`.
pub fn status(node: &NodeName, vmid: Vmid) -> Request<LxcStatus> {
    at(Request::get("/nodes/{node}/lxc/{vmid}/status/current"), node, vmid)
}

/// One interface inside a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct InterfaceRow {
    /// Its name.
    pub name: String,
    /// Its MAC.
    pub hwaddr: Option<String>,
    /// Its addresses.
    #[serde(rename = "ip-addresses")]
    pub addresses: Rows<AddressRow>,
    /// Its first IPv4 address with prefix; older releases have only this and `inet6`.
    pub inet: Option<String>,
    /// Its first IPv6 address with prefix.
    pub inet6: Option<String>,
}

/// One address inside a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct AddressRow {
    /// The address.
    pub ip_address: Option<String>,
    /// Length of its prefix.
    pub prefix: Option<PveInt>,
}

/// `GET …/interfaces`: null, and so an empty list, for a stopped container, and for one that does not exist.
pub fn interfaces(node: &NodeName, vmid: Vmid) -> Request<Rows<InterfaceRow>> {
    at(Request::get("/nodes/{node}/lxc/{vmid}/interfaces"), node, vmid)
}

/// `PUT …/resize`: grows a disk to a size. Shrinking and the same size are refused, so a repetition does no harm.
pub fn resize(node: &NodeName, vmid: Vmid, disk: DiskKey, size: DiskSize, digest: Option<&str>) -> Request<Upid> {
    at(Request::put("/nodes/{node}/lxc/{vmid}/resize"), node, vmid)
        .param("disk", disk)
        .param("size", size.pve())
        .maybe("digest", digest)
        .repeatable()
        .slow()
}

/// What a clone shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneTo {
    /// VMID of the clone.
    pub newid: Vmid,
    /// Its host name.
    pub hostname: Option<Hostname>,
    /// Its description, in place of the source's: a clone copies the stamp.
    pub description: Option<String>,
    /// Its pool.
    pub pool: Option<PoolId>,
    /// Copy all disks, rather than link to those of a template.
    pub full: bool,
    /// Storage of the copied disks.
    pub storage: Option<StorageId>,
    /// Node it is put on; its disks must lie on shared storage.
    pub target: Option<NodeName>,
    /// The snapshot it is made from.
    pub snapshot: Option<SnapshotName>,
}

/// `POST …/clone`. The source is locked meanwhile, and the task bears the source's VMID. Static addresses, tags and
/// firewall are copied: restamp the clone before anything else.
pub fn clone(node: &NodeName, source: Vmid, to: &CloneTo) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/clone"), node, source)
        .param("newid", to.newid)
        .maybe("hostname", to.hostname.as_ref())
        .maybe("description", to.description.as_ref())
        .maybe("pool", to.pool.as_ref())
        .flag("full", to.full)
        .maybe("storage", to.storage.as_ref())
        .maybe("target", to.target.as_ref())
        .maybe("snapname", to.snapshot.as_ref())
        .slow()
}

/// `POST …/status/start`. Refused when it runs; a missing container gives a task that fails.
pub fn start(node: &NodeName, vmid: Vmid) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/status/start"), node, vmid).repeatable()
}

/// `POST …/status/shutdown`: asks its init to end; `force_stop` kills it when it has not within `timeout_s` seconds.
pub fn shutdown(node: &NodeName, vmid: Vmid, timeout_s: u32, force_stop: bool) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/status/shutdown"), node, vmid)
        .param("timeout", timeout_s)
        .flag("forceStop", force_stop)
        .repeatable()
}

/// `POST …/status/stop`: kills it.
pub fn stop(node: &NodeName, vmid: Vmid) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/status/stop"), node, vmid).repeatable()
}

/// `POST …/status/reboot`: shuts it down and starts it, which applies what is pending.
pub fn reboot(node: &NodeName, vmid: Vmid, timeout_s: u32) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/status/reboot"), node, vmid).param("timeout", timeout_s)
}

/// How thoroughly a container is removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Destroy {
    /// Also from backup jobs, replication and HA; without it membership there refuses the removal.
    pub purge: bool,
    /// Even while it runs.
    pub force: bool,
    /// Also disks on any storage that bear its VMID but are not in its configuration.
    pub unreferenced_disks: bool,
}

/// `DELETE …/{vmid}`. Parameters travel in the query; there is no digest to guard it, so look first.
pub fn destroy(node: &NodeName, vmid: Vmid, how: Destroy) -> Request<Upid> {
    at(Request::delete("/nodes/{node}/lxc/{vmid}"), node, vmid)
        .flag("purge", how.purge)
        .flag("force", how.force)
        .flag("destroy-unreferenced-disks", how.unreferenced_disks)
        .slow()
}

/// How a container goes to another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrate {
    /// Where to.
    pub target: NodeName,
    /// Stop it there and start it here; a running container cannot be moved otherwise.
    pub restart: bool,
    /// Seconds its shutdown may take.
    pub timeout_s: Option<u32>,
    /// Storage on the other node, for all its disks.
    pub target_storage: Option<StorageId>,
}

/// `POST …/migrate`.
pub fn migrate(node: &NodeName, vmid: Vmid, how: &Migrate) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/migrate"), node, vmid)
        .param("target", &how.target)
        .flag("restart", how.restart)
        .maybe("timeout", how.timeout_s)
        .maybe("target-storage", how.target_storage.as_ref())
}

/// `POST …/template`: makes a stopped container a template, for good.
pub fn make_template(node: &NodeName, vmid: Vmid) -> Request<crate::wire::Nothing> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/template"), node, vmid).slow()
}

/// The disk of a container, as the disk calls name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKey {
    /// The root disk.
    Root,
    /// A mount point.
    Mount(MountSlot),
}

impl DiskKey {
    /// The disk a field describes, where it describes one.
    pub fn of(field: FieldKey) -> Option<Self> {
        match field {
            FieldKey::RootFs => Some(Self::Root),
            FieldKey::Mount(slot) => Some(Self::Mount(slot)),
            _ => None,
        }
    }
}

impl std::fmt::Display for DiskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("rootfs"),
            Self::Mount(slot) => slot.fmt(f),
        }
    }
}

/// `POST …/move_volume`: copies a disk of a stopped container to another storage; `delete_source` removes the old one,
/// which otherwise stays as `unusedN`.
pub fn move_volume(
    node: &NodeName,
    vmid: Vmid,
    disk: DiskKey,
    storage: &StorageId,
    delete_source: bool,
    digest: Option<&str>,
) -> Request<Upid> {
    at(Request::post("/nodes/{node}/lxc/{vmid}/move_volume"), node, vmid)
        .param("volume", disk)
        .param("storage", storage)
        .flag("delete", delete_source)
        .maybe("digest", digest)
        .slow()
}
