//! `/nodes`: the hosts.

use rl_model::NodeName;
use serde::Deserialize;

use crate::Request;
use crate::api::version::Version;
use crate::wire::{PveInt, PveNumber, Rows};

/// One row of the node list.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeRow {
    /// Its name.
    pub node: String,
    /// `online`, `offline` or `unknown`.
    pub status: String,
    /// CPU threads.
    pub maxcpu: Option<PveInt>,
    /// Memory in bytes.
    pub maxmem: Option<PveInt>,
    /// Memory in use, in bytes.
    pub mem: Option<PveInt>,
    /// SHA-256 fingerprint of its API certificate.
    pub ssl_fingerprint: Option<String>,
}

/// `GET /nodes`.
pub fn list() -> Request<Rows<NodeRow>> {
    Request::get("/nodes")
}

/// State of one node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// `pve-manager/9.1.6/…`.
    pub pveversion: String,
    /// Share of CPU time in use, 0 to 1.
    pub cpu: PveNumber,
    /// Memory.
    pub memory: MemoryStatus,
}

/// Memory of a node, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MemoryStatus {
    /// All of it.
    pub total: PveInt,
    /// In use.
    pub used: PveInt,
    /// Neither in use nor cached.
    pub free: PveInt,
}

/// `GET /nodes/{node}/status`; needs `Sys.Audit` on the node.
pub fn status(node: &NodeName) -> Request<NodeStatus> {
    Request::get("/nodes/{node}/status").on(node)
}

/// `GET /nodes/{node}/version`.
pub fn version(node: &NodeName) -> Request<Version> {
    Request::get("/nodes/{node}/version").on(node)
}
