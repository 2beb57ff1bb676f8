//! The part of the firewall that belongs to a guest's life: its rules and options, as they are written.

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply, ReplyResult};
use crate::api::endpoint::{Endpoint, delete, get, post, put};
use crate::api::error::{ApiError, ApiResult};
use crate::api::format::split_list;
use crate::families::index;
use crate::world::firewall::{Rule, digest, rules_text};

const RULE: &str = r"comment?:s dest?:s@pve-fw-addr-spec<512 digest?:s<64 dport?:s@pve-fw-dport-spec enable?:i[0..]
    icmp-type?:s@pve-fw-icmp-type-spec iface?:s@pve-iface<20>2 log?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog}
    macro?:s<128 pos?:i[0..] proto?:s@pve-fw-protocol-spec source?:s@pve-fw-addr-spec<512 sport?:s@pve-fw-sport-spec";
const NEW_RULE: &str = r"action:s<20>2~[A-Za-z][A-Za-z0-9\-\_]+ type:s{in|out|forward|group}";
const OPTIONS: &str = "node vmid delete?:s@pve-configid-list dhcp?:b digest?:s<64 enable?:b ipfilter?:b \
    log_level_in?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} \
    log_level_out?:s{emerg|alert|crit|err|warning|notice|info|debug|nolog} macfilter?:b ndp?:b \
    policy_in?:s{ACCEPT|REJECT|DROP} policy_out?:s{ACCEPT|REJECT|DROP} radv?:b";
/// Options whose values are numbers.
const SWITCHES: &[&str] = &["enable", "dhcp", "ipfilter", "macfilter", "ndp", "radv"];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let audit = "/vms/{vmid} VM.Audit";
    let change = "/vms/{vmid} VM.Config.Network";
    let node_audit = "/nodes/{node} Sys.Audit";
    vec![
        get("/nodes/{node}/lxc/{vmid}/firewall/rules", audit, &["node vmid"], list_rules).local().returns("array"),
        post("/nodes/{node}/lxc/{vmid}/firewall/rules", change, &["node vmid", RULE, NEW_RULE], add_rule).local(),
        get("/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", audit, &["node vmid pos?:i[0..]"], one_rule)
            .local()
            .returns("object"),
        delete(
            "/nodes/{node}/lxc/{vmid}/firewall/rules/{pos}",
            change,
            &["node vmid digest?:s<64 pos?:i[0..]"],
            delete_rule,
        )
        .local(),
        get("/nodes/{node}/lxc/{vmid}/firewall/options", audit, &["node vmid"], get_options).returns("object"),
        put("/nodes/{node}/lxc/{vmid}/firewall/options", change, &[OPTIONS], set_options),
        get("/cluster/firewall/rules", "/ Sys.Audit", &[], cluster_rules).returns("array"),
        post("/cluster/firewall/rules", "/ Sys.Modify", &[RULE, NEW_RULE], add_cluster_rule),
        get("/nodes/{node}/firewall", "all", &["node"], |_| Ok(index("name", &["rules", "options", "log"]).into()))
            .local()
            .returns("array"),
        get("/nodes/{node}/firewall/rules", node_audit, &["node"], |_| Ok(json!([]).into())).returns("array"),
        get("/nodes/{node}/firewall/options", node_audit, &["node"], |_| Ok(json!({"digest": digest("")}).into()))
            .returns("object"),
        get("/cluster/firewall/options", "/ Sys.Audit", &[], |_| Ok(json!({"digest": digest("")}).into()))
            .returns("object"),
    ]
}

fn rule_json(rule: &Rule, pos: usize, digest: &str) -> Value {
    let mut out = Map::new();
    for (key, value) in rule {
        let number = value.parse::<i64>().ok().filter(|_| key == "enable");
        out.insert(key.clone(), number.map_or_else(|| json!(value), |n| json!(n)));
    }
    out.insert("pos".into(), json!(pos));
    out.insert("digest".into(), json!(digest));
    Value::Object(out)
}

