//! Firewall files as JSON: the lists that the API answers with, each with the digest of its contents.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::conf::{Alias, Conf, IpSet, option_kind};
use super::rule::Rule;
use super::{Env, Firewall, Place};

/// SHA-1 in hex.
pub(crate) fn digest(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// PVE's digest of a list: every key and value of every entry, by the order of the keys.
fn list_digest(entries: impl IntoIterator<Item = BTreeMap<String, String>>) -> String {
    let text: String = entries.into_iter().flatten().map(|(key, value)| format!("{key}:{value}\n")).collect();
    digest(&text)
}

pub(crate) fn rules_digest(rules: &[Rule]) -> String {
    list_digest(rules.iter().map(Rule::digested))
}

pub(crate) fn options_digest(options: &BTreeMap<String, String>) -> String {
    list_digest([options.clone()])
}

pub(crate) fn aliases_digest(conf: &Conf) -> String {
    list_digest(conf.aliases.values().map(alias_values))
}

pub(crate) fn entries_digest(set: &IpSet) -> String {
    list_digest(set.entries.iter().map(|e| {
        let mut out = BTreeMap::from([("cidr".to_owned(), e.cidr.clone())]);
        out.extend(e.comment.clone().map(|c| ("comment".to_owned(), c)));
        out.extend(e.nomatch.then(|| ("nomatch".to_owned(), "1".to_owned())));
        out
    }))
}

/// The digest of a list of names with comments: IP sets or security groups.
pub(crate) fn named_digest<'a>(key: &str, list: impl Iterator<Item = (&'a String, Option<&'a String>)>) -> String {
    list_digest(list.map(|(name, comment)| {
        let mut out = BTreeMap::from([(key.to_owned(), name.clone())]);
        out.extend(comment.map(|c| ("comment".to_owned(), c.clone())));
        out
    }))
}

fn alias_values(alias: &Alias) -> BTreeMap<String, String> {
    let mut out = BTreeMap::from([
        ("name".to_owned(), alias.name.clone()),
        ("cidr".to_owned(), alias.cidr.clone()),
        ("ipversion".to_owned(), alias.ipversion.to_string()),
    ]);
    out.extend(alias.comment.clone().map(|c| ("comment".to_owned(), c)));
    out
}

/// A rule without its position and digest.
fn rule(rule: &Rule) -> Value {
    let mut out = Map::new();
    for (key, value) in &rule.values {
        let number = value.parse::<i64>().ok().filter(|_| key == "enable");
        out.insert(key.clone(), number.map_or_else(|| json!(value), |n| json!(n)));
    }
    if let Some(version) = rule.ipversion {
        out.insert("ipversion".to_owned(), json!(version));
    }
    if !rule.errors.is_empty() {
        out.insert("errors".to_owned(), json!(rule.errors));
    }
    Value::Object(out)
}

/// All rules with positions and the digest of the whole list.
pub(crate) fn rules(list: &[Rule]) -> Vec<Value> {
    let digest = rules_digest(list);
    let shown = list.iter().enumerate().map(|(at, r)| {
        let mut out = rule(r);
        out["pos"] = json!(at);
        out["digest"] = json!(digest);
        out
    });
    shown.collect()
}

pub(crate) fn options(env: Env, options: &BTreeMap<String, String>) -> Map<String, Value> {
    let shown = options.iter().map(|(name, value)| {
        let number = value.parse::<i64>().ok().filter(|_| option_kind(env, name).is_some_and(|k| k.is_number()));
        (name.clone(), number.map_or_else(|| json!(value), |n| json!(n)))
    });
    shown.collect()
}

pub(crate) fn alias(alias: &Alias) -> Value {
    let mut out = json!({"name": alias.name, "cidr": alias.cidr, "ipversion": alias.ipversion});
    if let Some(comment) = &alias.comment {
        out["comment"] = json!(comment);
    }
    out
}

/// The entries of an IP set.
pub(crate) fn entries(set: &IpSet) -> Vec<Value> {
    let digest = entries_digest(set);
    let shown = set.entries.iter().map(|e| {
        let mut out = json!({"cidr": e.cidr, "digest": digest});
        if let Some(comment) = &e.comment {
            out["comment"] = json!(comment);
        }
        if e.nomatch {
            out["nomatch"] = json!(1);
        }
        if !e.errors.is_empty() {
            out["errors"] = json!(e.errors);
        }
        out
    });
    shown.collect()
}

impl Firewall {
    /// Every file that is there, as text and taken apart, for the control endpoint. `now` is in seconds since 1970.
    pub(crate) fn state(&self, now: i64) -> Value {
        let mut out = json!({"cluster": null, "nodes": {}, "guests": {}});
        for place in self.places() {
            let env = match place {
                Place::Cluster => Env::Cluster,
                Place::Node(_) => Env::Node,
                Place::Guest(_) => Env::Ct,
            };
            let shown = file(&self.load(place, env, now), env, self.text(place));
            match place {
                Place::Cluster => out["cluster"] = shown,
                Place::Node(node) => out["nodes"][node] = shown,
                Place::Guest(vmid) => out["guests"][vmid.to_string()] = shown,
            }
        }
        out
    }
}

fn file(conf: &Conf, env: Env, text: &str) -> Value {
    let sets: Map<String, Value> = conf
        .sets
        .iter()
        .map(|(name, set)| (name.clone(), json!({"comment": set.comment, "entries": entries(set)})))
        .collect();
    let groups: Map<String, Value> = conf
        .groups
        .iter()
        .map(|(name, group)| (name.clone(), json!({"comment": group.comment, "rules": rules(&group.rules)})))
        .collect();
    json!({
        "text": text,
        "options": options(env, &conf.options),
        "aliases": conf.aliases.values().map(alias).collect::<Vec<_>>(),
        "ipsets": sets,
        "rules": rules(&conf.rules),
        "groups": groups,
    })
}
