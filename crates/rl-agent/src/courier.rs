//! What the rest of RapidLaunch calls: bring an order to the agent of a node and come back with the answer.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rl_model::{NodeName, SiteName};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::answer::{Answer, Refusal};
use crate::work::{Order, OrderError};

/// Where an agent stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Post {
    /// The site.
    pub site: SiteName,
    /// The node of the site.
    pub node: NodeName,
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.site, self.node)
    }
}

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or the content of a file.
    Out,
    /// Standard error.
    Err,
}

/// A piece of output.
pub type Output = (Stream, Vec<u8>);

/// What is given beside an order.
#[derive(Default)]
pub struct Given {
    /// Content of the file to write, or a command's standard input. Kept for this one call and never written down.
    pub input: zeroize::Zeroizing<Vec<u8>>,
    /// Where output goes as it comes; its amount is limited by the order. Without one it is dropped.
    pub output: Option<mpsc::UnboundedSender<Output>>,
}

impl Given {
    /// Input alone.
    pub fn input(bytes: impl Into<Vec<u8>>) -> Self {
        Self { input: zeroize::Zeroizing::new(bytes.into()), output: None }
    }

    /// Output alone, and where it can be taken.
    pub fn listening() -> (Self, mpsc::UnboundedReceiver<Output>) {
        let (output, taken) = mpsc::unbounded_channel();
        (Self { output: Some(output), ..Self::default() }, taken)
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("input_bytes", &self.input.len()).finish_non_exhaustive()
    }
}

/// Brings orders to agents.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Has an order carried out by the agent of a node. Waits up to `wait` for the agent to be connected, and then up to
    /// `limit` for its answer.
    async fn call(
        &self,
        post: &Post,
        order: Order,
        given: Given,
        wait: Duration,
        limit: Duration,
    ) -> Result<Answer, CallError>;

    /// The age recipient (`age1…`) that values for this agent are encrypted to; known from its join, also while it is away.
    async fn recipient(&self, post: &Post) -> Result<String, CallError>;
}

/// Why an order has no answer.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "kebab-case")]
pub enum CallError {
    /// No agent of that node is connected. Nothing was done.
    #[error("waiting for the agent of {post}, {}", seen(*.last_seen_ms))]
    Away {
        /// The node.
        post: Post,
        /// When it was connected last, in milliseconds since 1970; `None` when never.
        last_seen_ms: Option<u64>,
    },
    /// No agent has ever joined for that node, or it was revoked. Nothing was done.
    #[error("node {post} has no agent")]
    NoAgent {
        /// The node.
        post: Post,
    },
    /// The agent did not do it, or it went wrong there.
    #[error("the agent of {post} answered: {refusal}")]
    Refused {
        /// The node.
        post: Post,
        /// Why.
        refusal: Refusal,
    },
    /// The connection was lost, or the time was up, before the answer came. Whether it was done is not known: ask again under
    /// the same name.
    #[error("the answer of the agent of {post} did not come: {how}")]
    Lost {
        /// The node.
        post: Post,
        /// How.
        how: String,
    },
    /// The order breaks a rule. Nothing was sent.
    #[error("the order was not sent: {what}")]
    Malformed {
        /// Which rule.
        what: String,
    },
    /// The way to the agents is closed: the process that holds it cannot be reached.
    #[error("agents cannot be reached: {how}")]
    NoWay {
        /// Why.
        how: String,
    },
}

impl CallError {
    /// Whether the same order may be asked again later without a person doing something.
    pub fn passes(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Lost { .. } | Self::NoWay { .. } => true,
            Self::Refused { refusal, .. } => refusal.passes(),
            Self::NoAgent { .. } | Self::Malformed { .. } => false,
        }
    }
}

impl From<OrderError> for CallError {
    fn from(error: OrderError) -> Self {
        Self::Malformed { what: error.to_string() }
    }
}

/// When an agent was seen, for a message.
fn seen(last_seen_ms: Option<u64>) -> String {
    let at =
        last_seen_ms.and_then(|ms| i64::try_from(ms).ok()).and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map_or_else(|| "never seen".to_owned(), |at| format!("not seen since {at:.0}"))
}

/// Encrypts a value to the agent of the node a guest lies on, and has that agent put it into the guest. Nobody between can
/// read it, and the seal names guest and path, so that it cannot be used for another. Answers the digest read back inside the
/// guest.
#[allow(clippy::too_many_arguments)]
pub async fn deliver_sealed(
    courier: &dyn Courier,
    post: &Post,
    mut order: Order,
    file: crate::work::DeliverFile,
    value: &[u8],
    wait: Duration,
    limit: Duration,
) -> Result<String, CallError> {
    let recipient = courier.recipient(post).await?;
    let sealed = crate::seal::seal(&recipient, &order.guest.stamp.guest, &file.path, value)
        .map_err(|error| CallError::NoWay { how: error.to_string() })?;
    order.work = crate::work::Work::Deliver(crate::work::DeliverFile { sha256: None, ..file });
    match courier.call(post, order, Given::input(sealed), wait, limit).await? {
        Answer::Written { sha256 } => Ok(sha256),
        other => Err(CallError::Lost { post: post.clone(), how: format!("it is of another kind: {other:?}") }),
    }
}
