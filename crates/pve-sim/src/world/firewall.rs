//! The little of the firewall that guests carry with them: rules and options as they were written.

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

/// One rule: keys and values as given.
pub(crate) type Rule = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
pub(crate) struct GuestFirewall {
    pub(crate) rules: Vec<Rule>,
    pub(crate) options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Firewall {
    pub(crate) guests: BTreeMap<u32, GuestFirewall>,
    pub(crate) cluster_rules: Vec<Rule>,
}

/// A digest over a list of rules or a set of options.
pub(crate) fn digest(text: &str) -> String {
    Sha1::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// The rules as one text, over which their digest is taken.
pub(crate) fn rules_text(rules: &[Rule]) -> String {
    rules.iter().map(|r| format!("{r:?}\n")).collect()
}