fn rules_json(rules: &[Rule]) -> Value {
    let digest = digest(&rules_text(rules));
    rules.iter().enumerate().map(|(at, rule)| rule_json(rule, at, &digest)).collect()
}

fn list_rules(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let rules = world.firewall.guests.get(&call.vmid()).map(|f| f.rules.as_slice()).unwrap_or_default();
    Ok(rules_json(rules).into())
}

fn one_rule(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let rules = world.firewall.guests.get(&call.vmid()).map(|f| f.rules.as_slice()).unwrap_or_default();
    let pos = position(call, rules)?;
    let mut out = rule_json(&rules[pos], pos, &digest(&rules_text(rules)));
    out["pos"] = json!(pos.to_string());
    Ok(out.into())
}

fn position(call: &Call, rules: &[Rule]) -> ApiResult<usize> {
    let pos = call.args.int("pos").and_then(|p| usize::try_from(p).ok()).filter(|p| *p < rules.len());
    let missing = || ApiError::param("pos", format!("no rule at position {}", call.args.must("pos")));
    pos.ok_or_else(missing)
}

fn new_rule(call: &Call) -> Rule {
    let left_out = ["node", "vmid", "pos", "digest"];
    let keys = call.args.0.keys().filter(|k| !left_out.contains(&k.as_str()));
    let mut rule: Rule = keys.map(|k| (k.clone(), call.args.must(k).to_owned())).collect();
    rule.entry("enable".to_owned()).or_insert_with(|| "0".to_owned());
    rule
}

fn add_rule(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    world.firewall.guests.entry(call.vmid()).or_default().rules.insert(0, new_rule(call));
    Ok(Reply::null())
}

fn delete_rule(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    let firewall = world.firewall.guests.entry(call.vmid()).or_default();
    check_digest(call, &digest(&rules_text(&firewall.rules)))?;
    let pos = position(call, &firewall.rules)?;
    firewall.rules.remove(pos);
    Ok(Reply::null())
}

fn check_digest(call: &Call, current: &str) -> ApiResult<()> {
    match call.text("digest") {
        Some(given) if given != current => {
            Err(ApiError::die("detected modified configuration - file changed by other user? Try again."))
        }
        _ => Ok(()),
    }
}

fn options_digest(options: &std::collections::BTreeMap<String, String>) -> String {
    digest(&options.iter().map(|(k, v)| format!("{k}: {v}\n")).collect::<String>())
}

fn get_options(call: &Call) -> ReplyResult {
    let world = call.site.world();
    let options = world.firewall.guests.get(&call.vmid()).map(|f| f.options.clone()).unwrap_or_default();
    let mut out = Map::new();
    for (key, value) in &options {
        let number = value.parse::<i64>().ok().filter(|_| SWITCHES.contains(&key.as_str()));
        out.insert(key.clone(), number.map_or_else(|| json!(value), |n| json!(n)));
    }
    out.insert("digest".into(), json!(options_digest(&options)));
    Ok(Value::Object(out).into())
}

fn set_options(call: &Call) -> ReplyResult {
    let mut world = call.site.world();
    let options = &mut world.firewall.guests.entry(call.vmid()).or_default().options;
    check_digest(call, &options_digest(options))?;
    for key in split_list(call.text("delete").unwrap_or("")) {
        options.remove(key);
    }
    for key in call.args.0.keys().filter(|k| !matches!(k.as_str(), "node" | "vmid" | "delete" | "digest")) {
        options.insert(key.clone(), call.args.must(key).to_owned());
    }
    Ok(Reply::null())
}

fn cluster_rules(call: &Call) -> ReplyResult {
    Ok(rules_json(&call.site.world().firewall.cluster_rules).into())
}

fn add_cluster_rule(call: &Call) -> ReplyResult {
    call.site.world().firewall.cluster_rules.insert(0, new_rule(call));
    Ok(Reply::null())
}
