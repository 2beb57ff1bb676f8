//! Checks values and answer types against the published API description.

use std::net::{Ipv4Addr, Ipv6Addr};

use regex::Regex;
use serde_json::{Map, Value};

use crate::samples::Built;
use crate::spy::Read;

type Object = Map<String, Value>;

fn optional(schema: &Value) -> bool {
    schema.get("optional").and_then(Value::as_i64) == Some(1)
}

/// The schema of a parameter; `net0` is described as `net[n]`.
fn described<'a>(properties: &'a Object, name: &str) -> Option<&'a Value> {
    if let Some(schema) = properties.get(name) {
        return Some(schema);
    }
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if base.len() == name.len() { None } else { properties.get(&format!("{base}[n]")) }
}

/// Everything in a request that its description does not allow.
pub(crate) fn request_problems(built: &Built, entry: &Value) -> Vec<String> {
    let empty = Object::new();
    let properties = entry["parameters"]["properties"].as_object().unwrap_or(&empty);
    let args = built.args.iter().map(|(name, value)| (*name, value.clone()));
    let value = |param: &rl_pve::Param| match &param.value {
        rl_pve::ParamValue::Plain(text) => text.clone(),
        rl_pve::ParamValue::Secret(secret) => secret.expose().to_owned(),
    };
    let params = built.params.iter().map(|param| (param.name.as_str(), value(param)));
    let given: Vec<(&str, String)> = args.chain(params).collect();
    let mut problems = Vec::new();
    for (index, (name, value)) in given.iter().enumerate() {
        if given[..index].iter().any(|(earlier, _)| earlier == name) {
            problems.push(format!("`{name}` is given twice"));
        }
        match described(properties, name) {
            None => problems.push(format!("`{name}` is not in the description")),
            Some(schema) => {
                problems.extend(value_problems(schema, value).into_iter().map(|p| format!("`{name}`=`{value}`: {p}")));
            }
        }
    }
    for (name, _) in properties.iter().filter(|(_, schema)| !optional(schema)) {
        if !given.iter().any(|(given, _)| given == name) {
            problems.push(format!("`{name}` is required and missing"));
        }
    }
    problems
}

/// What is wrong with a value that is sent as text.
pub(crate) fn value_problems(schema: &Value, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let number = |key: &str| schema.get(key).and_then(|v| v.as_f64().or_else(|| v.as_str()?.parse().ok()));
    match schema["type"].as_str() {
        Some("integer") if text.parse::<i64>().is_err() => problems.push("no integer".into()),
        Some("number") if text.parse::<f64>().is_err() => problems.push("no number".into()),
        Some("boolean") if !["0", "1"].contains(&text) => problems.push("no boolean".into()),
        _ => {}
    }
    let outside =
        |value| number("minimum").is_some_and(|min| value < min) || number("maximum").is_some_and(|max| value > max);
    if text.parse::<f64>().is_ok_and(outside) {
        problems.push("out of range".into());
    }
    if let Some(list) = schema["enum"].as_array()
        && !list.iter().any(|allowed| allowed.as_str() == Some(text))
    {
        problems.push("not among the allowed values".into());
    }
    if number("maxLength").is_some_and(|max| text.chars().count() as f64 > max) {
        problems.push("too long".into());
    }
    if number("minLength").is_some_and(|min| (text.chars().count() as f64) < min) {
        problems.push("too short".into());
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        // Perl's `(?^:` means "default flags"; there are no flags to reset here.
        let pattern = Regex::new(&format!("^(?:{})$", pattern.replace("(?^:", "(?:"))).unwrap();
        if !pattern.is_match(text) {
            problems.push(format!("does not match {pattern}"));
        }
    }
    match &schema["format"] {
        Value::String(format) => problems.extend(format_problem(format, text)),
        Value::Object(format) => problems.extend(property_string_problems(format, text)),
        _ => {}
    }
    problems
}

