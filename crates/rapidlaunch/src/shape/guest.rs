//! Guests.

use rl_model::firewall::RuleText;
use rl_model::{ObservedGuest, ResolvedGuest};
use rl_store::GuestRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A guest.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct GuestShape {
    /// Its identity, which its stamp bears.
    pub(crate) id: String,
    /// Its stack.
    pub(crate) stack: String,
    /// Its name there.
    pub(crate) name: String,
    /// Its site.
    pub(crate) site: String,
    /// The node it lies on.
    pub(crate) node: String,
    /// Its VMID.
    pub(crate) vmid: u32,
    /// `running`, `stopped`, `reserved` (an operation is to make it), `gone`, or `unknown` where the site cannot be read.
    pub(crate) state: String,
    /// The addresses that were leased to it.
    pub(crate) addresses: Vec<String>,
    /// Whether the last look for drift found that it is no longer as it was applied.
    #[serde(default)]
    pub(crate) drifted: bool,
}

impl GuestShape {
    /// The shape of a record, with what was seen of it.
    pub(crate) fn of(record: &GuestRecord, state: &str, node: String, addresses: Vec<String>) -> Self {
        Self {
            id: record.id.to_string(),
            stack: record.stack.to_string(),
            name: record.name.to_string(),
            site: record.site.to_string(),
            node,
            vmid: record.vmid.into(),
            state: state.to_owned(),
            addresses,
            drifted: false,
        }
    }
}

/// A guest with its configuration.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct GuestWhole {
    /// The guest.
    #[serde(flatten)]
    pub(crate) guest: GuestShape,
    /// As it was applied last.
    #[schema(value_type = Option<Object>)]
    pub(crate) applied: Option<ResolvedGuest>,
    /// As the site shows it.
    #[schema(value_type = Option<Object>)]
    pub(crate) observed: Option<ObservedGuest>,
}

/// A guest with all that its site tells of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct GuestDetails {
    /// The guest.
    #[serde(flatten)]
    pub(crate) guest: GuestWhole,
    /// Its firewall, as the site evaluates it; null where it could not be read.
    pub(crate) firewall: Option<FirewallShape>,
    /// What the node did with it of late, newest first.
    pub(crate) tasks: Vec<TaskShape>,
    /// What was no longer as it was applied at the last look for drift.
    #[schema(value_type = Vec<Object>)]
    pub(crate) drift: Vec<rl_model::Drift>,
    /// Why something is missing.
    pub(crate) unread: Vec<String>,
}

/// The firewall of a guest.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FirewallShape {
    /// The switches (`datacenter`, `enable`, one for each NIC), the policies, and what passes by itself.
    #[schema(value_type = Object)]
    pub(crate) options: serde_json::Map<String, serde_json::Value>,
    /// The rules: those of the guest, then those of each group that they call.
    pub(crate) levels: Vec<FirewallLevel>,
}

/// Rules that stand in one place.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct FirewallLevel {
    /// `guest`, or `group NAME`.
    pub(crate) level: String,
    /// The rules in their order, as Proxmox lists them.
    #[schema(value_type = Vec<Object>)]
    pub(crate) rules: Vec<RuleText>,
}

/// A task of a node.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct TaskShape {
    /// Its id.
    pub(crate) upid: String,
    /// Its type, such as `vzstart`.
    pub(crate) kind: String,
    /// How it ended: `OK` or an error; null while it runs.
    pub(crate) status: Option<String>,
    /// Who started it.
    pub(crate) user: Option<String>,
    /// When, by the node's clock.
    pub(crate) started_at_ms: u64,
    /// When it ended.
    pub(crate) finished_at_ms: Option<u64>,
}

/// The snapshots of a guest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Snapshots {
    /// Their names.
    pub(crate) items: Vec<String>,
}
