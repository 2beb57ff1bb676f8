//! Firewall objects of a site that several guests share.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Part, PartLine, PartSign};
use crate::{Cidr, SiteName};

/// What is done to the shared firewall objects of one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteFirewall {
    /// The site.
    pub site: SiteName,
    /// IP sets that change.
    pub sets: Vec<SetChange>,
}

/// One IP set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetChange {
    /// Its name, at most 64 characters (Proxmox: `PVE/Firewall.pm`).
    pub name: String,
    /// What it held when it was seen; `None` when it was not there.
    pub before: Option<BTreeSet<Cidr>>,
    /// What it shall hold; `None` when it shall go.
    pub after: Option<BTreeSet<Cidr>>,
}

impl Part for SiteFirewall {
    fn subject(&self) -> String {
        format!("firewall of site {}", self.site)
    }

    fn site(&self) -> Option<&SiteName> {
        Some(&self.site)
    }

    fn lock(&self) -> String {
        format!("firewall:{}", self.site)
    }

    fn lines(&self) -> Vec<PartLine> {
        let line = |set: &SetChange| {
            let sign = PartSign::between(set.before.as_ref(), set.after.as_ref());
            let (before, after) = (members(set.before.as_ref()), members(set.after.as_ref()));
            let text = match sign {
                PartSign::Add => format!("IP set {}: {after}", set.name),
                PartSign::Change => format!("IP set {}: {before} -> {after}", set.name),
                PartSign::Remove => format!("IP set {}", set.name),
            };
            PartLine { sign, text }
        };
        self.sets.iter().map(line).collect()
    }
}

fn members(set: Option<&BTreeSet<Cidr>>) -> String {
    let names: Vec<String> = set.into_iter().flatten().map(ToString::to_string).collect();
    if names.is_empty() { "(empty)".to_owned() } else { names.join(", ") }
}