fn property_string_problems(format: &Object, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut given = Vec::new();
    for part in text.split(',') {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) => (key.to_owned(), value),
            None => match format.iter().find(|(_, schema)| schema.get("default_key").is_some()) {
                Some((key, _)) => (key.clone(), part),
                None => {
                    problems.push(format!("`{part}` has no key"));
                    continue;
                }
            },
        };
        match format.get(&key) {
            None => problems.push(format!("`{key}` is no key of this property string")),
            Some(schema) => problems.extend(value_problems(schema, value).into_iter().map(|p| format!("{key}: {p}"))),
        }
        given.push(key);
    }
    for (key, _) in format.iter().filter(|(_, schema)| !optional(schema)) {
        if !given.contains(key) {
            problems.push(format!("{key} is required in this property string"));
        }
    }
    problems
}

/// Formats with a rule that can be said in a line; an unknown format is a problem, so that none goes unchecked.
fn format_problem(format: &str, text: &str) -> Option<String> {
    let matches = |pattern: &str| Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(text);
    let each = |pattern: &str| {
        let one = Regex::new(&format!("^(?:{pattern})$")).unwrap();
        text.split([',', ';', ' ']).all(|part| one.is_match(part))
    };
    const LABEL: &str = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
    const CONFIG_ID: &str = "[a-zA-Z][a-zA-Z0-9_-]+";
    const STORAGE_ID: &str = "[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]";
    let cidr = |max: u8, v4: bool| {
        text.split_once('/').is_some_and(|(address, prefix)| {
            let family = if v4 { address.parse::<Ipv4Addr>().is_ok() } else { address.parse::<Ipv6Addr>().is_ok() };
            family && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= max)
        })
    };
    let good = match format {
        "pve-node" => matches(LABEL),
        "pve-vmid" => matches("[1-9][0-9]{2,8}"),
        "pve-vmid-list" => each("[1-9][0-9]{2,8}"),
        "pve-storage-id" => matches(STORAGE_ID),
        "storage-pair-list" => each(&format!("{STORAGE_ID}(?::{STORAGE_ID})?")),
        "pve-storage-content" => ["vztmpl", "rootdir", "backup", "iso", "images"].contains(&text),
        "pve-configid" => matches(CONFIG_ID),
        "pve-configid-list" => each(CONFIG_ID),
        "pve-poolid" => matches("[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+){0,2}"),
        "pve-userid" => matches(r"[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+"),
        "dns-name" => matches(&format!(r"{LABEL}(?:\.{LABEL})*")),
        "dns-name-list" => each(&format!(r"{LABEL}(?:\.{LABEL})*")),
        "pve-tag-list" => each("[a-z0-9_][a-z0-9_+.-]*"),
        "pve-startup-order" => text.split(',').all(|part| {
            part.split_once('=')
                .is_some_and(|(key, n)| ["order", "up", "down"].contains(&key) && n.parse::<u32>().is_ok())
        }),
        "pve-ct-timezone" => text == "host" || matches("[A-Za-z_+-]+(?:/[A-Za-z0-9_+-]+)*"),
        "lxc-ip-with-ll-iface-list" => text.split([',', ' ']).all(|part| part.parse::<std::net::IpAddr>().is_ok()),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "pve-ipv4-config" => text == "dhcp" || text == "manual" || cidr(32, true),
        "pve-ipv6-config" => ["dhcp", "auto", "manual"].contains(&text) || cidr(128, false),
        "mac-addr" => matches("[0-9A-Fa-f][02468ACEace](?::[0-9A-Fa-f]{2}){5}"),
        "pve-lxc-mp-string" => !text.is_empty() && !text.contains(['\n', ',']) && !text.split('/').any(|p| p == ".."),
        "disk-size" => matches(r"\d+(?:\.\d+)?[KMGT]?"),
        "pve-volume-id" => matches(&format!("{STORAGE_ID}:.+")),
        _ => return Some(format!("format {format} is not checked yet")),
    };
    (!good).then(|| format!("is no {format}"))
}

