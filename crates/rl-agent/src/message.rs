//! Messages between agent and server. Unknown ones are left aside, so that releases mix; what must be understood is settled by
//! the protocol's number in the greeting.

use rl_model::{NodeName, SiteName};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Refusal};
use crate::courier::{CallError, Post};
use crate::work::Order;

/// Oldest and newest protocol this release speaks.
pub(crate) const PROTOCOL: (u32, u32) = (1, 1);

/// What an agent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum FromAgent {
    /// First message of an agent that has a certificate.
    Hello { oldest: u32, newest: u32, release: String },
    /// First and only message of one that has none yet.
    Join { newest: u32, id: String, secret: String, public_key: String, recipient: String, release: String },
    /// Is this order still wanted? Asked before what cannot be done twice.
    May { id: u64 },
    /// An order is carried out; its output was sent before.
    Done { id: u64, answer: Answer },
    /// An order is not carried out.
    Refused { id: u64, refusal: Refusal },
    /// A sign of life, answered.
    Pong { n: u64 },
    /// Asks for a new certificate for this key.
    Renew { public_key: String },
    /// Something a later release says.
    #[serde(other)]
    Unknown,
}

/// What a server says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum ToAgent {
    /// The agent is known and may wait for orders.
    Welcome { protocol: u32, release: String, heartbeat_ms: u64 },
    /// The agent has joined.
    Joined { site: SiteName, node: NodeName, certificate: String, authority: String, ends_at_ms: u64 },
    /// It may not join, or not come in.
    Refuse { why: String },
    /// An order; `input_bytes` of input follow. Not parsed any further before it is known who is meant.
    Order { id: u64, order: serde_json::Value, input_bytes: u64 },
    /// Answer to `May`.
    Go { id: u64, yes: bool },
    /// A sign of life, to be answered.
    Ping { n: u64 },
    /// A new certificate, to be used from the next connection on.
    Certificate { certificate: String, ends_at_ms: u64 },
    /// Something a later release says.
    #[serde(other)]
    Unknown,
}

/// What another process of the same machine asks of the one that holds the agents.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// Bring an order.
    Call { post: Post, order: Box<Order>, input_bytes: u64, wait_ms: u64, limit_ms: u64 },
    /// What values for an agent are encrypted to.
    Recipient { post: Post },
    /// A join token.
    Token { post: Post, hours: u32, actor: String },
    /// Revoke an agent; `by` is who asks, where that is to be written down there.
    Revoke {
        post: Post,
        #[serde(default)]
        by: Option<String>,
    },
    /// Who is connected.
    Connected,
}

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "kebab-case")]
pub(crate) enum Tell {
    /// An order's answer.
    Answer { answer: Answer },
    /// Why there is none.
    Error { error: CallError },
    /// A recipient or a token.
    Text { text: String },
    /// Whether there was something to revoke.
    Was { was: bool },
    /// Those who are connected.
    Posts { posts: Vec<Post> },
    /// Something of this side failed.
    Failed { why: String },
}
