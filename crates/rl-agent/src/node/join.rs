//! Becoming somebody: a token is shown once, a certificate comes back.

use std::time::Duration;

use rand::Rng;

use super::dial::{Server, dial};
use super::identity::Identity;
use super::identity_error::NodeError;
use super::{Config, PAUSE, now_ms};
use crate::authority;
use crate::courier::Post;
use crate::frame::{self, Frame};
use crate::message::{FromAgent, PROTOCOL, ToAgent};
use crate::seal::{SealKey, hex};
use crate::token::JoinToken;

/// Longest wait for a server's answer to a join.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Joins at whichever server answers first. A server that cannot be reached is tried again; one that refuses ends it.
pub(super) async fn join(config: &Config, token: &JoinToken) -> Result<Identity, NodeError> {
    let mut pause = PAUSE.0;
    loop {
        for server in &config.servers {
            match try_join(config, token, server).await {
                Ok(identity) => return Ok(identity),
                Err(refused @ (NodeError::Refused(_) | NodeError::Files(_))) => return Err(refused),
                Err(error) => tracing::warn!(%server, why = error.told(), "the agent cannot join yet"),
            }
        }
        tokio::time::sleep(pause.mul_f64(crate::random().random_range(0.5..1.0))).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn try_join(config: &Config, token: &JoinToken, server: &Server) -> Result<Identity, NodeError> {
    let mut stream = dial(server, authority::joining(&token.authority)?).await?;
    let (key, public_key) = authority::new_key()?;
    let seal = SealKey::generate();
    let join = FromAgent::Join {
        newest: PROTOCOL.1,
        id: token.id.clone(),
        secret: token.secret().to_owned(),
        public_key: hex(&public_key),
        recipient: seal.recipient(),
        release: config.release.clone(),
    };
    frame::write(&mut stream, &Frame::message(&join)).await?;
    let answer = tokio::time::timeout(ANSWER_LIMIT, frame::read_message(&mut stream)).await;
    let answer: Option<ToAgent> = answer.map_err(|_| NodeError::Silent)??;
    match answer {
        Some(ToAgent::Joined { site, node, certificate, authority, ends_at_ms }) => {
            let identity = Identity {
                post: Post { site, node },
                authority,
                certificate,
                key,
                seal: seal.secret().to_string(),
                made_at_ms: now_ms(),
                ends_at_ms,
            };
            identity.write(&config.dir)?;
            Ok(identity)
        }
        Some(ToAgent::Refuse { why }) => Err(NodeError::Refused(why)),
        Some(_) => Err(NodeError::Frame("the server answered the join with something else".to_owned())),
        None => Err(NodeError::Lost),
    }
}
