//! The endpoints, one family a file.

mod access;
mod cluster;
mod firewall;
mod later;
mod lxc;
mod nodes;
mod pools;
mod qemu;
mod resources;
mod rrd;
mod storage;
mod storage_content;
mod storage_defs;
mod tasks;
mod tickets;
mod tokens;
mod users;
mod version;
mod vzdump;

use serde_json::{Value, json};

use crate::api::endpoint::Endpoint;

use lxc::check_lock as lxc_check_lock;

/// Every endpoint there is.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    [
        version::endpoints(),
        access::endpoints(),
        users::endpoints(),
        tokens::endpoints(),
        tickets::endpoints(),
        cluster::endpoints(),
        resources::endpoints(),
        nodes::endpoints(),
        pools::endpoints(),
        storage::endpoints(),
        storage_content::endpoints(),
        storage_defs::endpoints(),
        tasks::endpoints(),
        lxc::endpoints(),
        qemu::endpoints(),
        firewall::endpoints(),
        later::endpoints(),
        rrd::endpoints(),
        vzdump::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first line of a message, which is what fits into a reason phrase.
pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

/// `[{"name": ...}, ...]`, the shape of an index.
fn index(key: &str, names: &[&str]) -> Value {
    names.iter().map(|name| json!({key: name})).collect()
}
