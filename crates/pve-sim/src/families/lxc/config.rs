//! `PUT /nodes/{node}/lxc/{vmid}/config`.

use std::collections::BTreeSet;

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::families::lxc::{change, check_digest, check_lock, perms};
use crate::world::config::{Keys, is_numbered};

const NOT_OPTIONS: &[&str] = &["node", "vmid", "delete", "digest", "revert"];

/// Every option a container can have, numbered ones aside.
const OPTIONS: &[&str] = &[
    "arch",
    "cmode",
    "console",
    "cores",
    "cpulimit",
    "cpuunits",
    "debug",
    "description",
    "entrypoint",
    "env",
    "features",
    "hookscript",
    "hostname",
    "lock",
    "memory",
    "nameserver",
    "onboot",
    "ostype",
    "protection",
    "rootfs",
    "searchdomain",
    "startup",
    "swap",
    "tags",
    "template",
    "timezone",
    "tty",
    "unprivileged",
];
const NUMBERED: &[&str] = &["net", "mp", "dev", "unused"];

/// Changes options; waits for the container's file lock.
pub(super) async fn update(call: Call) -> ReplyResult {
    let vmid = call.vmid();
    let set = perms::options_of(&call.args, NOT_OPTIONS);
    let delete = names(&call, "delete");
    let revert = names(&call, "revert");
    if set.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(ApiError::die("no options specified"));
    }
    check_names(&set, &delete, &revert)?;
    let (old, unprivileged) = current(&call, vmid)?;
    let touched: Vec<String> = delete.iter().chain(&revert).cloned().collect();
    perms::check(&call, &perms::Change { vmid, pool: None, old: &old, new: &set, delete: &touched, unprivileged })?;
    let _lock = call.site.locks.lock_guest(&call.site.clock, vmid).await?;
    {
        let mut world = call.site.world();
        let config = &world.container(call.node(), vmid)?.config;
        check_lock(config)?;
        check_digest(call.text("digest"), config)?;
        world.touch(vmid, call.site.clock.now_precise());
        let update = change::Update { node: call.node(), vmid, set: &set, delete: &delete, revert: &revert };
        change::apply(&call.site, &mut world, &update)?;
    }
    call.site.effect("config", vmid, call.node(), &call.who.authuser());
    match change::missing_bridge(&call.site.world(), call.node(), vmid) {
        Some(bridge) => Err(ApiError::die(format!("bridge '{bridge}' does not exist"))),
        None => Ok(Reply::null()),
    }
}

fn names(call: &Call, parameter: &str) -> Vec<String> {
    split_list(call.text(parameter).unwrap_or("")).map(str::to_owned).collect()
}

fn current(call: &Call, vmid: u32) -> ApiResult<(Keys, bool)> {
    let world = call.site.world();
    let config = &world.container(call.node(), vmid)?.config;
    Ok((config.keys.clone(), config.is_on("unprivileged")))
}

fn is_option(name: &str) -> bool {
    OPTIONS.contains(&name) || NUMBERED.iter().any(|stem| is_numbered(name, stem))
}

fn check_names(
    set: &std::collections::BTreeMap<String, String>,
    delete: &[String],
    revert: &[String],
) -> ApiResult<()> {
    let reverted: BTreeSet<&String> = revert.iter().collect();
    for name in revert {
        if !is_option(name) {
            return Err(ApiError::param("revert", format!("unknown option '{name}'")));
        }
        if set.contains_key(name) {
            let text = format!("you can't use '-{name}' and '-revert {name}' at the same time");
            return Err(ApiError::param("delete", text));
        }
    }
    for name in delete {
        if !is_option(name) {
            return Err(ApiError::param("delete", format!("unknown option '{name}'")));
        }
        if set.contains_key(name) {
            let text = format!("you can't use '-{name}' and -delete {name}' at the same time");
            return Err(ApiError::param("delete", text));
        }
        if reverted.contains(name) {
            let text = format!("you can't use '-delete {name}' and '-revert {name}' at the same time");
            return Err(ApiError::param("delete", text));
        }
    }
    Ok(())
}
