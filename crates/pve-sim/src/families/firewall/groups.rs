//! Security groups: lists of rules with a name, for the whole datacenter.

use serde_json::{Value, json};

use super::level::{Cluster, change, change_in, check_digest, load, no_group};
use crate::api::call::{Call, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post};
use crate::api::error::{ApiError, ApiResult};
use crate::world::firewall::{Conf, Env, Group, Place, Rule, named_digest};

pub(super) const GROUP: &str = r"group:s<18>2~[A-Za-z][A-Za-z0-9\-\_]+";
const NEW: &str = r"comment?:s digest?:s<64 rename?:s<18>2~[A-Za-z][A-Za-z0-9\-\_]+";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let change = "/ Sys.Modify";
    vec![
        get("/cluster/firewall/groups", "all", &[], list).returns("array"),
        post("/cluster/firewall/groups", change, &[GROUP, NEW], add),
        delete("/cluster/firewall/groups/{group}", change, &[GROUP], remove),
    ]
}

fn names_digest(conf: &Conf) -> String {
    named_digest("group", conf.groups.iter().map(|(name, group)| (name, group.comment.as_ref())))
}

fn list(call: &Call) -> ReplyResult {
    let conf = load::<Cluster>(call);
    let digest = names_digest(&conf);
    let shown = conf.groups.iter().map(|(name, group)| {
        let mut out = json!({"group": name, "digest": digest});
        if let Some(comment) = &group.comment {
            out["comment"] = json!(comment);
        }
        out
    });
    Ok(Value::Array(shown.collect()).into())
}

fn add(call: &Call) -> ReplyResult {
    let name = call.args.must("group");
    let comment = call.text("comment").map(str::to_owned);
    if let Some(old) = call.text("rename").filter(|r| !r.is_empty()) {
        return rename(call, old, name, comment);
    }
    change::<Cluster>(call, |conf, _| {
        if conf.groups.contains_key(name) {
            return Err(ApiError::param("group", format!("Security group '{name}' already exists")));
        }
        conf.groups.insert(name.to_owned(), Group { comment, rules: Vec::new() });
        Ok(())
    })
}

/// Renames a group and every rule of the site that uses it, or with its own name changes its comment.
fn rename(call: &Call, old: &str, new: &str, comment: Option<String>) -> ReplyResult {
    let reply = change::<Cluster>(call, |conf, _| {
        check_digest(call, &names_digest(conf))?;
        if !conf.groups.contains_key(old) {
            return Err(ApiError::param("group", format!("Security group '{old}' does not exists")));
        }
        if old != new && conf.groups.contains_key(new) {
            return Err(ApiError::param("group", format!("Security group '{new}' does already exist")));
        }
        let mut group = conf.groups.remove(old).unwrap_or_default();
        group.comment = comment.or(group.comment);
        conf.groups.insert(new.to_owned(), group);
        follow(&mut conf.rules, old, new);
        Ok(())
    })?;
    follow_everywhere(call, old, new)?;
    Ok(reply)
}

/// The same in the files of nodes and guests.
fn follow_everywhere(call: &Call, old: &str, new: &str) -> ApiResult<()> {
    let mut world = call.site.world();
    let places: Vec<Place> = world.firewall.places().cloned().collect();
    for place in places {
        let env = match &place {
            Place::Cluster => continue,
            Place::Node(_) => Env::Node,
            Place::Guest(vmid) => {
                let machine = world.guests.get(vmid).is_some_and(|g| g.kind == crate::world::guest::GuestKind::Qemu);
                if machine { Env::Vm } else { Env::Ct }
            }
        };
        change_in(&mut world, call, &place, env, |conf, _| {
            follow(&mut conf.rules, old, new);
            Ok(())
        })?;
    }
    Ok(())
}

fn follow(rules: &mut [Rule], old: &str, new: &str) {
    for rule in rules.iter_mut().filter(|r| r.get("type") == Some("group") && r.get("action") == Some(old)) {
        rule.set("action", new);
    }
}

/// Rules that use the group stay and mean nothing from then on.
fn remove(call: &Call) -> ReplyResult {
    change::<Cluster>(call, |conf, _| {
        let name = call.args.must("group");
        let group = conf.groups.get(name).ok_or_else(|| no_group(name))?;
        if !group.rules.is_empty() {
            return Err(ApiError::die(format!("Security group '{name}' is not empty")));
        }
        conf.groups.remove(name);
        Ok(())
    })
}
