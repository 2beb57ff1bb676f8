//! `/version` and the root of the API.

use serde_json::json;

use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, get};
use crate::families::index;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/", "all", &[], |_| {
            Ok(index("subdir", &["version", "cluster", "nodes", "storage", "access", "pools"]).into())
        })
        .returns("array"),
        get("/version", "all", &[], version).returns("object"),
    ]
}

/// The version the simulator behaves like.
pub(super) fn version(_call: &Call) -> ReplyResult {
    Ok(json!({"release": "9.1", "version": "9.1.6", "repoid": "c38976409b2f3402"}).into())
}
