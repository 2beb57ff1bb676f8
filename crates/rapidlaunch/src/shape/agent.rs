//! Agents of nodes.

use rl_store::AgentRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The agent of a node.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct AgentShape {
    /// The site.
    pub(crate) site: String,
    /// The node.
    pub(crate) node: String,
    /// `connected`, `away` or `revoked`.
    pub(crate) state: String,
    /// Whether it is connected to this server.
    pub(crate) connected: bool,
    /// The release it runs.
    pub(crate) version: String,
    /// When it joined.
    pub(crate) joined_at_ms: u64,
    /// When it was last heard of.
    pub(crate) last_seen_ms: Option<u64>,
    /// When its certificate ends; it renews it in time.
    pub(crate) certificate_ends_ms: u64,
    /// For whom values to it are encrypted.
    pub(crate) recipient: String,
}

impl AgentShape {
    /// The shape of a record with its state in a word.
    pub(crate) fn of((agent, state): (AgentRecord, &'static str)) -> Self {
        Self {
            site: agent.site.to_string(),
            node: agent.node.to_string(),
            state: state.to_owned(),
            connected: state == "connected",
            version: agent.release,
            joined_at_ms: agent.joined_at.0,
            last_seen_ms: agent.seen_at.map(|at| at.0),
            certificate_ends_ms: agent.ends_at.0,
            recipient: agent.recipient,
        }
    }
}

/// A join token. It is neither printed by `Debug` nor logged.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct JoinTokenShape {
    /// The site.
    pub(crate) site: String,
    /// The node.
    pub(crate) node: String,
    /// Hours until it ends.
    pub(crate) hours: u32,
    /// The token, good once. It is shown once: null where the same request is answered again.
    pub(crate) token: Option<String>,
    /// What to look at although it is no mistake: the site is not known yet.
    pub(crate) note: Option<String>,
}
