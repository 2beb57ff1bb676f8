//! `/cluster`: what the whole site has.

use rl_model::Vmid;
use serde::Deserialize;

use crate::Request;
use crate::api::tasks::TaskRow;
use crate::wire::{PveBool, PveInt, PveNumber, PveText, Rows};

/// One row of the resource list. Which fields are set depends on `kind`; guests lack most of them until the
/// statistics daemon has seen them (ten seconds).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// `lxc`, `qemu`, `node`, `storage`, `pool`, `sdn` or `network`; whatever a later version adds.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unique name of the row, such as `lxc/100` or `storage/pve1/local`.
    pub id: String,
    /// The node it belongs to.
    pub node: Option<String>,
    /// `running`, `stopped`, `unknown`, `online`, `offline`, `available`.
    pub status: Option<String>,
    /// Guests: their VMID.
    pub vmid: Option<PveInt>,
    /// Guests: name.
    pub name: Option<PveText>,
    /// Guests: whether it is a template.
    pub template: Option<PveBool>,
    /// Guests: tags, `;` separated.
    pub tags: Option<PveText>,
    /// Guests: config lock.
    pub lock: Option<String>,
    /// Guests and pools: pool.
    pub pool: Option<PveText>,
    /// Guests and nodes: CPU cores.
    pub maxcpu: Option<PveNumber>,
    /// Guests and nodes: memory in bytes.
    pub maxmem: Option<PveInt>,
    /// Guests and nodes: memory in use, in bytes.
    pub mem: Option<PveInt>,
    /// Root disk or storage size in bytes.
    pub maxdisk: Option<PveInt>,
    /// Bytes of it in use.
    pub disk: Option<PveInt>,
    /// Storages: name.
    pub storage: Option<String>,
    /// Storages: type, such as `zfspool`.
    pub plugintype: Option<String>,
    /// Storages: what may lie on it, `,` separated.
    pub content: Option<String>,
    /// Storages: whether all nodes see the same.
    pub shared: Option<PveBool>,
    /// SDN zones and VNets before 9.1.
    pub sdn: Option<PveText>,
    /// Networks since 9.1.
    pub network: Option<PveText>,
}

/// `type=` of the resource list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// Containers and virtual machines.
    Guests,
    /// Nodes.
    Nodes,
    /// Storages, once per node.
    Storages,
}

impl ResourceKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Guests => "vm",
            Self::Nodes => "node",
            Self::Storages => "storage",
        }
    }
}

/// `GET /cluster/resources`: every guest, node, storage and pool the caller may see, in one answer.
pub fn resources(kind: Option<ResourceKind>) -> Request<Rows<Resource>> {
    Request::get("/cluster/resources").maybe("type", kind.map(ResourceKind::as_str))
}

/// One row of the cluster status: the cluster itself, or a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StatusRow {
    /// `cluster` or `node`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the cluster or the node.
    pub name: PveText,
    /// Cluster: whether a majority of its nodes is there.
    pub quorate: Option<PveBool>,
    /// Node: whether it answers.
    pub online: Option<PveBool>,
    /// Node: whether it gave this answer.
    pub local: Option<PveBool>,
    /// Node: its address.
    pub ip: Option<String>,
}

/// `GET /cluster/status`; needs `Sys.Audit` on `/`.
pub fn status() -> Request<Rows<StatusRow>> {
    Request::get("/cluster/status")
}

/// `GET /cluster/nextid`: the lowest free VMID. Nothing is reserved by asking.
pub fn next_id() -> Request<PveInt> {
    Request::get("/cluster/nextid")
}

/// `GET /cluster/nextid?vmid=`: refused as `AlreadyExists` when the VMID is taken at this moment.
pub fn assert_free(vmid: Vmid) -> Request<PveInt> {
    Request::get("/cluster/nextid").param("vmid", vmid)
}

/// `GET /cluster/tasks`: recent tasks of all nodes, as far as the nodes have shared them.
pub fn tasks() -> Request<Rows<TaskRow>> {
    Request::get("/cluster/tasks")
}
