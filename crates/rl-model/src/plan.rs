//! The plan: ordered actions from what is observed to what is resolved. Immutable, with no choice left in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::firewall::FirewallChange;
use crate::manifest::SectionKind;
use crate::{
    FieldKey, GuestName, Hostname, MacAddr, NodeName, PartAction, ResolvedGuest, ResolvedStack, SiteName, StackName,
    Stamp, Vmid,
};

/// Short fingerprint of a plan's content: two plans that would do the same have the same id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Place of an action, or of a part, in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub u32);

/// What a person allows and asks for, beside the manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Guests that may be destroyed and made anew where a change cannot be done in place.
    pub allow_replace: BTreeSet<GuestName>,
    /// Guests whose data volumes may be lost.
    pub allow_data_loss: BTreeSet<GuestName>,
    /// Leave changes that need a restart waiting for the next start.
    pub no_restart: bool,
    /// Declared parts that are knowingly left out.
    #[serde(default)]
    pub without: BTreeSet<SectionKind>,
    /// More than a third of a zone's records may change.
    #[serde(default)]
    pub allow_dns_mass_change: bool,
}

/// Ordered actions for one stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its fingerprint.
    pub id: PlanId,
    /// The stack.
    pub stack: StackName,
    /// Revision of the stored stack that it was made from; 0 when the stack is new.
    pub base_revision: u64,
    /// Whether it takes the whole stack away.
    pub destroy: bool,
    /// What shall be, after it: what was asked for, but with every part that the plan declines or leaves alone as it
    /// is.
    pub resolved: ResolvedStack,
    /// What is done, one entry a guest; an action waits for those named in its `after`.
    pub actions: Vec<Action>,
    /// What is done beside the guests: shared firewall objects, records, secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartAction>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.parts.is_empty()
    }
}

/// What is done to one guest. Carries all that the job needs; nothing is looked up again but the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its place.
    pub id: ActionId,
    /// The stamp the guest has, or gets.
    pub stamp: Stamp,
    /// The site.
    pub site: SiteName,
    /// The node the guest lies on or is created on.
    pub node: NodeName,
    /// The guest's VMID.
    pub vmid: Vmid,
    /// What is done.
    pub kind: ActionKind,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
    /// Actions that must be done before.
    pub after: Vec<ActionId>,
}

/// The kinds of action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ActionKind {
    /// Make the guest.
    Create {
        /// As it shall be.
        guest: Box<ResolvedGuest>,
    },
    /// Change it where it is; in this order: move, configuration, disks, power.
    Update {
        /// As it shall be.
        guest: Box<ResolvedGuest>,
        /// The fields that change.
        changes: Vec<Change>,
        /// The node it is moved to, where it lies on another.
        move_to: Option<NodeName>,
        /// What happens to its power state. With a move, `Restart` covers the restart that the move itself is.
        power: Consequence,
        /// MAC of `net0` as it was seen: part of the identity that is checked.
        seen_net0: Option<MacAddr>,
        /// What changes in its firewall.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        firewall: Option<Box<FirewallChange>>,
    },
    /// Destroy it and make it anew under the same VMID and identity.
    Replace {
        /// As it shall be.
        guest: Box<ResolvedGuest>,
        /// The fields that force it; and `protection` where it has to be switched off before the guest can go.
        changes: Vec<Change>,
        /// Whether it ran when it was seen.
        was_running: bool,
        /// MAC of `net0` as it was seen.
        seen_net0: Option<MacAddr>,
    },
    /// Destroy it.
    Remove {
        /// Whether it ran when it was seen.
        was_running: bool,
        /// MAC of `net0` as it was seen.
        seen_net0: Option<MacAddr>,
        /// Its host name as it was seen; not checked where none was seen.
        #[serde(default)]
        seen_hostname: Option<Hostname>,
    },
    /// It is gone already: only its leases are given back.
    Forget,
}

impl ActionKind {
    /// The verb a person reads.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Update { .. } => "update",
            Self::Replace { .. } => "replace",
            Self::Remove { .. } => "remove",
            Self::Forget => "forget",
        }
    }

    /// The guest as it shall be, unless it goes.
    pub fn guest(&self) -> Option<&ResolvedGuest> {
        match self {
            Self::Create { guest } | Self::Update { guest, .. } | Self::Replace { guest, .. } => Some(guest),
            Self::Remove { .. } | Self::Forget => None,
        }
    }
}

/// One field that changes, in Proxmox's notation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field.
    pub key: FieldKey,
    /// Its value when it was seen; empty when not set.
    pub from: String,
    /// Its value afterwards; empty when it is taken away.
    pub to: String,
}

/// What an update does to the power state of its guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consequence {
    /// Nothing.
    Keep,
    /// It is started.
    Start,
    /// It is shut down.
    Stop,
    /// It is shut down and started, because a change needs it.
    Restart,
    /// Nothing now: some changes wait for its next start.
    NextStart,
}

/// What a plan tells beside its actions: why nodes were chosen, what waits, what was declined, what is left alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[must_use = "an unread report is not actionable"]
pub struct PlanReport {
    /// Why each new guest goes where it goes.
    pub placements: Vec<Placement>,
    /// Everything else, one line each.
    pub notes: Vec<Note>,
    /// Guests that need nothing.
    pub unchanged: Vec<GuestName>,
    /// Guests whose configuration was not read, so that only what the resource list shows was compared.
    pub shallow: u32,
}

impl PlanReport {
    /// Whether a person must act before the plan can reach its goal.
    pub fn is_blocked(&self) -> bool {
        self.notes.iter().any(|note| note.level == NoteLevel::Blocked)
    }
}

/// Why a guest was put on its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The guest.
    pub guest: GuestName,
    /// The node chosen.
    pub node: NodeName,
    /// Why, in a sentence.
    pub why: String,
    /// Nodes that could not take it, and why.
    pub refused: BTreeMap<NodeName, String>,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteLevel {
    /// Good to know.
    Info,
    /// Something was left alone or could not be read.
    Warning,
    /// Something the stack asks for cannot be done until a person acts.
    Blocked,
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How much it matters.
    pub level: NoteLevel,
    /// The guest it is about, if about one.
    pub guest: Option<GuestName>,
    /// What is so.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}
