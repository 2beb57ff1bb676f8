//! Proof and drift: what was read back, compared with what shall be.

use serde::{Deserialize, Serialize};

use crate::dns::DnsName;
use crate::{Fqdn, GuestName, NodeName, RecordType, SiteName, StackName, Vmid};

/// The read-back of a stack, item by item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The stack.
    pub stack: StackName,
    /// Whether every item holds.
    pub ok: bool,
    /// When the reading began, in milliseconds of Unix time.
    pub at_ms: i64,
    /// One entry per guest that shall be, and per guest that should not be there.
    pub items: Vec<ProofItem>,
}

impl Proof {
    /// Joins items into a proof.
    pub fn new(stack: StackName, at_ms: i64, items: Vec<ProofItem>) -> Self {
        let ok = items.iter().all(ProofItem::ok);
        Self { stack, ok, at_ms, items }
    }

    /// How many checks were made, and how many of them failed.
    pub fn counts(&self) -> (usize, usize) {
        let checks = || self.items.iter().flat_map(|item| &item.checks);
        (checks().count(), checks().filter(|check| !check.ok).count())
    }
}

/// The read-back of one guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofItem {
    /// The guest.
    pub guest: GuestName,
    /// Its site.
    pub site: SiteName,
    /// Its node.
    pub node: Option<NodeName>,
    /// Its VMID.
    pub vmid: Option<Vmid>,
    /// What was compared.
    pub checks: Vec<ProofCheck>,
}

impl ProofItem {
    /// Whether all its checks hold.
    pub fn ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofCheck {
    /// What was compared: `exists once`, `stamp`, `net0`, `live address of eth0`.
    pub name: String,
    /// Whether the two agree.
    pub ok: bool,
    /// What shall be.
    pub expected: String,
    /// What was read.
    pub found: String,
}

/// One way in which the world no longer matches the last applied stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The guest's name, where one is known.
    pub guest: Option<GuestName>,
    /// Its site; `None` for what belongs to no guest.
    pub site: Option<SiteName>,
    /// Its VMID; `None` for what belongs to no guest.
    pub vmid: Option<Vmid>,
    /// What happened.
    pub kind: DriftKind,
    /// In a sentence.
    pub message: String,
}

/// The kinds of drift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DriftKind {
    /// A field has another value.
    Changed {
        /// The field in Proxmox's name.
        field: String,
        /// As it was applied.
        expected: String,
        /// As it is.
        found: String,
    },
    /// A DNS record is another one, is gone, is no longer the stack's, or was none of its.
    Record {
        /// Its zone.
        zone: Fqdn,
        /// Its whole name.
        name: DnsName,
        /// Its type.
        record: RecordType,
        /// As it was applied.
        expected: String,
        /// As it is.
        found: String,
    },
    /// It should run and does not.
    Stopped,
    /// It should not run and does.
    Started,
    /// It lies on another node.
    Moved {
        /// Where it was put.
        from: NodeName,
        /// Where it lies.
        to: NodeName,
    },
    /// It is not there.
    Gone,
    /// Another guest holds its VMID.
    Usurped,
    /// A guest bears our stamp that the stack does not know.
    Added,
    /// It, or a zone of the stack's records, could not be read, so nothing is known.
    Unread,
}
