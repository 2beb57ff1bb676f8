//! Reads the keys of a mapping: unknown, repeated and missing ones are reported, each value is read by its type.

use std::str::FromStr;
use std::sync::Arc;

use rl_model::ParseError;

use super::report::{Report, Sp, listed, nearest};
use super::tree::{Entry, Kind, Node, Place, shown};
use super::values::{Limits, boolean, integer, invalid, list, parsed, wrong_type};
use crate::diagnostic::{Diagnostic, codes};

/// The keys one kind of mapping may have, and what it is called.
pub(crate) struct Shape {
    /// Name of its definition in the JSON Schema; a test holds the two together by it.
    #[cfg_attr(not(test), expect(dead_code, reason = "only a test looks at it"))]
    pub(crate) name: &'static str,
    /// What a person calls it, as in "a container".
    pub(crate) what: &'static str,
    /// Its keys.
    pub(crate) keys: &'static [&'static str],
}

/// Words of other tools and what they are called here.
const FOREIGN_WORDS: [(&str, &str); 35] = [
    ("ram", "memory"),
    ("mem", "memory"),
    ("cpu", "cores"),
    ("cpus", "cores"),
    ("vcpus", "cores"),
    ("replicas", "count"),
    ("instances", "count"),
    ("template", "image"),
    ("ostemplate", "image"),
    ("rootfs", "disk"),
    ("size", "disk"),
    ("networks", "nics"),
    ("network_interfaces", "nics"),
    ("interfaces", "nics"),
    ("net0", "nics"),
    ("mounts", "volumes"),
    ("mount_points", "volumes"),
    ("mp0", "volumes"),
    ("depends_on", "after"),
    ("description", "notes"),
    ("ip", "ipv4"),
    ("ip4", "ipv4"),
    ("address", "ipv4"),
    ("ip6", "ipv6"),
    ("hwaddr", "mac"),
    ("gw", "gateway"),
    ("cidr", "subnet"),
    ("dns_servers", "nameservers"),
    ("nameserver", "nameservers"),
    ("searchdomain", "search_domain"),
    ("mp", "path"),
    ("ro", "read_only"),
    ("tag", "vlan"),
    ("target_node", "node"),
    ("services", "containers"),
];

/// An opened mapping.
pub(crate) struct Fields<'n> {
    /// What a person calls it.
    what: &'static str,
    /// Where a missing key is reported: the key or value that names this mapping.
    owner: Place,
    /// Path of this mapping in the manifest.
    path: String,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// Opens a mapping whose keys are known; `None` when it is none, which is reported.
    pub(crate) fn open(
        report: &mut Report<'_>,
        node: &'n Node,
        owner: Place,
        path: &str,
        shape: &Shape,
    ) -> Option<Self> {
        let entries = entries(report, node, owner, shape.what)?;
        let fields = Self { what: shape.what, owner, path: path.to_owned(), entries };
        for entry in entries {
            if shape.keys.contains(&entry.key.as_str()) {
                fields.remember(report, entry);
            } else {
                unknown_key(report, entry, shape);
            }
        }
        Some(fields)
    }

    fn remember(&self, report: &mut Report<'_>, entry: &Entry) {
        let place = if matches!(entry.value.kind, Kind::Map(_)) { entry.key_place } else { entry.value.place };
        let at = report.at(place);
        report.origins.insert(format!("{}.{}", self.path, entry.key), at);
    }

    /// Path of this mapping in the manifest.
    pub(crate) fn own_path(&self) -> &str {
        &self.path
    }

    /// Path of a key in the manifest.
    pub(crate) fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The key with its value, when it is there.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key; one without value is reported.
    pub(crate) fn get(&self, report: &mut Report<'_>, key: &str) -> Option<&'n Node> {
        let entry = self.entry(key)?;
        if entry.value.is_null() {
            let message = format!("the key `{key}` has no value");
            report.error(
                codes::WRONG_TYPE,
                entry.key_place,
                &message,
                "",
                "write a value behind it, or remove the line",
            );
            return None;
        }
        Some(&entry.value)
    }

    /// The value of a key that must be there.
    pub(crate) fn require(&self, report: &mut Report<'_>, key: &str, example: &str) -> Option<&'n Node> {
        // A merge key, itself reported, may have been meant to bring the key.
        if self.entry(key).is_none() && self.entry("<<").is_none() && !report.partial {
            let message = format!("{} needs the key `{key}`", self.what);
            let help = format!("add it, as in `{example}`");
            report.error(codes::MISSING_KEY, self.owner, &message, "the key is missing here", &help);
        }
        self.get(report, key)
    }

    /// Reads an optional value by its newtype's parser.
    pub(crate) fn parsed<T: FromStr<Err = ParseError>>(&self, report: &mut Report<'_>, key: &str) -> Option<Sp<T>> {
        self.get(report, key).and_then(|node| parsed(report, node))
    }

    /// Reads an optional boolean.
    pub(crate) fn boolean(&self, report: &mut Report<'_>, key: &str) -> Option<bool> {
        self.get(report, key).and_then(|node| boolean(report, node))
    }

    /// Reads an optional whole number within its limits.
    pub(crate) fn integer(&self, report: &mut Report<'_>, key: &str, limits: Limits) -> Option<Sp<u32>> {
        self.get(report, key).and_then(|node| integer(report, node, limits))
    }

    /// Reads an optional list, each item by the reader given; items that are wrong are reported and left out.
    pub(crate) fn list<T>(
        &self,
        report: &mut Report<'_>,
        key: &str,
        read: impl FnMut(&mut Report<'_>, &Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.get(report, key).and_then(|node| list(report, node, read))
    }

    /// Reads a mapping of names to things: the name with its place, the path and the value of each.
    pub(crate) fn named<K: FromStr<Err = ParseError>>(
        &self,
        report: &mut Report<'_>,
        key: &str,
        what: &str,
    ) -> Vec<Named<'n, K>> {
        let Some(node) = self.get(report, key) else { return Vec::new() };
        named(report, node, &self.path(key), what)
    }
}

/// A name of the user's choice with what it names.
pub(crate) struct Named<'n, K> {
    pub(crate) name: Sp<K>,
    pub(crate) key_place: Place,
    pub(crate) path: String,
    pub(crate) value: &'n Arc<Node>,
}

