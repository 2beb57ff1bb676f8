//! Reads the keys of a mapping: unknown, repeated and missing ones are reported, each value is read by its type.

use std::str::FromStr;
use std::sync::Arc;

use rl_model::ParseError;

use super::report::{Report, Sp, listed, nearest};
use super::tree::{Entry, Kind, Meaning, Node, Place, shown};
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

/// Reports that something else was expected.
pub(crate) fn wrong_type(report: &mut Report<'_>, node: &Node, place: Place, expected: &str, help: &str) {
    if matches!(node.kind, Kind::Broken) {
        return;
    }
    let message = format!("expected {expected}, found {}", node.describe());
    report.error(codes::WRONG_TYPE, place, &message, "", help);
}

/// Reads text. A number or boolean without quotes is none.
pub(crate) fn text<'n>(report: &mut Report<'_>, node: &'n Node, what: &str) -> Option<&'n str> {
    if let Kind::Scalar(scalar) = &node.kind {
        if scalar.meaning() == Meaning::Text {
            return Some(&scalar.text);
        }
        let help = format!("put it in quotes: \"{}\"", shown(&scalar.text));
        wrong_type(report, node, node.place, what, &help);
        return None;
    }
    wrong_type(report, node, node.place, what, "write one value here");
    None
}

/// Reads a value by its newtype's parser.
pub(crate) fn parsed<T: FromStr<Err = ParseError>>(report: &mut Report<'_>, node: &Node) -> Option<Sp<T>> {
    let what = T::from_str("").err().map_or("text", |error| error.what);
    let text = text(report, node, &format!("{} as text", article(what)))?;
    match text.parse() {
        Ok(value) => Some(Sp { value, at: report.at(node.place) }),
        Err(error) => {
            invalid::<T>(report, node.place, text, &error);
            None
        }
    }
}

/// "a site name", "an amount of memory".
pub(crate) fn article(what: &str) -> String {
    let an = what.starts_with(['a', 'e', 'i', 'o', 'u', 'N', 'M']) && !what.starts_with("NIC name ");
    format!("{} {what}", if an { "an" } else { "a" })
}

/// Reports a value that breaks the rule of its kind, with a mended one where letters in the wrong case, `_`, or a
/// beginning left out are all that is wrong.
pub(crate) fn invalid<T: FromStr<Err = ParseError>>(
    report: &mut Report<'_>,
    place: Place,
    text: &str,
    error: &ParseError,
) {
    let what = T::from_str("").err().map_or(error.what, |empty| empty.what);
    let plain = text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let bare = text.trim_start_matches("http://");
    let mended = [plain.trim_matches('-').to_owned(), plain.clone(), format!("/{text}"), format!("https://{bare}")];
    let mended = mended.into_iter().find(|other| other != text && other.parse::<T>().is_ok());
    let help = mended.map(|mended| format!("did you mean `{mended}`?")).unwrap_or_default();
    report.error(codes::INVALID_VALUE, place, &format!("`{}` is no valid {what}", shown(text)), &error.rule, &help);
}

