//! DNS records of one zone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Part, PartLine, PartSign};
use crate::dns::{DnsName, Owner, RecordSet};
use crate::{Fqdn, SiteName};

/// What is done to the records of one zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Records {
    /// The zone.
    pub zone: Fqdn,
    /// Whose the records are.
    pub owner: Owner,
    /// Record sets that change.
    pub changes: Vec<RecordChange>,
}

/// One record set: all records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChange {
    /// Whole name.
    pub name: DnsName,
    /// Type.
    pub kind: RecordType,
    /// What it was when it was seen.
    pub before: Option<RecordSet>,
    /// What it is afterwards; it goes when there is none.
    pub after: Option<RecordSet>,
}

/// Types of records that are written (RFC 1035, RFC 3596, RFC 2782).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Another name for a name.
    Cname,
    /// Where a service is.
    Srv,
    /// Text.
    Txt,
    /// Name of an address.
    Ptr,
}

impl RecordType {
    /// Every type.
    pub const ALL: [Self; 6] = [Self::A, Self::Aaaa, Self::Cname, Self::Srv, Self::Txt, Self::Ptr];
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
            Self::Ptr => "PTR",
        })
    }
}

impl Part for Records {
    fn subject(&self) -> String {
        format!("zone {}", self.zone)
    }

    fn site(&self) -> Option<&SiteName> {
        None
    }

    fn lock(&self) -> String {
        format!("zone:{}", self.zone)
    }

    fn lines(&self) -> Vec<PartLine> {
        self.changes.iter().map(|change| change.line(&self.zone)).collect()
    }
}

impl RecordChange {
    fn line(&self, zone: &Fqdn) -> PartLine {
        let sign = PartSign::between(self.before.as_ref(), self.after.as_ref());
        let what = format!("{} {}", self.name.within(zone), self.kind);
        let (before, after) = (values(self.before.as_ref()), values(self.after.as_ref()));
        let text = match sign {
            PartSign::Add => format!("{what} {after}"),
            PartSign::Change if before == after => format!("{what} {after}: {}", lifetimes(self)),
            PartSign::Change => format!("{what} {before} -> {after}"),
            PartSign::Remove => format!("{what} {before}"),
        };
        PartLine { sign, text }
    }
}

fn values(set: Option<&RecordSet>) -> String {
    set.iter().flat_map(|set| &set.values).map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// How the time to live changes.
fn lifetimes(change: &RecordChange) -> String {
    let ttl = |set: &Option<RecordSet>| set.as_ref().map_or(0, |set| set.ttl_s);
    format!("time to live {} s -> {} s", ttl(&change.before), ttl(&change.after))
}
