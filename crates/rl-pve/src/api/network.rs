//! `/nodes/{node}/network`: bridges and VNets.

use rl_model::NodeName;
use serde::Deserialize;

use crate::Request;
use crate::wire::{PveBool, PveInt, Rows};

/// One interface of a node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct InterfaceRow {
    /// Its name.
    pub iface: String,
    /// `bridge`, `OVSBridge`, `vnet`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is up.
    pub active: Option<PveBool>,
    /// Whether a Linux bridge takes VLAN tags. Open vSwitch bridges always do and do not say so.
    pub bridge_vlan_aware: Option<PveBool>,
    /// MTU in bytes, where one is set.
    pub mtu: Option<PveInt>,
}

/// `GET /nodes/{node}/network?type=any_bridge`: all a NIC can hang on, VNets included.
pub fn bridges(node: &NodeName) -> Request<Rows<InterfaceRow>> {
    Request::get("/nodes/{node}/network").on(node).param("type", "any_bridge")
}
