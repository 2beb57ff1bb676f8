//! Who may join and who has joined: kept by whoever keeps the store.

use async_trait::async_trait;

use crate::courier::Post;

/// An agent that has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAgent {
    /// Site and node.
    pub post: Post,
    /// What values for it are encrypted to.
    pub recipient: String,
    /// When it was connected last, in milliseconds since 1970.
    pub last_seen_ms: Option<u64>,
}

/// An agent that joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgent {
    /// Site and node, as the token says.
    pub post: Post,
    /// SHA-256 of its certificate.
    pub fingerprint: String,
    /// What values for it are encrypted to.
    pub recipient: String,
    /// Its release.
    pub release: String,
    /// When its certificate ends, in milliseconds since 1970.
    pub ends_at_ms: u64,
}

/// Why an agent may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// No such token.
    #[error("the join token is not known here; make one with `rapidlaunch agent token`")]
    NoToken,
    /// It was used.
    #[error("the join token was used before; make a new one with `rapidlaunch agent token`")]
    Used,
    /// It has ended.
    #[error("the join token has ended; make a new one with `rapidlaunch agent token`")]
    Expired,
}

/// The rolls cannot be read or written now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the store cannot be used: {0}")]
pub struct RollsError(pub String);

/// The rolls.
#[async_trait]
pub trait Rolls: Send + Sync {
    /// The node a token is for, used or not.
    async fn token_post(&self, id: &str) -> Result<Option<Post>, RollsError>;
    /// Uses a token up and takes the agent in, in one step.
    async fn join(&self, id: &str, digest: &str, agent: NewAgent) -> Result<Result<(), JoinRefused>, RollsError>;
    /// The agent with this certificate, unless it was revoked.
    async fn identify(&self, fingerprint: &str) -> Result<Option<KnownAgent>, RollsError>;
    /// Notes that an agent is connected; answers whether it still may be.
    async fn seen(&self, fingerprint: &str, release: &str) -> Result<bool, RollsError>;
    /// Notes the certificate that an agent uses from its next connection on.
    async fn renew(&self, fingerprint: &str, next: &str, ends_at_ms: u64) -> Result<bool, RollsError>;
    /// The agent of a node, unless there is none or it was revoked.
    async fn known(&self, post: &Post) -> Result<Option<KnownAgent>, RollsError>;
    /// Keeps a new token for a node.
    async fn add_token(&self, post: &Post, id: &str, digest: &str, hours: u32, actor: &str) -> Result<(), RollsError>;
    /// Revokes the agent of a node and its unused tokens; answers whether there was one. `by` is who does it, where that is still to
    /// be written down.
    async fn revoke(&self, post: &Post, by: Option<&str>) -> Result<bool, RollsError>;
}
