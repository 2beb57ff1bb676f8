//! Does an answer have the shape that the published description promises?
//!
//! PVE itself is not strict: numbers come as text, booleans as 0 and 1, and a few answers break their own description. The
//! checker allows the first two everywhere and the known breaks by name.

use serde_json::Value;

/// Places where PVE 9.1.6 itself answers otherwise than it promises; the recordings show each.
const PVE_BREAKS: &[(&str, &str)] = &[
    // A container that does not run has null instead of a list.
    ("GET /nodes/{node}/lxc/{vmid}/interfaces", "$"),
    // Volumes without a parent have `parent: null`.
    ("GET /nodes/{node}/storage/{storage}/content", "$[].parent"),
    // A user without tokens has `tokens: null`.
    ("GET /access/users", "$[].tokens"),
    ("GET /access/users/{userid}", "$.tokens"),
    // `"cores": null` in a JSON body is written as a blank.
    ("GET /nodes/{node}/lxc/{vmid}/config", "$.cores"),
    // The pool's own name comes back, although nothing beyond comment and members is promised.
    ("GET /pools/{poolid}", "$.poolid"),
];

/// All the ways in which an answer differs from what is promised.
pub(crate) fn check(endpoint: &str, schema: &Value, value: &Value) -> Vec<String> {
    let mut out = Vec::new();
    walk(endpoint, schema, value, "$", &mut out);
    out
}

fn walk(endpoint: &str, schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    if PVE_BREAKS.contains(&(endpoint, path)) {
        return;
    }
    let fail = |out: &mut Vec<String>, what: String| out.push(format!("{endpoint} {path}: {what}"));
    match schema["type"].as_str() {
        Some("null") if !value.is_null() => fail(out, format!("{value} where null is promised")),
        Some("string") if !value.is_string() && !value.is_number() => fail(out, format!("{value} is no string")),
        Some("integer" | "number") if !is_number(value) => fail(out, format!("{value} is no number")),
        Some("boolean") if !is_boolean(value) => fail(out, format!("{value} is no boolean")),
        Some("array") => match value.as_array() {
            Some(items) => {
                let item_path = format!("{path}[]");
                items.iter().for_each(|item| walk(endpoint, &schema["items"], item, &item_path, out));
            }
            None => fail(out, format!("{value} is no array")),
        },
        Some("object") => object(endpoint, schema, value, path, out),
        _ => {}
    }
    if let (Some(allowed), Some(text)) = (schema["enum"].as_array(), value.as_str())
        && !allowed.iter().any(|a| a.as_str() == Some(text))
    {
        fail(out, format!("'{text}' is not one of the promised values"));
    }
}

fn object(endpoint: &str, schema: &Value, value: &Value, path: &str, out: &mut Vec<String>) {
    let Some(map) = value.as_object() else {
        out.push(format!("{endpoint} {path}: {value} is no object"));
        return;
    };
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, promised) in properties {
        let here = format!("{path}.{key}");
        match map.get(key) {
            Some(found) => walk(endpoint, promised, found, &here, out),
            None if promised["optional"].as_i64() == Some(1) || key.contains("[n]") => {}
            None if PVE_BREAKS.contains(&(endpoint, here.as_str())) => {}
            None => out.push(format!("{endpoint} {here}: missing")),
        }
    }
    if schema["additionalProperties"].as_i64() == Some(0) {
        for key in map.keys().filter(|k| !properties.contains_key(*k)) {
            let here = format!("{path}.{key}");
            if !PVE_BREAKS.contains(&(endpoint, here.as_str())) {
                out.push(format!("{endpoint} {here}: not promised"));
            }
        }
    }
}

fn is_number(value: &Value) -> bool {
    value.is_number() || value.as_str().is_some_and(|t| t.trim().parse::<f64>().is_ok())
}

fn is_boolean(value: &Value) -> bool {
    value.is_boolean() || matches!(value.as_i64(), Some(0 | 1)) || matches!(value.as_str(), Some("0" | "1" | ""))
}
