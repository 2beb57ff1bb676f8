//! DNS records of one zone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Part, PartLine, PartSign};
use crate::{Fqdn, SiteName};

/// What is done to the records of one zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Records {
    /// The zone.
    pub zone: Fqdn,
    /// Record sets that change.
    pub changes: Vec<RecordChange>,
}

/// One record set: all records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordChange {
    /// Name within the zone, `@` for the zone itself.
    pub name: String,
    /// Type.
    pub kind: RecordType,
    /// Values when it was seen, in the notation of zone files; empty when there was none.
    pub before: Vec<String>,
    /// Values afterwards; empty when it goes.
    pub after: Vec<String>,
    /// Time to live in seconds.
    pub ttl_s: u32,
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
        let line = |change: &RecordChange| {
            let there = |values: &Vec<String>| (!values.is_empty()).then_some(());
            let sign = PartSign::between(there(&change.before).as_ref(), there(&change.after).as_ref());
            let (before, after) = (change.before.join(", "), change.after.join(", "));
            let what = format!("{} {}", change.name, change.kind);
            let text = match sign {
                PartSign::Add => format!("{what} {after}"),
                PartSign::Change => format!("{what} {before} -> {after}"),
                PartSign::Remove => format!("{what} {before}"),
            };
            PartLine { sign, text }
        };
        self.changes.iter().map(line).collect()
    }
}
