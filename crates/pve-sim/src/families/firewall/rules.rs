//! Lists of rules, the same at every level and in security groups.

use serde_json::{Value, json};

use super::Rights;
use super::level::{Level, change, check_digest, load};
use crate::api::call::{Arg, Call, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::world::firewall::{KEYS, Rule, move_rule, rules_digest, show_rules};

const RULE: &str = r"comment?:s dest?:s@pve-fw-addr-spec<512 digest?:s<64 dport?:s@pve-fw-dport-spec enable?:i[0..]
    icmp-type?:s@pve-fw-icmp-type-spec iface?:s@pve-iface<20>2 log?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog}
    macro?:s<128 pos?:i[0..] proto?:s@pve-fw-protocol-spec source?:s@pve-fw-addr-spec<512 sport?:s@pve-fw-sport-spec";
const NEW_RULE: &str = r"action:s<20>2~[A-Za-z][A-Za-z0-9\-\_]+ type:s{in|out|forward|group}";
const OLD_RULE: &str = r"action?:s<20>2~[A-Za-z][A-Za-z0-9\-\_]+ type?:s{in|out|forward|group}
    delete?:s@pve-configid-list moveto?:i[0..]";
/// Lines of PVE's own source (Rules.pm of 9.1.6) that stumble when there is no file; clients may see them.
const DELETE_LINE: u32 = 462;
const UPDATE_LINE: u32 = 373;

pub(super) fn endpoints<L: Level>(rights: Rights, list: &'static str, one: &'static str) -> Vec<Endpoint> {
    let Rights { own, audit, change } = rights;
    let pos = "pos?:i[0..]";
    vec![
        get(list, audit, &[own], read_all::<L>).returns("array"),
        post(list, change, &[own, RULE, NEW_RULE], add::<L>),
        get(one, audit, &[own, pos], read_one::<L>).returns("object"),
        put(one, change, &[own, RULE, OLD_RULE], update::<L>),
        delete(one, change, &[own, pos, "digest?:s<64"], remove::<L>),
    ]
}

fn read_all<L: Level>(call: &Call) -> ReplyResult {
    let conf = load::<L>(call);
    Ok(Value::Array(show_rules(L::rules(call, &conf)?.unwrap_or_default())).into())
}

fn read_one<L: Level>(call: &Call) -> ReplyResult {
    let conf = load::<L>(call);
    let mut rules = show_rules(L::rules(call, &conf)?.unwrap_or_default());
    let pos = position(call, rules.len())?;
    let mut rule = rules.swap_remove(pos);
    // The position comes back as it stood in the path: as text.
    rule["pos"] = json!(call.args.must("pos"));
    Ok(rule.into())
}

fn position(call: &Call, len: usize) -> ApiResult<usize> {
    let pos = call.args.int("pos").and_then(|p| usize::try_from(p).ok()).filter(|p| *p < len);
    pos.ok_or_else(|| ApiError::die(format!("no rule at position {}", call.args.must("pos"))))
}

/// Takes over what the call says about a rule.
fn take_over(call: &Call, rule: &mut Rule) {
    for key in KEYS {
        // A null in a JSON body leaves the key alone; an empty text deletes it.
        if let Some(value) = call.args.0.get(*key).and_then(Arg::text) {
            rule.set(key, value);
        }
    }
}

/// New rules go first, whatever `pos` says, and are disabled unless told otherwise.
fn add<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, around| {
        L::rules(call, conf)?;
        let mut rule = Rule::default();
        take_over(call, &mut rule);
        around.check(&mut rule, conf)?;
        if rule.get("enable").is_none() {
            rule.set("enable", "0");
        }
        L::rules_mut(call, conf)?.insert(0, rule);
        Ok(())
    })
}

/// Checks the digest and finds the rule.
fn select<L: Level>(call: &Call, conf: &crate::world::firewall::Conf, line: u32) -> ApiResult<usize> {
    let rules = L::rules(call, conf)?;
    check_digest(call, &rules_digest(rules.unwrap_or_default()))?;
    match rules {
        Some(rules) => position(call, rules.len()),
        None => Err(ApiError::die(format!(
            "Can't use an undefined value as an ARRAY reference at /usr/share/perl5/PVE/API2/Firewall/Rules.pm line {line}."
        ))),
    }
}

fn update<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, around| {
        let pos = select::<L>(call, conf, UPDATE_LINE)?;
        let to = call.args.int("moveto").and_then(|to| usize::try_from(to).ok());
        if let Some(to) = to.filter(|to| *to != pos) {
            move_rule(L::rules_mut(call, conf)?, pos, to);
            return Ok(());
        }
        let mut rule = L::rules_mut(call, conf)?[pos].clone();
        take_over(call, &mut rule);
        delete_keys(&mut rule, call.text("delete").unwrap_or(""))?;
        around.check(&mut rule, conf)?;
        L::rules_mut(call, conf)?[pos] = rule;
        Ok(())
    })
}

fn delete_keys(rule: &mut Rule, list: &str) -> ApiResult<()> {
    for key in split_list(list) {
        if !KEYS.contains(&key) && !matches!(key, "pos" | "digest") {
            return Err(ApiError::param("delete", format!("no such property ('{key}')")));
        }
        if matches!(key, "type" | "action") {
            return Err(ApiError::param("delete", format!("unable to delete required property '{key}'")));
        }
        rule.values.remove(key);
    }
    Ok(())
}

fn remove<L: Level>(call: &Call) -> ReplyResult {
    change::<L>(call, |conf, _| {
        let pos = select::<L>(call, conf, DELETE_LINE)?;
        L::rules_mut(call, conf)?.remove(pos);
        Ok(())
    })
}
