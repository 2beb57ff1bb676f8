//! The declared endpoints as JSON, so that a test can compare them with the published description.

use serde_json::{Map, Value, json};

use crate::api::perm::Perm;
use crate::api::propstr;
use crate::api::schema::{Param, Schema};

/// Every endpoint with its parameters, permission and return type.
pub fn declared_endpoints() -> Vec<Value> {
    crate::families::endpoints()
        .iter()
        .map(|e| {
            json!({
                "method": e.method,
                "path": e.path,
                "permission": permission(&e.perm),
                "parameters": schema(&e.schema),
                "protected": e.protected,
                "proxied": e.proxied,
                "tokens": e.tokens,
                "returns": e.returns,
            })
        })
        .collect()
}

fn permission(perm: &Perm) -> String {
    let all = |list: &[Perm]| list.iter().map(permission).collect::<Vec<_>>().join("; ");
    match perm {
        Perm::All => "all".to_owned(),
        Perm::World => "world".to_owned(),
        Perm::Root => "root".to_owned(),
        Perm::And(list) => format!("and({})", all(list)),
        Perm::Or(list) => format!("or({})", all(list)),
        Perm::Path { path, privs, any, only_with } => {
            let bar = if *any && privs.len() == 1 { "|" } else { "" };
            let only = only_with.as_ref().map(|p| format!(" if:{p}")).unwrap_or_default();
            format!("{path} {}{bar}{only}", privs.join(if *any { "|" } else { "+" }))
        }
        Perm::UserGroup { privs, groups } => {
            let groups = groups.as_ref().map(|g| format!(" {g}")).unwrap_or_default();
            format!("userid-group {}{groups}", privs.join("|"))
        }
        Perm::UserParam(what) => format!("userid-param {what}"),
        Perm::Modify(path) => format!("perm-modify {path}"),
    }
}

fn schema(schema: &Schema) -> Value {
    let entries = schema.params.iter().map(|(name, param)| {
        let name = if param.numbered > 0 { format!("{name}[n]") } else { name.clone() };
        (name, parameter(param))
    });
    Value::Object(entries.collect())
}

fn parameter(param: &Param) -> Value {
    let mut out = Map::new();
    let mut set = |key: &str, value: Value| out.insert(key.to_owned(), value);
    set("type", json!(param.kind.name()));
    set("optional", json!(param.optional));
    set("default_key", json!(param.default_key));
    set("minimum", json!(param.min));
    set("maximum", json!(param.max));
    set("maxLength", json!(param.max_len));
    set("minLength", json!(param.min_len));
    set("requires", json!(param.requires));
    set("pattern", json!(param.pattern.as_ref().map(|p| &p.text)));
    if !param.choices.is_empty() {
        set("enum", json!(param.choices));
    }
    match param.format.as_deref().map(|f| (f, f.strip_prefix('$').and_then(propstr::schema))) {
        Some((_, Some(inner))) => set("format", schema(inner)),
        Some((name, None)) => set("format", json!(name)),
        None => None,
    };
    Value::Object(out)
}
