//! A door for other processes of the same machine and user: a socket in the installation's folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::agents::Agents;
use crate::authority::Authority;
use crate::courier::{Courier, Given, Post, Stream};
use crate::frame::{self, CHUNK, Frame, FrameError};
use crate::message::{Ask, Tell};
use crate::token::JoinToken;
use crate::work::CONTENT_MAX;

/// Most visitors at a time: commands that people and scripts run.
const VISITORS_MAX: usize = 256;
/// Longest time a visitor may take to say what it wants.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// The door, open until it is dropped.
pub struct Door {
    serving: tokio::task::JoinHandle<()>,
    path: std::path::PathBuf,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the door in a folder that only the user may enter. A door that a process left behind when it was killed is replaced;
/// the caller holds the installation, so that there is no other.
pub fn open_door(dir: &Path, agents: Arc<Agents>, authority: Arc<Authority>) -> std::io::Result<Door> {
    crate::files::private_dir(dir)?;
    let path = super::door_path(dir);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let serving = tokio::spawn(async move {
        let mut visitors = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            while visitors.try_join_next().is_some() {}
            if visitors.len() >= VISITORS_MAX {
                continue;
            }
            let (agents, authority) = (Arc::clone(&agents), Arc::clone(&authority));
            visitors.spawn(async move {
                if let Err(error) = visit(stream, &agents, &authority).await {
                    tracing::debug!(%error, "a visitor went away");
                }
            });
        }
    });
    Ok(Door { serving, path })
}

async fn visit(mut stream: UnixStream, agents: &Arc<Agents>, authority: &Authority) -> Result<(), FrameError> {
    let first = tokio::time::timeout(ASK_LIMIT, frame::read_message(&mut stream)).await;
    let Ok(Some(ask)) = first.map_err(|_| FrameError::Malformed)? else { return Ok(()) };
    let failed = |error: &dyn std::error::Error| Tell::Failed { why: error.to_string() };
    let tell = match ask {
        call @ Ask::Call { .. } => return bring(stream, agents, call).await,
        Ask::Recipient { post } => match agents.recipient(&post).await {
            Ok(text) => Tell::Text { text },
            Err(error) => Tell::Error { error },
        },
        Ask::Token { post, hours, actor } => match new_token(agents, authority, &post, hours, &actor).await {
            Ok(token) => Tell::Text { text: token.text().to_string() },
            Err(error) => failed(&error),
        },
        Ask::Revoke { post, by } => match agents.rolls().revoke(&post, by.as_deref()).await {
            Ok(was) => {
                agents.disconnect(&post);
                Tell::Was { was }
            }
            Err(error) => failed(&error),
        },
        Ask::Connected => Tell::Posts { posts: agents.connected() },
    };
    frame::write(&mut stream, &Frame::message(&tell)).await
}

async fn new_token(
    agents: &Agents,
    authority: &Authority,
    post: &Post,
    hours: u32,
    actor: &str,
) -> Result<JoinToken, super::RollsError> {
    let token = JoinToken::generate(&authority.fingerprint(), &mut crate::random());
    agents.rolls().add_token(post, &token.id, &token.digest(), hours, actor).await?;
    Ok(token)
}

/// Brings an order for a visitor; its output goes back as it comes. A visitor that goes away takes the order back.
async fn bring(stream: UnixStream, agents: &Arc<Agents>, call: Ask) -> Result<(), FrameError> {
    let Ask::Call { post, order, input_bytes, wait_ms, limit_ms } = call else { return Ok(()) };
    if input_bytes > 2 * CONTENT_MAX {
        return Err(FrameError::Malformed);
    }
    let (mut reader, mut writer) = stream.into_split();
    let mut input = Zeroizing::new(Vec::new());
    while (input.len() as u64) < input_bytes {
        match frame::read(&mut reader).await? {
            Some(Frame::Piece { bytes, .. }) => input.extend_from_slice(&bytes),
            _ => return Err(FrameError::Malformed),
        }
    }
    let (output, mut pieces) = mpsc::unbounded_channel::<crate::courier::Output>();
    let given = Given { input, output: Some(output) };
    let (wait, limit) = (Duration::from_millis(wait_ms), Duration::from_millis(limit_ms));
    let work = agents.call(&post, *order, given, wait, limit);
    let forward = async {
        while let Some((stream, bytes)) = pieces.recv().await {
            for chunk in bytes.chunks(CHUNK) {
                let stream = u8::from(stream == Stream::Err);
                frame::write(&mut writer, &Frame::Piece { id: 0, stream, bytes: chunk.to_vec() }).await?;
            }
        }
        Ok::<_, FrameError>(writer)
    };
    let both = async { tokio::join!(work, forward) };
    tokio::select! {
        (answer, writer) = both => {
            let tell = match answer {
                Ok(answer) => Tell::Answer { answer },
                Err(error) => Tell::Error { error },
            };
            frame::write(&mut writer?, &Frame::message(&tell)).await
        }
        _ = frame::read(&mut reader) => Ok(()),
    }
}
