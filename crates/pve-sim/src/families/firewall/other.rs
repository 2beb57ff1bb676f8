//! Indexes, macros, references and logs.

use serde_json::{Value, json};

use super::level::{Cluster, Level, load};
use super::{ON_CLUSTER, ON_NODE, Rights};
use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, get};
use crate::families::index;
use crate::world::firewall::{Conf, all_macros};

const TYPE: &str = "type?:s{alias|ipset}";
const PAGE: &str = "limit?:i[0..] since?:i[0..] start?:i[0..] until?:i[0..]";

pub(super) fn cluster() -> Vec<Endpoint> {
    vec![
        get("/cluster/firewall", "all", &[], cluster_index).returns("array"),
        get("/cluster/firewall/macros", "all", &[], macros).returns("array"),
        get("/cluster/firewall/refs", ON_CLUSTER.audit, &[TYPE], cluster_refs).returns("array"),
    ]
}

pub(super) fn node() -> Vec<Endpoint> {
    vec![
        get("/nodes/{node}/firewall", "all", &[ON_NODE.own], node_index).local().returns("array"),
        get("/nodes/{node}/firewall/log", "/nodes/{node} Sys.Syslog", &[ON_NODE.own, PAGE], log)
            .protected()
            .returns("array"),
    ]
}

pub(super) fn guest<L: Level>(
    rights: Rights,
    root: &'static str,
    refs: &'static str,
    log_path: &'static str,
) -> Vec<Endpoint> {
    vec![
        get(root, "all", &[rights.own], guest_index).local().returns("array"),
        get(refs, rights.audit, &[rights.own, TYPE], guest_refs::<L>).local().returns("array"),
        get(log_path, "/vms/{vmid} VM.Console", &[rights.own, PAGE], log).protected().returns("array"),
    ]
}

fn cluster_index(_call: &Call) -> ReplyResult {
    Ok(index("name", &["aliases", "rules", "options", "groups", "ipset", "macros", "refs"]).into())
}

fn node_index(_call: &Call) -> ReplyResult {
    Ok(index("name", &["rules", "options", "log"]).into())
}

fn guest_index(_call: &Call) -> ReplyResult {
    Ok(index("name", &["rules", "aliases", "ipset", "refs", "options"]).into())
}

fn macros(_call: &Call) -> ReplyResult {
    Ok(all_macros().map(|(name, description)| json!({"macro": name, "descr": description})).collect::<Value>().into())
}

/// What rules may refer to, by IP sets and aliases.
fn refs(conf: &Conf, scope: &str, wanted: Option<&str>) -> Vec<Value> {
    let is_wanted = |kind: &str| wanted.is_none_or(|w| w == kind);
    let sets = conf.sets.iter().filter(|_| is_wanted("ipset"));
    let sets = sets.map(|(name, set)| one_ref("ipset", name, format!("+{name}"), scope, set.comment.as_ref()));
    let aliases = conf.aliases.iter().filter(|_| is_wanted("alias"));
    let aliases = aliases.map(|(name, alias)| one_ref("alias", name, name.clone(), scope, alias.comment.as_ref()));
    sets.chain(aliases).collect()
}

fn one_ref(kind: &str, name: &str, reference: String, scope: &str, comment: Option<&String>) -> Value {
    let mut out = json!({"type": kind, "name": name, "ref": reference, "scope": scope});
    if let Some(comment) = comment {
        out["comment"] = json!(comment);
    }
    out
}

fn cluster_refs(call: &Call) -> ReplyResult {
    Ok(Value::Array(refs(&load::<Cluster>(call), "dc", call.text("type"))).into())
}

fn guest_refs<L: Level>(call: &Call) -> ReplyResult {
    let mut out = refs(&load::<Cluster>(call), "dc", call.text("type"));
    out.extend(refs(&load::<L>(call), "guest", call.text("type")));
    Ok(Value::Array(out).into())
}

/// Nothing is filtered here, so nothing is logged: PVE says so in one line.
fn log(_call: &Call) -> ReplyResult {
    Ok(Reply { data: json!([{"n": 1, "t": "no content"}]), total: Some(1), ..Reply::default() })
}
