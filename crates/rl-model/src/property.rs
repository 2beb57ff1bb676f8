//! Proxmox's property strings: `key=value` pairs joined by commas, the first of which may go without its key.

use std::collections::BTreeMap;
use std::fmt;

/// A parsed property string, such as the value of `net0` or `rootfs`. Keys are kept sorted, so that two strings that
/// mean the same render the same; the default-key part comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyString {
    lead: Option<String>,
    pairs: BTreeMap<String, String>,
}

impl PropertyString {
    /// Reads a property string; a part without `=` is the value of the default key. Never fails: what Proxmox answers
    /// is taken as it stands, and later parts without `=` are kept as keys with an empty value.
    pub fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for (index, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            match part.split_once('=') {
                Some((key, value)) => drop(out.pairs.insert(key.to_owned(), value.to_owned())),
                None if index == 0 => out.lead = Some(part.to_owned()),
                None => drop(out.pairs.insert(part.to_owned(), String::new())),
            }
        }
        out
    }

    /// Starts a string with the value of its default key, such as a volume.
    pub fn with_lead(lead: impl Into<String>) -> Self {
        Self { lead: Some(lead.into()), pairs: BTreeMap::new() }
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, value: impl fmt::Display) {
        self.pairs.insert(key.to_owned(), value.to_string());
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.pairs.remove(key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str)
    }

    /// The part that stands without a key.
    pub fn lead(&self) -> Option<&str> {
        self.lead.as_deref()
    }

    /// All pairs, sorted by key.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

impl fmt::Display for PropertyString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        if let Some(lead) = &self.lead {
            write!(f, "{lead}")?;
            comma = ",";
        }
        for (key, value) in &self.pairs {
            write!(f, "{comma}{key}={value}")?;
            comma = ",";
        }
        Ok(())
    }
}

/// Characters a Proxmox tag may have after its first (format `pve-tag`).
pub(crate) fn is_tag_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-+.".contains(c)
}
