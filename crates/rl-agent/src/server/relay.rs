//! The way to agents that are connected to another process of this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::UnixStream;

use crate::answer::Answer;
use crate::courier::{CallError, Courier, Given, Post, Stream};
use crate::frame::{self, CHUNK, Frame, FrameError};
use crate::message::{Ask, Tell};
use crate::work::Order;

/// Time for the other process beside what the agent may take.
const GRACE: Duration = Duration::from_secs(10);

/// Speaks to the process that holds the agents, through its door.
#[derive(Debug, Clone)]
pub struct Relay {
    path: PathBuf,
}

/// Why the other process did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RelayError {
    /// It does not listen.
    #[error("no process of this installation serves agents now: {0}")]
    Closed(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
}

impl From<FrameError> for RelayError {
    fn from(error: FrameError) -> Self {
        Self::Closed(error.to_string())
    }
}

impl Relay {
    /// The door in an installation's folder, if a process listens there.
    pub async fn find(dir: &Path) -> Option<Self> {
        let path = super::door_path(dir);
        UnixStream::connect(&path).await.ok().map(|_| Self { path })
    }

    async fn open(&self) -> Result<UnixStream, RelayError> {
        UnixStream::connect(&self.path).await.map_err(|error| RelayError::Closed(error.to_string()))
    }

    async fn ask(&self, ask: &Ask) -> Result<Tell, RelayError> {
        let exchange = async {
            let mut stream = self.open().await?;
            frame::write(&mut stream, &Frame::message(ask)).await?;
            let tell: Option<Tell> = frame::read_message(&mut stream).await?;
            tell.ok_or_else(|| RelayError::Closed("it went away".to_owned()))
        };
        match tokio::time::timeout(GRACE, exchange).await {
            Ok(Ok(Tell::Failed { why })) => Err(RelayError::Failed(why)),
            Ok(told) => told,
            Err(_) => Err(RelayError::Closed("it does not answer".to_owned())),
        }
    }

    /// A new join token.
    pub async fn token(&self, post: &Post, hours: u32, actor: &str) -> Result<String, RelayError> {
        match self.ask(&Ask::Token { post: post.clone(), hours, actor: actor.to_owned() }).await? {
            Tell::Text { text } => Ok(text),
            other => Err(strange(&other)),
        }
    }

    /// Revokes an agent and ends its connection; answers whether there was one. `by` is who does it, where the caller cannot write
    /// that down.
    pub async fn revoke(&self, post: &Post, by: Option<&str>) -> Result<bool, RelayError> {
        match self.ask(&Ask::Revoke { post: post.clone(), by: by.map(str::to_owned) }).await? {
            Tell::Was { was } => Ok(was),
            other => Err(strange(&other)),
        }
    }

    /// The nodes whose agents are connected.
    pub async fn connected(&self) -> Result<Vec<Post>, RelayError> {
        match self.ask(&Ask::Connected).await? {
            Tell::Posts { posts } => Ok(posts),
            other => Err(strange(&other)),
        }
    }

    async fn bring(&self, ask: &Ask, given: Given) -> Result<Tell, RelayError> {
        let mut stream = self.open().await?;
        frame::write(&mut stream, &Frame::message(ask)).await?;
        for chunk in given.input.chunks(CHUNK) {
            frame::write(&mut stream, &Frame::Piece { id: 0, stream: 0, bytes: chunk.to_vec() }).await?;
        }
        loop {
            match frame::read(&mut stream).await? {
                Some(Frame::Piece { stream, bytes, .. }) => {
                    let stream = if stream == 0 { Stream::Out } else { Stream::Err };
                    if let Some(output) = &given.output {
                        let _ = output.send((stream, bytes));
                    }
                }
                Some(Frame::Json(text)) => {
                    return serde_json::from_slice(&text).map_err(|error| RelayError::Failed(error.to_string()));
                }
                None => return Err(RelayError::Closed("it went away".to_owned())),
            }
        }
    }
}

fn strange(tell: &Tell) -> RelayError {
    RelayError::Failed(format!("the other process answered {tell:?}"))
}

#[async_trait]
impl Courier for Relay {
    async fn call(
        &self,
        post: &Post,
        order: Order,
        given: Given,
        wait: Duration,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        order.check()?;
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let ask = Ask::Call {
            post: post.clone(),
            order: Box::new(order),
            input_bytes: given.input.len() as u64,
            wait_ms: ms(wait),
            limit_ms: ms(limit),
        };
        let lost = |how: String| CallError::Lost { post: post.clone(), how };
        match tokio::time::timeout(wait + limit + GRACE, self.bring(&ask, given)).await {
            Ok(Ok(Tell::Answer { answer })) => Ok(answer),
            Ok(Ok(Tell::Error { error })) => Err(error),
            Ok(Ok(other)) => Err(lost(strange(&other).to_string())),
            Ok(Err(error)) => Err(lost(error.to_string())),
            Err(_) => Err(lost("the process that holds the agents does not answer".to_owned())),
        }
    }

    async fn recipient(&self, post: &Post) -> Result<String, CallError> {
        match self.ask(&Ask::Recipient { post: post.clone() }).await {
            Ok(Tell::Text { text }) => Ok(text),
            Ok(Tell::Error { error }) => Err(error),
            Ok(other) => Err(CallError::NoWay { how: strange(&other).to_string() }),
            Err(error) => Err(CallError::NoWay { how: error.to_string() }),
        }
    }
}
