//! Why an agent cannot run or is not connected.

use crate::authority::AuthorityError;
use crate::frame::FrameError;

/// Why an agent ended, or a connection of it.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// No server was named.
    #[error("name at least one server with --server")]
    NoServer,
    /// It has not joined and has no token.
    #[error(
        "this agent has not joined; make a token with `rapidlaunch agent token --site SITE --node NODE` and give it with --token-file"
    )]
    NoToken,
    /// It was told to end before it had joined.
    #[error("ended before it had joined")]
    Ended,
    /// The server does not take it.
    #[error("the server refuses this agent: {0}")]
    Refused(String),
    /// Its folder.
    #[error("the agent's folder cannot be used")]
    Files(#[from] std::io::Error),
    /// A certificate.
    #[error("the agent's certificate cannot be used")]
    Certificate(#[from] AuthorityError),
    /// The server cannot be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The connection was lost.
    #[error("the connection to the server was lost")]
    Lost,
    /// The server does not say anything any more.
    #[error("the server has gone silent")]
    Silent,
    /// What the server says cannot be read.
    #[error("{0}")]
    Frame(String),
}

impl From<FrameError> for NodeError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(_) => Self::Lost,
            other => Self::Frame(other.to_string()),
        }
    }
}

impl NodeError {
    /// The whole chain on one line, for the log.
    pub(crate) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        text
    }
}