/// Reads an amount of memory or disk, which has a unit.
pub(crate) fn size<T: FromStr<Err = ParseError>>(report: &mut Report<'_>, node: &Node) -> Option<Sp<T>> {
    if let Kind::Scalar(scalar) = &node.kind
        && matches!(scalar.meaning(), Meaning::Integer | Meaning::Float)
    {
        let message = format!("the number `{}` has no unit", shown(&scalar.text));
        let help = format!("write it with its unit, as in `{0} MiB` or `{0} GiB`", shown(&scalar.text));
        report.error(codes::WRONG_TYPE, node.place, &message, "MiB? GiB?", &help);
        return None;
    }
    let text = text(report, node, "a number and a unit as text")?;
    match text.parse::<T>() {
        Ok(value) => Some(Sp { value, at: report.at(node.place) }),
        Err(error) => {
            let help = meant_size::<T>(text).map_or_else(
                || "write a number and a unit, as in `512 MiB` or `1.5 GiB`".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("`{}` is no valid {}", shown(text), error.what);
            report.error(codes::INVALID_VALUE, node.place, &message, &error.rule, &help);
            None
        }
    }
}

/// A size with a unit of another spelling, such as `8G` or `1 gigabyte`, in ours.
fn meant_size<T: FromStr<Err = ParseError>>(text: &str) -> Option<String> {
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let letter = match text.as_bytes()[unit].to_ascii_lowercase() {
        b'm' => "MiB",
        b'g' => "GiB",
        b't' => "TiB",
        _ => return None,
    };
    let meant = format!("{} {letter}", text[..unit].trim());
    meant.parse::<T>().is_ok().then_some(meant)
}

/// Reads `true` or `false`.
pub(crate) fn boolean(report: &mut Report<'_>, node: &Node) -> Option<bool> {
    if let Kind::Scalar(scalar) = &node.kind {
        if let Meaning::Bool(value) = scalar.meaning() {
            return Some(value);
        }
        let meant = match scalar.text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" | "true" | "y" => "write `true`",
            "no" | "off" | "0" | "false" | "n" => "write `false`",
            _ => "write `true` or `false`, without quotes",
        };
        wrong_type(report, node, node.place, "true or false", meant);
        return None;
    }
    wrong_type(report, node, node.place, "true or false", "write `true` or `false`");
    None
}

/// What a number may be: both ends included, and the unit people read it in.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) what: &'static str,
    pub(crate) min: u32,
    pub(crate) max: u32,
}

/// Reads a whole number within its limits.
pub(crate) fn integer(report: &mut Report<'_>, node: &Node, limits: Limits) -> Option<Sp<u32>> {
    let Limits { what, min, max } = limits;
    let range = format!("write a whole number from {min} to {max}");
    let scalar = match &node.kind {
        Kind::Scalar(scalar) if scalar.meaning() == Meaning::Integer => scalar,
        Kind::Scalar(scalar) if !scalar.plain && scalar.text.parse::<u32>().is_ok() => {
            wrong_type(report, node, node.place, what, "write the number without quotes");
            return None;
        }
        _ => {
            wrong_type(report, node, node.place, what, &range);
            return None;
        }
    };
    match scalar.text.parse::<u32>() {
        Ok(value) if (min..=max).contains(&value) => Some(Sp { value, at: report.at(node.place) }),
        _ => {
            let message = format!("{} is out of the limits for {what}", shown(&scalar.text));
            report.error(codes::OUT_OF_LIMITS, node.place, &message, &format!("allowed: {min} to {max}"), &range);
            None
        }
    }
}

/// Reads a list.
pub(crate) fn list<T>(
    report: &mut Report<'_>,
    node: &Node,
    mut read: impl FnMut(&mut Report<'_>, &Node) -> Option<T>,
) -> Option<Vec<T>> {
    let Kind::List(items) = &node.kind else {
        wrong_type(report, node, node.place, "a list", "write it as `[one, two]`, or one `- item` a line");
        return None;
    };
    Some(items.iter().filter_map(|item| read(report, item)).collect())
}

/// Reads one value or a list of them.
pub(crate) fn one_or_list<T>(
    report: &mut Report<'_>,
    node: &Node,
    mut read: impl FnMut(&mut Report<'_>, &Node) -> Option<T>,
) -> Vec<T> {
    match &node.kind {
        Kind::List(items) => items.iter().filter_map(|item| read(report, item)).collect(),
        _ => read(report, node).into_iter().collect(),
    }
}

/// Reads one word of a few.
pub(crate) fn choice<T: Copy>(report: &mut Report<'_>, node: &Node, what: &str, words: &[(&str, T)]) -> Option<Sp<T>> {
    let text = text(report, node, what)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(Sp { value: *value, at: report.at(node.place) });
    }
    let names = words.iter().map(|(word, _)| *word);
    let help = match nearest(text, names.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("write {}", names.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")),
    };
    report.error(codes::INVALID_VALUE, node.place, &format!("`{}` is no {what}", shown(text)), "", &help);
    None
}