/// Reads a mapping whose keys are names of the user's choice.
pub(crate) fn named<'n, K: FromStr<Err = ParseError>>(
    report: &mut Report<'_>,
    node: &'n Node,
    path: &str,
    what: &str,
) -> Vec<Named<'n, K>> {
    let Some(entries) = entries(report, node, node.place, what) else { return Vec::new() };
    let mut out = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}.{}", entry.key);
        let at = report.at(entry.key_place);
        if report.origins.get(&path).is_some() && entries[..index].iter().any(|other| other.key == entry.key) {
            continue;
        }
        report.origins.insert(path.clone(), at.clone());
        match entry.key.parse::<K>() {
            Ok(value) => {
                out.push(Named { name: Sp { value, at }, key_place: entry.key_place, path, value: &entry.value })
            }
            Err(error) => invalid::<K>(report, entry.key_place, &entry.key, &error),
        }
    }
    out
}

/// The entries of a mapping; keys given twice are reported.
fn entries<'n>(report: &mut Report<'_>, node: &'n Node, owner: Place, what: &str) -> Option<&'n [Entry]> {
    let Kind::Map(entries) = &node.kind else {
        let place = if node.is_null() { owner } else { node.place };
        let help = match node.is_null() {
            true => "write `key: value` lines below it, or `{}` where nothing needs to be said",
            false => "write `key: value` lines below it, or `{ key: value }`",
        };
        wrong_type(report, node, place, &format!("{what}, which is a mapping"), help);
        return None;
    };
    let mut seen = std::collections::HashMap::with_capacity(entries.len());
    for entry in entries {
        if let Some(first) = seen.insert(entry.key.as_str(), entry) {
            let (at, first) = (report.at(entry.key_place), report.at(first.key_place));
            let message = format!("the key `{}` is given twice", shown(&entry.key));
            report.findings.push(
                Diagnostic::error(codes::DUPLICATE_KEY, Some(&at), message)
                    .label("second time")
                    .related(Some(&first), "first time")
                    .help("keep one of the two, or give one another name"),
            );
        }
    }
    Some(entries)
}

fn unknown_key(report: &mut Report<'_>, entry: &Entry, shape: &Shape) {
    if entry.key.is_empty() || entry.key == "<<" || matches!(entry.value.kind, Kind::Broken) {
        return;
    }
    let foreign = FOREIGN_WORDS.iter().find(|(word, _)| *word == entry.key).map(|(_, ours)| *ours);
    let near = nearest(&entry.key, shape.keys.iter().copied());
    let elsewhere = foreign.unwrap_or(&entry.key);
    let elsewhere =
        super::SHAPES.iter().find(|other| other.keys.contains(&elsewhere)).map(|other| (elsewhere, other.what));
    let help = match (foreign.filter(|ours| shape.keys.contains(ours)), near, elsewhere) {
        (Some(ours), ..) => format!("it is called `{ours}` here"),
        (_, Some(word), _) => format!("did you mean `{word}`?"),
        (_, _, Some((key, what))) => format!("`{key}` is a key of {what}"),
        (None, None, None) => listed(shape.keys.iter().copied(), "keys"),
    };
    let message = format!("{} has no key `{}`", shape.what, shown(&entry.key));
    report.error(codes::UNKNOWN_KEY, entry.key_place, &message, "unknown key", &help);
}
