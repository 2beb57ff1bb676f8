//! One rule, and lists of rules: what is done to a list, and how a rule stands in a file.

use std::collections::BTreeMap;

use super::Env;
use super::verify::{Names, verify};

/// Keys that a rule may have, beside its position and what PVE works out.
pub(crate) const KEYS: &[&str] = &[
    "action",
    "comment",
    "dest",
    "dport",
    "enable",
    "icmp-type",
    "iface",
    "log",
    "macro",
    "proto",
    "source",
    "sport",
    "type",
];

/// The options of a rule in a file, each with its key.
const FLAGS: &[(&str, &str)] = &[
    ("-i", "iface"),
    ("-p", "proto"),
    ("-proto", "proto"),
    ("--proto", "proto"),
    ("-source", "source"),
    ("--source", "source"),
    ("-dest", "dest"),
    ("--dest", "dest"),
    ("-dport", "dport"),
    ("--dport", "dport"),
    ("-sport", "sport"),
    ("--sport", "sport"),
    ("-log", "log"),
    ("--log", "log"),
    ("-icmp-type", "icmp-type"),
    ("--icmp-type", "icmp-type"),
];

/// The order in which a file has them; the interface stands before these.
const WRITTEN: &[(&str, &str)] = &[
    ("-source", "source"),
    ("-dest", "dest"),
    ("-p", "proto"),
    ("-dport", "dport"),
    ("-sport", "sport"),
    ("-log", "log"),
    ("-icmp-type", "icmp-type"),
];

pub(crate) const LEVELS: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog"];

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Keys as given.
    pub(crate) values: BTreeMap<String, String>,
    /// The family of its addresses, when they have one.
    pub(crate) ipversion: Option<u8>,
    /// What is wrong with it, per key: names it uses may have gone since.
    pub(crate) errors: BTreeMap<String, String>,
}

impl Rule {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Sets a key as PVE does: an empty text or a dash takes it away.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        if value.is_empty() || value == "-" {
            self.values.remove(key);
        } else {
            self.values.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Everything its list's digest is taken over.
    pub(crate) fn digested(&self) -> BTreeMap<String, String> {
        let mut out = self.values.clone();
        out.extend(self.ipversion.map(|v| ("ipversion".to_owned(), v.to_string())));
        out
    }

    /// Reads a line of a file; its errors are kept with it.
    pub(crate) fn read(line: &str, env: Env, names: &Names) -> Result<Self, String> {
        let mut rule = Self::default();
        let mut line = line;
        if let Some((before, comment)) = line.split_once('#') {
            rule.values.insert("comment".to_owned(), comment.trim().to_owned());
            line = before;
        }
        let disabled = line.strip_prefix('|');
        rule.values.insert("enable".to_owned(), if disabled.is_some() { "0" } else { "1" }.to_owned());
        let mut words = disabled.unwrap_or(line).split_whitespace();
        let (Some(kind), Some(action)) = (words.next(), words.next()) else {
            return Err(format!("unable to parse rule: {line}"));
        };
        rule.read_action(&kind.to_lowercase(), action);
        while let Some(word) = words.next() {
            let key = FLAGS.iter().find(|(flag, _)| *flag == word).map(|(_, key)| *key);
            let key = key.filter(|key| *key == "iface" || rule.get("type") != Some("group"));
            let (Some(key), Some(value)) = (key, words.next()) else {
                return Err(format!("unable to parse rule parameters: {word}"));
            };
            if key == "log" && !LEVELS.contains(&value) {
                return Err(format!("unable to parse rule parameters: {word}"));
            }
            rule.values.insert(key.to_owned(), value.to_owned());
        }
        for (key, why) in verify(&mut rule, env, names) {
            rule.errors.entry(key.to_owned()).or_insert(why);
        }
        Ok(rule)
    }

    /// `IN SSH(ACCEPT)` names a macro and an action at once.
    fn read_action(&mut self, kind: &str, action: &str) {
        let both = action.strip_suffix(')').and_then(|a| a.split_once('('));
        let both = both.filter(|(_, verdict)| matches!(*verdict, "ACCEPT" | "DROP" | "REJECT") && kind != "group");
        if let Some((name, _)) = both {
            self.values.insert("macro".to_owned(), name.to_owned());
        }
        self.values.insert("type".to_owned(), kind.to_owned());
        self.values.insert("action".to_owned(), both.map_or(action, |(_, verdict)| verdict).to_owned());
    }

    /// The line of a file, with its newline. Rules of security groups have no interface there.
    pub(crate) fn write(&self, with_iface: bool) -> String {
        let mut out = String::new();
        if self.get("enable") == Some("0") {
            out.push('|');
        }
        out.push_str(&self.get("type").unwrap_or("").to_uppercase());
        let action = self.get("action").unwrap_or("");
        match self.get("macro") {
            Some(name) => out.push_str(&format!(" {name}({action})")),
            None => out.push_str(&format!(" {action}")),
        }
        if let Some(iface) = self.get("iface").filter(|_| with_iface) {
            out.push_str(&format!(" -i {iface}"));
        }
        if self.get("type") != Some("group") {
            for (flag, key) in WRITTEN {
                if let Some(value) = self.get(key) {
                    out.push_str(&format!(" {flag} {value}"));
                }
            }
        }
        if let Some(comment) = self.get("comment").filter(|c| !c.trim().is_empty()) {
            out.push_str(&format!(" # {comment}"));
        }
        out.push('\n');
        out
    }
}

/// Moves a rule in front of the one that stands at `to` now; past the end moves it last. Its own place changes nothing.
///
/// Counting is over the list as it was, so `from + 1` leaves the rule where it is.
pub(crate) fn move_rule(rules: &mut Vec<Rule>, from: usize, to: usize) {
    if to == from || from >= rules.len() {
        return;
    }
    let last = rules.len();
    let rule = rules.remove(from);
    let at = match to {
        to if to >= last => last - 1,
        to if to > from => to - 1,
        to => to,
    };
    rules.insert(at, rule);
}