/// Fields we read although the description of this release does not have them, each with the reason.
pub(crate) const EXPLAINED: &[(&str, &str)] = &[
    ("GET /cluster/resources [] shared", "answered by every release, described since 9.1"),
    ("GET /cluster/resources [] sdn", "VNets until 9.0"),
    ("GET /cluster/resources [] network", "networks since 9.1"),
    ("GET /cluster/firewall/groups/{group} [] *", "described since 9.0, but for `errors`"),
    ("GET /cluster/firewall/rules [] *", "described since 9.0, but for `errors`"),
    ("GET /nodes/{node}/firewall/rules [] *", "described since 9.0, but for `errors`"),
    ("GET /nodes/{node}/lxc/{vmid}/firewall/rules [] *", "described since 9.0, but for `errors`"),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/rules [] *", "described since 9.0, but for `errors`"),
    ("GET /cluster/firewall/ipset/{name} [] errors", "what Proxmox finds wrong, answered and not described"),
    ("GET /nodes/{node}/lxc/{vmid}/firewall/ipset/{name} [] errors", "what Proxmox finds wrong, not described"),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/ipset/{name} [] errors", "what Proxmox finds wrong, not described"),
    ("GET /cluster/firewall/options digest", "answered with every list of options, not described"),
    ("GET /nodes/{node}/lxc/{vmid}/firewall/options digest", "answered with every list of options, not described"),
    ("GET /nodes/{node}/qemu/{vmid}/firewall/options digest", "answered with every list of options, not described"),
    ("GET /cluster/tasks [] *", "rows are those of a node's task list; only `upid` is described"),
    ("GET /nodes/{node}/lxc/{vmid}/status/current ha managed", "the object is described without its fields"),
    ("GET /nodes/{node}/tasks/{upid}/log data", "the envelope itself, read for `total` beside it"),
    ("GET /nodes/{node}/tasks/{upid}/log total", "the envelope itself, read for `total` beside it"),
    ("GET /pools [] members [] *", "rows are those of the resource list"),
    ("POST /access/ticket NeedTFA", "only in the answer that asks for a second factor"),
];

fn explained(place: &str) -> bool {
    EXPLAINED.iter().any(|(pattern, _)| explains(pattern, place))
}

pub(crate) fn explains(pattern: &str, place: &str) -> bool {
    match pattern.strip_suffix(" *") {
        Some(prefix) => place.starts_with(prefix) && place.len() > prefix.len(),
        None => pattern == place,
    }
}

/// Every place of an answer that we read and the description does not have, or has with another type.
pub(crate) fn answer_problems(built: &Built, entry: &Value) -> Vec<String> {
    let returns = &entry["returns"];
    built.read.iter().filter_map(|read| answer_problem(built, read, returns)).collect()
}

/// The name of a place of an answer, as [`EXPLAINED`] writes it.
pub(crate) fn place_of(built: &Built, read: &Read) -> String {
    format!("{} {} {}", built.method, built.template, read.path.join(" ")).trim().to_owned()
}

fn answer_problem(built: &Built, read: &Read, returns: &Value) -> Option<String> {
    let place = place_of(built, read);
    // The log is read with its envelope, whose `data` is what is described.
    if explained(&place) || read.path.is_empty() && built.template.ends_with("/log") {
        return None;
    }
    undescribed(built, read, returns, &place)
}

/// What the description says against one place, explanations aside.
pub(crate) fn undescribed(built: &Built, read: &Read, returns: &Value, place: &str) -> Option<String> {
    let path = if built.template.ends_with("/log") { &read.path[1..] } else { &read.path[..] };
    let mut schema = returns;
    for part in path {
        let next = if part == "[]" { schema.get("items") } else { schema.get("properties").and_then(|p| p.get(part)) };
        match next {
            Some(next) => schema = next,
            None => return Some(format!("{place}: read by us, not described")),
        }
    }
    let described = schema["type"].as_str().unwrap_or("object");
    let fits = match read.expected.as_str() {
        "nothing" => true,
        "a list" => described == "array",
        "a map" | "a configuration" => described == "object",
        "a text" => ["string", "integer", "number"].contains(&described),
        "a whole number" => ["integer", "number"].contains(&described),
        "a number" => ["integer", "number"].contains(&described),
        "a boolean (0 or 1)" => described == "boolean",
        other => panic!("no rule for {other}"),
    };
    (!fits).then(|| format!("{place}: we expect {}, described is {described}", read.expected))
}
