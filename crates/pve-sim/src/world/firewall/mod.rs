//! The firewall's files: one of the datacenter, one of each node and one of each guest.
//!
//! What is kept is their text, as PVE keeps it. Every call reads a file, changes it and writes it, so what a file cannot hold
//! is lost here as it is there.

mod address;
mod conf;
mod file;
mod macros;
mod names;
mod rule;
mod show;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;

pub(crate) use address::clean as clean_cidr;
pub(crate) use address::split_scope;
pub(crate) use conf::{Alias, Conf, Entry, Group, IpSet, option_kind, options as option_names};
pub(crate) use file::is_zero_prefix;
pub(crate) use macros::all as all_macros;
pub(crate) use rule::{KEYS, Rule, move_rule};
pub(crate) use show::{
    alias as show_alias, aliases_digest, digest, entries as show_entries, entries_digest, named_digest,
    options as show_options, options_digest, rules as show_rules, rules_digest,
};
pub(crate) use verify::{Names, verify};

/// Whose file it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Cluster,
    Node(String),
    Guest(u32),
}

/// Where a rule stands; what it may say depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Env {
    Cluster,
    Group,
    Node,
    Ct,
    Vm,
}

impl Env {
    /// PVE's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Group => "group",
            Self::Node => "host",
            Self::Ct => "ct",
            Self::Vm => "vm",
        }
    }

    /// Rules of that type may stand there.
    pub(crate) fn allows(self, kind: &str) -> bool {
        match kind {
            "in" | "out" => true,
            "forward" => matches!(self, Self::Cluster | Self::Group | Self::Node),
            "group" => self != Self::Group,
            _ => false,
        }
    }
}

/// All files that are there. A file without content is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Firewall {
    files: BTreeMap<Place, String>,
}

impl Firewall {
    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.files.keys()
    }

    pub(crate) fn text(&self, place: &Place) -> &str {
        self.files.get(place).map_or("", String::as_str)
    }

    /// Reads a file. `now` is in seconds since 1970.
    pub(crate) fn load(&self, place: &Place, env: Env, now: i64) -> Conf {
        self.parse(self.text(place), place, env, now).0
    }

    fn parse(&self, text: &str, place: &Place, env: Env, now: i64) -> (Conf, Vec<String>) {
        match place {
            Place::Cluster => file::read(text, Env::Cluster, None, now),
            _ => file::read(text, env, Some(&self.load(&Place::Cluster, Env::Cluster, now)), now),
        }
    }

    /// Writes a file; true when its text is another than before.
    pub(crate) fn save(&mut self, place: &Place, conf: &Conf) -> bool {
        let text = file::write(conf);
        let changed = text != self.text(place);
        if text.is_empty() {
            self.files.remove(place);
        } else {
            self.files.insert(place.clone(), text);
        }
        changed
    }

    /// Puts a file there as it stands. The lines that cannot be read come back and nothing is changed.
    pub(crate) fn seed(&mut self, place: Place, env: Env, text: &str, now: i64) -> Result<(), Vec<String>> {
        let (_, skipped) = self.parse(text, &place, env, now);
        if !skipped.is_empty() {
            return Err(skipped);
        }
        if !text.is_empty() {
            self.files.insert(place, text.to_owned());
        }
        Ok(())
    }

    /// A guest goes, and its file with it.
    pub(crate) fn remove_guest(&mut self, vmid: u32) {
        self.files.remove(&Place::Guest(vmid));
    }

    /// A clone gets the file of its source, whatever was there before.
    pub(crate) fn clone_guest(&mut self, from: u32, to: u32) {
        match self.files.get(&Place::Guest(from)).cloned() {
            Some(text) => drop(self.files.insert(Place::Guest(to), text)),
            None => self.remove_guest(to),
        }
    }
}

/// What names of aliases, IP sets and security groups are made of: a letter, then letters, digits, `-` and `_`.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// Checks a value against one of the firewall's formats; `None` for a format that is none of them.
pub(crate) fn check_format(format: &str, value: &str) -> Option<Result<(), String>> {
    let found = match format {
        "IPorCIDR" => address::check_cidr(value),
        "IPorCIDRorAlias" => address::check_cidr_or_alias(value),
        "pve-fw-addr-spec" => address::parse_list(value).map(drop),
        "pve-fw-dport-spec" => names::check_ports(value, true),
        "pve-fw-sport-spec" => names::check_ports(value, false),
        "pve-fw-protocol-spec" => names::check_protocol(value),
        "pve-fw-icmp-type-spec" => names::check_icmp_type(value),
        "pve-fw-conntrack-helper" => names::check_helpers(value),
        _ => return None,
    };
    Some(found.map_err(|why| format!("{why}\n")))
}
