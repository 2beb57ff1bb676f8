//! `/nodes/{node}/storage`: storages and what lies on them.

use rl_model::{NodeName, StorageId, Vmid};
use serde::Deserialize;

use crate::Request;
use crate::wire::{PveBool, PveInt, PveText, Rows};

/// One storage of a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct StorageRow {
    /// Its name.
    pub storage: String,
    /// Its type, such as `zfspool`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What may lie on it, `,` separated.
    pub content: String,
    /// Whether all nodes see the same.
    pub shared: Option<PveBool>,
    /// Whether it is switched on.
    pub enabled: Option<PveBool>,
    /// Whether it can be used now.
    pub active: Option<PveBool>,
    /// Size in bytes.
    pub total: Option<PveInt>,
    /// In use, in bytes.
    pub used: Option<PveInt>,
    /// Free for use, in bytes.
    pub avail: Option<PveInt>,
}

/// `GET /nodes/{node}/storage`.
pub fn list(node: &NodeName) -> Request<Rows<StorageRow>> {
    Request::get("/nodes/{node}/storage").on(node)
}

/// One volume, template or backup.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ContentRow {
    /// Its name: storage, colon, rest.
    pub volid: String,
    /// `raw`, `subvol`, `tzst`, …
    pub format: PveText,
    /// Size in bytes.
    pub size: PveInt,
    /// The guest it belongs to.
    pub vmid: Option<PveInt>,
}

/// Kind of content, of those RapidLaunch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Container templates.
    Templates,
    /// Disks of containers.
    ContainerDisks,
    /// Backups.
    Backups,
}

impl Content {
    /// Proxmox's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Templates => "vztmpl",
            Self::ContainerDisks => "rootdir",
            Self::Backups => "backup",
        }
    }
}

/// `GET /nodes/{node}/storage/{storage}/content`, of one kind, of one guest where `owner` is given.
pub fn content(node: &NodeName, storage: &StorageId, kind: Content, owner: Option<Vmid>) -> Request<Rows<ContentRow>> {
    Request::get("/nodes/{node}/storage/{storage}/content")
        .on(node)
        .arg("storage", storage)
        .param("content", kind.as_str())
        .maybe("vmid", owner)
}
