//! Secrets of one guest. Names and versions only: nothing here is derived from a value.

use serde::{Deserialize, Serialize};

use super::{Part, PartLine, PartSign};
use crate::{GuestPath, MacAddr, NodeName, SecretSource, SiteName, Stamp, Vmid};

/// What is done to the secrets of one guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuestSecrets {
    /// The stamp the guest must bear.
    pub stamp: Stamp,
    /// Its site.
    pub site: SiteName,
    /// The node it was last seen on, or is made on.
    pub node: NodeName,
    /// Its VMID.
    pub vmid: Vmid,
    /// Host names it may bear.
    pub hostnames: Vec<String>,
    /// MACs its `net0` may have.
    pub net0: Vec<MacAddr>,
    /// Files that change.
    pub grants: Vec<GrantChange>,
}

/// One file inside the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantChange {
    /// Where its value comes from.
    pub secret: SecretSource,
    /// The file.
    pub path: GuestPath,
    /// Version that was delivered; `None` when the file is not there.
    pub before: Option<u64>,
    /// Version that shall be there; `None` when the file shall go.
    pub after: Option<u64>,
    /// Permission bits of the file, as in 0o400.
    pub mode: u32,
    /// Owner inside the guest, `user` or `user:group`.
    pub owner: String,
    /// Command run in the guest after the value was exchanged; none when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reload: Vec<String>,
}

impl Part for GuestSecrets {
    fn subject(&self) -> String {
        format!("secrets of {}", self.stamp.name)
    }

    fn site(&self) -> Option<&SiteName> {
        Some(&self.site)
    }

    fn lock(&self) -> String {
        format!("secrets:{}/{}", self.site, self.stamp.guest)
    }

    fn lines(&self) -> Vec<PartLine> {
        let line = |grant: &GrantChange| {
            let sign = PartSign::between(grant.before.as_ref(), grant.after.as_ref());
            let version = |version: Option<u64>| version.map_or_else(|| "none".to_owned(), |n| format!("version {n}"));
            let versions = match sign {
                PartSign::Add => version(grant.after),
                PartSign::Change => format!("{} -> {}", version(grant.before), version(grant.after)),
                PartSign::Remove => version(grant.before),
            };
            let reload = match grant.reload.as_slice() {
                words if words.is_empty() || sign != PartSign::Change => String::new(),
                words => format!(", then `{}`", words.join(" ")),
            };
            PartLine { sign, text: format!("{} from {} ({versions}){reload}", grant.path, grant.secret) }
        };
        self.grants.iter().map(line).collect()
    }
}
