//! Names in the firewall (`pve-api`: formats of `/cluster/firewall`).

use std::fmt;

use crate::names::text_newtype;

/// Longest name of a security group (`pve-api`: `group`, `maxLength`).
const GROUP_LEN_MAX: usize = 18;
/// Longest name of an IP set and of an alias (`pve-api`: `name`, `maxLength`).
const SET_LEN_MAX: usize = 64;
/// Longest name of a macro (`pve-api`: `macro`, `maxLength`).
const MACRO_LEN_MAX: usize = 128;
/// Longest interface name of a rule (`pve-api`: format `pve-iface`, `maxLength`).
const IFACE_LEN_MAX: usize = 20;

/// Proxmox's pattern of names: a letter, then letters, digits, `-` and `_`, at least two characters.
fn object_name(text: &str, longest: usize) -> Result<(), String> {
    if text.len() < 2 || text.len() > longest {
        return Err(format!("it must have 2 to {longest} characters"));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err("it must begin with a letter".into());
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_".contains(*c))) {
        Some(bad) => Err(format!("the character `{bad}` is not allowed, only letters, digits, `-` and `_`")),
        None => Ok(()),
    }
}

text_newtype!(
    /// Security group of a site.
    GroupName, "security group name", |text| object_name(text, GROUP_LEN_MAX)
);
text_newtype!(
    /// IP set of a site or of a guest.
    IpSetName, "IP set name", |text| object_name(text, SET_LEN_MAX)
);
text_newtype!(
    /// Alias of a site or of a guest. Proxmox compares aliases in lower case.
    AliasName, "alias name", |text| object_name(text, SET_LEN_MAX)
);
text_newtype!(
    /// Predefined macro, such as `HTTPS`. Proxmox compares macros without regard to case.
    MacroName, "macro name", |text| {
        if text.is_empty() || text.len() > MACRO_LEN_MAX || !text.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c)) {
            return Err(format!("it must have 1 to {MACRO_LEN_MAX} letters, digits, `-`, `_` or `/`"));
        }
        Ok(())
    }
);
text_newtype!(
    /// Interface of a rule: the slot (`net0`) in a guest's rule, any interface of the host in a node's rule.
    RuleIface, "interface of a rule", |text| {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if text.is_empty() || text.len() > IFACE_LEN_MAX || !text.chars().all(good) {
            return Err(format!("it must have 1 to {IFACE_LEN_MAX} letters, digits, `-`, `_`, `.` or `:`"));
        }
        Ok(())
    }
);

impl AliasName {
    /// The name as Proxmox looks it up.
    #[must_use]
    pub fn key(&self) -> Self {
        Self(self.as_str().to_ascii_lowercase().into())
    }
}

/// Where a name is looked up: `dc/name`, `guest/name`, `sdn/name`, or without a prefix first in the guest, then in the
/// datacenter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// No prefix.
    Either,
    /// `dc/`.
    Datacenter,
    /// `guest/`.
    Guest,
    /// `sdn/`: sets that Proxmox makes from its VNets.
    Sdn,
}

impl Scope {
    /// Parts a prefix from a name.
    pub fn split(text: &str) -> (Self, &str) {
        for (prefix, scope) in [("dc/", Self::Datacenter), ("guest/", Self::Guest), ("sdn/", Self::Sdn)] {
            if let Some(rest) = text.strip_prefix(prefix) {
                return (scope, rest);
            }
        }
        (Self::Either, text)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Either => "",
            Self::Datacenter => "dc/",
            Self::Guest => "guest/",
            Self::Sdn => "sdn/",
        })
    }
}
