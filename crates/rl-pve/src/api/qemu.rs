//! `/nodes/{node}/qemu`: read only, to tell foreign guests apart.

use rl_model::{NodeName, Vmid};

use crate::Request;
use crate::api::lxc::GuestRow;
use crate::wire::{RawConfig, Rows};

/// `GET /nodes/{node}/qemu`.
pub fn list(node: &NodeName) -> Request<Rows<GuestRow>> {
    Request::get("/nodes/{node}/qemu").on(node)
}

/// `GET /nodes/{node}/qemu/{vmid}/config`.
pub fn config(node: &NodeName, vmid: Vmid) -> Request<RawConfig> {
    Request::get("/nodes/{node}/qemu/{vmid}/config").on(node).arg("vmid", vmid)
}
