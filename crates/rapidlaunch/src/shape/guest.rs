//! Guests.

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
    /// `running`, `stopped`, `gone`, or `unknown` where the site cannot be read.
    pub(crate) state: String,
    /// The addresses that were leased to it.
    pub(crate) addresses: Vec<String>,
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
