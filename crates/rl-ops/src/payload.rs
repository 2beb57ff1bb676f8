//! What jobs carry: everything their steps need, so that nothing is decided while they run.

use rl_model::{
    Action, ActionKind, FieldKey, GuestId, MacAddr, NodeName, ResolvedGuest, SiteName, Stamp, Vmid, VmidRange,
};
use serde::{Deserialize, Serialize};

/// Body of every job made from a plan's action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobPayload {
    /// What is done.
    pub action: Action,
    /// VMIDs of the site, for the case that a stranger holds the leased one.
    pub vmids: VmidRange,
    /// Whether other guests wait for this one to be proven.
    pub awaited: bool,
}

/// Body of a job that acts on one guest by a person's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct GuestVerbPayload {
    /// The guest.
    pub target: Target,
    /// What is done.
    pub verb: GuestVerb,
}

/// What a person can do to one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum GuestVerb {
    /// Start it.
    Start,
    /// Shut it down.
    Stop,
    /// Shut it down and start it.
    Restart,
    /// Make a snapshot.
    SnapshotCreate {
        /// Its name.
        name: String,
    },
    /// Remove a snapshot.
    SnapshotRemove {
        /// Its name.
        name: String,
    },
    /// Return to a snapshot.
    SnapshotRollback {
        /// Its name.
        name: String,
    },
}

/// A guest as a step must find it before it may touch it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The stamp it must bear.
    pub stamp: Stamp,
    /// Its site.
    pub site: SiteName,
    /// The node it was last seen on.
    pub node: NodeName,
    /// The VMID it was last known by; the lease in the store is what counts.
    pub vmid: Vmid,
    /// Host names it may bear; any when empty.
    pub hostnames: Vec<String>,
    /// MACs its `net0` may have; any when empty.
    pub net0: Vec<MacAddr>,
}

impl Target {
    /// The guest of an action.
    pub fn of(action: &Action) -> Self {
        let mut hostnames = Vec::new();
        let mut net0 = Vec::new();
        if let Some(guest) = action.kind.guest() {
            hostnames.push(guest.hostname.to_string());
            net0.extend(guest.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac));
        }
        match &action.kind {
            ActionKind::Update { changes, seen_net0, .. } | ActionKind::Replace { changes, seen_net0, .. } => {
                hostnames.extend(changes.iter().filter(|c| c.key == FieldKey::Hostname).map(|c| c.from.clone()));
                net0.extend(*seen_net0);
            }
            ActionKind::Remove { seen_net0, seen_hostname, .. } => {
                net0.extend(*seen_net0);
                hostnames.extend(seen_hostname.iter().map(ToString::to_string));
            }
            ActionKind::Create { .. } | ActionKind::Forget => {}
        }
        Self {
            stamp: action.stamp.clone(),
            site: action.site.clone(),
            node: action.node.clone(),
            vmid: action.vmid,
            hostnames,
            net0,
        }
    }

    /// A guest as it was last applied.
    pub fn applied(stamp: Stamp, guest: &ResolvedGuest) -> Self {
        Self {
            stamp,
            site: guest.site.clone(),
            node: guest.node.clone(),
            vmid: guest.vmid,
            hostnames: vec![guest.hostname.to_string()],
            net0: guest.nics.iter().find(|nic| nic.slot.number() == 0).map(|nic| nic.mac).into_iter().collect(),
        }
    }

    /// Its identity.
    pub fn id(&self) -> &GuestId {
        &self.stamp.guest
    }
}
