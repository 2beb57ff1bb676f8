//! A container's configuration in the form that plans compare.

use std::collections::BTreeMap;

use rl_model::config::split_tags;
use rl_model::{ConfigFields, ContainerConfig, PropertyString, Stamp};

use crate::api::lxc::{ConfigView, PendingRow};
use crate::wire::{RawConfig, Rows};

/// The configuration as one of the two views shows it, from the list of pending changes, which has both.
pub fn effective(rows: &Rows<PendingRow>, view: ConfigView) -> RawConfig {
    let mut values = BTreeMap::new();
    for row in &rows.0 {
        let merged = view == ConfigView::Merged;
        let gone = merged && row.delete.is_some_and(|delete| delete.0 != 0);
        let value = if merged { row.pending.as_ref().or(row.value.as_ref()) } else { row.value.as_ref() };
        if let Some(value) = value.filter(|_| !gone) {
            values.insert(row.key.clone(), value.0.clone());
        }
    }
    RawConfig { values, nested: Vec::new() }
}

/// Keys that change with the next start.
pub fn pending_keys(rows: &Rows<PendingRow>) -> Vec<String> {
    let waits = |row: &&PendingRow| {
        row.delete.is_some_and(|delete| delete.0 != 0)
            || row.pending.as_ref().is_some_and(|p| Some(p) != row.value.as_ref())
    };
    let mut keys: Vec<String> = rows.0.iter().filter(waits).map(|row| row.key.clone()).collect();
    keys.sort_unstable();
    keys
}

/// A configuration with the keys that wait for the next start; `raw` with the pending values merged in.
pub fn container_config(raw: &RawConfig, pending: Vec<String>) -> ContainerConfig {
    let net0 = raw.get("net0").map(PropertyString::parse);
    ContainerConfig {
        digest: raw.digest().to_owned(),
        stamp: raw.get("description").and_then(Stamp::find),
        hostname: raw.get("hostname").and_then(|name| name.to_ascii_lowercase().parse().ok()),
        tags: raw.get("tags").map(split_tags).unwrap_or_default(),
        lock: raw.get("lock").map(str::to_owned),
        net0_mac: net0.and_then(|net0| net0.get("hwaddr").and_then(|mac| mac.parse().ok())),
        fields: ConfigFields::observed(&raw.values),
        pending,
    }
}

/// A configuration from the one call that shows all of it: what is written, with the keys that wait for a start.
pub fn pending_config(rows: &Rows<PendingRow>) -> ContainerConfig {
    container_config(&effective(rows, ConfigView::Merged), pending_keys(rows))
}
