//! Compares every endpoint that the simulator declares with the published description.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::shared;

/// The declared tables equal the published ones: method, path, parameters with all their limits, permissions, return type.
#[test]
fn declared_endpoints_are_the_published_ones() {
    let Some(dir) = shared::dir() else { return };
    let published: BTreeMap<(String, String), Value> = shared::api(&dir)
        .into_iter()
        .map(|e| ((e["method"].as_str().unwrap().to_owned(), e["path"].as_str().unwrap().to_owned()), e))
        .collect();
    let mut differences = Vec::new();
    let declared = pve_sim::declared_endpoints();
    for endpoint in &declared {
        let key = (endpoint["method"].as_str().unwrap().to_owned(), endpoint["path"].as_str().unwrap().to_owned());
        let name = format!("{} {}", key.0, key.1);
        // The root of the tree is not in the description.
        if key.1 == "/" {
            continue;
        }
        let Some(wanted) = published.get(&key) else {
            differences.push(format!("{name}: not published"));
            continue;
        };
        compare_flags(&name, endpoint, wanted, &mut differences);
        compare_objects(&name, &endpoint["parameters"], &wanted["parameters"]["properties"], &mut differences);
        let returns = wanted["returns"]["type"].as_str().unwrap_or("null");
        if endpoint["returns"] != returns {
            differences.push(format!("{name}: returns {} instead of {returns}", endpoint["returns"]));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(declared.len() > 130, "only {} endpoints declared", declared.len());
}

/// Every published firewall call is declared, but for those of SDN's networks, which do not exist here.
#[test]
fn the_whole_firewall_is_declared() {
    let Some(dir) = shared::dir() else { return };
    let name = |e: &Value| format!("{} {}", e["method"].as_str().unwrap(), e["path"].as_str().unwrap());
    let declared: Vec<String> = pve_sim::declared_endpoints().iter().map(name).collect();
    let published: Vec<String> = shared::api(&dir).iter().map(name).filter(|n| n.contains("/firewall")).collect();
    let wanted = published.iter().filter(|n| !n.contains("/sdn/"));
    let missing: Vec<&String> = wanted.filter(|n| !declared.contains(n)).collect();
    assert!(published.len() > 80, "only {} are published", published.len());
    assert_eq!(missing, Vec::<&String>::new());
}

fn compare_flags(name: &str, endpoint: &Value, wanted: &Value, out: &mut Vec<String>) {
    let flags = [
        ("protected", wanted["protected"].as_i64() == Some(1)),
        ("proxied", !wanted["proxyto"].is_null()),
        ("tokens", wanted["allowtoken"].as_i64() == Some(1)),
    ];
    for (flag, wanted) in flags {
        if endpoint[flag] != wanted {
            out.push(format!("{name}: {flag} is {} instead of {wanted}", endpoint[flag]));
        }
    }
    let permission = permission_text(&wanted["permissions"]);
    if endpoint["permission"] != permission {
        out.push(format!("{name}: permission {} instead of {permission}", endpoint["permission"]));
    }
}

/// The published permission in the simulator's notation. `user` wins over `check`, as it does in PVE.
fn permission_text(permissions: &Value) -> String {
    if permissions.is_null() {
        return "root".to_owned();
    }
    match permissions["user"].as_str() {
        Some(user) => user.to_owned(),
        None => check_text(&permissions["check"]),
    }
}

fn check_text(check: &Value) -> String {
    let parts = check.as_array().unwrap();
    let word = |at: usize| parts[at].as_str().unwrap();
    let list = |at: usize, bar: &str| {
        let privs: Vec<&str> = parts[at].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        privs.join(bar)
    };
    match word(0) {
        "perm" => {
            let has = |option: &str| parts.iter().skip(3).position(|p| p == option);
            let privs = list(2, if has("any").is_some() { "|" } else { "+" });
            let single = has("any").is_some() && !privs.contains('|');
            let only = has("require_param").map(|at| format!(" if:{}", word(at + 4))).unwrap_or_default();
            format!("{} {privs}{}{only}", word(1), if single { "|" } else { "" })
        }
        "and" | "or" => {
            let inner: Vec<String> = parts[1..].iter().map(check_text).collect();
            format!("{}({})", word(0), inner.join("; "))
        }
        "userid-group" => {
            let groups = if parts.len() > 3 { format!(" {}", word(3)) } else { String::new() };
            format!("userid-group {}{groups}", list(1, "|"))
        }
        "userid-param" | "perm-modify" => format!("{} {}", word(0), word(1)),
        other => panic!("unknown check {other}"),
    }
}

fn compare_objects(name: &str, declared: &Value, published: &Value, out: &mut Vec<String>) {
    let empty = serde_json::Map::new();
    let declared = declared.as_object().unwrap_or(&empty);
    let published = published.as_object().unwrap_or(&empty);
    for key in declared.keys().filter(|k| !published.contains_key(*k)) {
        out.push(format!("{name}: {key} is not published"));
    }
    for (key, wanted) in published {
        match declared.get(key) {
            None => out.push(format!("{name}: {key} is missing")),
            Some(found) => compare_param(&format!("{name} {key}"), found, wanted, out),
        }
    }
}

fn compare_param(name: &str, found: &Value, wanted: &Value, out: &mut Vec<String>) {
    let mut same = |what: &str, found: String, wanted: String| {
        if found != wanted {
            out.push(format!("{name}: {what} is {found:?} instead of {wanted:?}"));
        }
    };
    let text = |v: &Value| match v {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    let flag = |v: &Value| (v.as_bool() == Some(true) || v.as_i64() == Some(1)).to_string();
    same("type", text(&found["type"]), text(&wanted["type"]));
    same("optional", flag(&found["optional"]), flag(&wanted["optional"]));
    same("default_key", flag(&found["default_key"]), flag(&wanted["default_key"]));
    for key in ["minimum", "maximum", "maxLength", "minLength", "pattern", "requires"] {
        same(key, text(&found[key]), text(&wanted[key]));
    }
    let choices =
        |v: &Value| v.as_array().map(|a| a.iter().map(text).collect::<Vec<_>>().join("|")).unwrap_or_default();
    same("enum", choices(&found["enum"]), choices(&wanted["enum"]));
    if wanted["format"].is_object() {
        compare_objects(&format!("{name} ->"), &found["format"], &wanted["format"], out);
    } else {
        same("format", text(&found["format"]), text(&wanted["format"]));
    }
}
