//! A container's configuration: its keys, pending changes, snapshots, and the file they are written to.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::api::propstr::{self, Props};

/// Keys whose values the API gives as numbers.
const NUMERIC: &[&str] = &[
    "console",
    "cores",
    "cpuunits",
    "debug",
    "memory",
    "onboot",
    "protection",
    "swap",
    "template",
    "tty",
    "unprivileged",
    "snaptime",
];

/// One set of keys; values as in the file, the description with its last newline.
pub(crate) type Keys = BTreeMap<String, String>;

/// What will change at the next start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) set: Keys,
    pub(crate) delete: BTreeMap<String, bool>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) keys: Keys,
    pub(crate) pending: Pending,
    /// Name to keys; `snaptime` and `parent` are among them.
    pub(crate) snapshots: BTreeMap<String, Keys>,
}

impl Config {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// A value of the keys as a whole number.
    pub(crate) fn int(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.get(key) == Some("1")
    }

    /// SHA-1 over the file, which is what the API calls `digest`.
    pub(crate) fn digest(&self) -> String {
        Sha1::digest(self.file().as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The file as a node would write it.
    pub(crate) fn file(&self) -> String {
        let mut out = String::new();
        write_section(&mut out, &self.keys);
        if self.pending != Pending::default() {
            out.push_str("\n[pve:pending]\n");
            if !self.pending.delete.is_empty() {
                let names: Vec<String> = self
                    .pending
                    .delete
                    .iter()
                    .map(|(k, force)| format!("{}{k}", if *force { "!" } else { "" }))
                    .collect();
                out.push_str(&format!("delete: {}\n", names.join(",")));
            }
            write_section(&mut out, &self.pending.set);
        }
        for (name, keys) in &self.snapshots {
            out.push_str(&format!("\n[{name}]\n"));
            write_section(&mut out, keys);
        }
        out
    }

    /// The keys with what is pending already applied.
    pub(crate) fn with_pending(&self) -> Keys {
        let mut keys = self.keys.clone();
        keys.extend(self.pending.set.clone());
        for key in self.pending.delete.keys() {
            keys.remove(key);
        }
        keys
    }

    /// The parsed `rootfs` and `mpN` entries, rootfs first.
    pub(crate) fn mounts(&self) -> Vec<(String, Mount)> {
        mounts_of(&self.keys)
    }

    /// The NICs: key and properties.
    pub(crate) fn nics(&self) -> Vec<(String, Props)> {
        let nets = self.keys.iter().filter(|(k, _)| is_numbered(k, "net"));
        nets.filter_map(|(k, v)| propstr::parse("net", v, k).ok().map(|p| (k.clone(), p))).collect()
    }

    /// Puts a volume under the first free `unusedN`.
    pub(crate) fn add_unused(&mut self, volid: &str) {
        if !volid.contains(':') || self.keys.iter().any(|(k, v)| k.starts_with("unused") && v == volid) {
            return;
        }
        if let Some(key) = (0..256).map(|n| format!("unused{n}")).find(|k| !self.keys.contains_key(k)) {
            self.keys.insert(key, volid.to_owned());
        }
    }
}

/// A mount point entry taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    pub(crate) props: Props,
}

impl Mount {
    pub(crate) fn parse(key: &str, value: &str) -> Result<Self, propstr::PropError> {
        let table = if key == "rootfs" { "rootfs" } else { "mp" };
        propstr::parse(table, value, key).map(|props| Self { props })
    }

    pub(crate) fn volume(&self) -> &str {
        self.props.get("volume").map_or("", String::as_str)
    }

    /// `volume`, `device` or `bind`.
    pub(crate) fn kind(&self) -> &'static str {
        let volume = self.volume();
        if volume.starts_with("/dev/") {
            "device"
        } else if volume.starts_with('/') {
            "bind"
        } else {
            "volume"
        }
    }

    /// Bytes, when the entry says so.
    pub(crate) fn size(&self) -> Option<u64> {
        self.props.get("size").and_then(|s| crate::api::format::parse_size(s))
    }

    pub(crate) fn print(&self, key: &str) -> String {
        propstr::print(if key == "rootfs" { "rootfs" } else { "mp" }, &self.props)
    }
}

/// The mount points in a set of keys, rootfs first.
pub(crate) fn mounts_of(keys: &Keys) -> Vec<(String, Mount)> {
    let mut out = Vec::new();
    for (key, value) in keys.iter().filter(|(k, _)| k.as_str() == "rootfs" || is_numbered(k, "mp")) {
        if let Ok(mount) = Mount::parse(key, value) {
            out.push((key.clone(), mount));
        }
    }
    out.sort_by_key(|(key, _)| (key != "rootfs", key.clone()));
    out
}

/// `net0`, `mp12` and so on.
pub(crate) fn is_numbered(key: &str, stem: &str) -> bool {
    key.strip_prefix(stem).is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
}

fn write_section(out: &mut String, keys: &Keys) {
    if let Some(description) = keys.get("description") {
        for line in description.lines() {
            out.push_str(&format!("#{}\n", line.replace('%', "%25").replace(':', "%3A")));
        }
    }
    for (key, value) in keys.iter().filter(|(k, _)| k.as_str() != "description") {
        out.push_str(&format!("{key}: {value}\n"));
    }
}

/// A value as the API gives it: numbers for the numeric keys, text for the rest, a blank for an empty one.
pub(crate) fn value_json(key: &str, value: &str) -> Value {
    if value.is_empty() {
        return json!(" ");
    }
    match value.parse::<i64>() {
        Ok(number) if NUMERIC.contains(&key) => json!(number),
        _ => json!(value),
    }
}

/// A set of keys as a JSON object.
pub(crate) fn keys_json(keys: &Keys) -> serde_json::Map<String, Value> {
    keys.iter().map(|(k, v)| (k.clone(), value_json(k, v))).collect()
}
