//! `/pools`: resource pools.

use rl_model::{PoolId, Vmid};
use serde::Deserialize;

use crate::Request;
use crate::api::cluster::Resource;
use crate::wire::{Nothing, PveText, Rows};

/// One pool.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// Its name.
    pub poolid: String,
    /// Remark.
    pub comment: Option<PveText>,
    /// Its guests and storages; only in the answer about one pool.
    pub members: Option<Rows<Resource>>,
}

/// `GET /pools`: the pools the caller may see, without members.
pub fn list() -> Request<Rows<Pool>> {
    Request::get("/pools")
}

/// `GET /pools?poolid=`: one pool with its members, as a list of one. The name stands in the query, because nested
/// pools have a `/` in theirs.
pub fn get(pool: &PoolId) -> Request<Rows<Pool>> {
    Request::get("/pools").param("poolid", pool)
}

/// `PUT /pools`: puts guests into a pool; refused when one is in another pool.
pub fn add_guests(pool: &PoolId, vmids: &[Vmid]) -> Request<Nothing> {
    members(pool, vmids)
}

/// `PUT /pools`: takes guests out of a pool.
pub fn remove_guests(pool: &PoolId, vmids: &[Vmid]) -> Request<Nothing> {
    members(pool, vmids).flag("delete", true)
}

fn members(pool: &PoolId, vmids: &[Vmid]) -> Request<Nothing> {
    let list: Vec<String> = vmids.iter().map(ToString::to_string).collect();
    Request::put("/pools").param("poolid", pool).param("vms", list.join(",")).repeatable()
}
