//! Firewall objects of a site that several guests share.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Part, PartLine, PartSign};
use crate::SiteName;
use crate::firewall::IpSetName;

/// What is done to the shared firewall objects of one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteFirewall {
    /// The site.
    pub site: SiteName,
    /// What the comment of our IP sets says: whose they are. A set with another comment is never touched.
    pub owner: String,
    /// IP sets that change.
    pub sets: Vec<SetChange>,
    /// The datacenter's switch, where it changes.
    #[serde(default)]
    pub enable: Option<bool>,
}

/// One IP set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetChange {
    /// Its name.
    pub name: IpSetName,
    /// What it held when it was seen, as Proxmox lists it; `None` when it was not there.
    pub before: Option<BTreeSet<String>>,
    /// What it shall hold; `None` when it shall go.
    pub after: Option<BTreeSet<String>>,
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
        let switch = self.enable.map(|on| {
            let text = format!("the datacenter's firewall is switched {}", if on { "on" } else { "off" });
            PartLine { sign: PartSign::Change, text }
        });
        self.sets.iter().map(line).chain(switch).collect()
    }
}

fn members(set: Option<&BTreeSet<String>>) -> String {
    let names: Vec<&str> = set.into_iter().flatten().map(String::as_str).collect();
    if names.is_empty() { "(empty)".to_owned() } else { names.join(", ") }
}
