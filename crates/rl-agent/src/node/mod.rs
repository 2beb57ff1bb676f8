//! The agent: connects outwards to every server it was told of, does their orders, and stays who it is.

mod book;
mod config;
mod desk;
mod dial;
mod fileswork;
mod identity;
mod join;
mod link;
pub mod pct;
mod scripts;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rand::Rng;
use tokio_util::sync::CancellationToken;

pub use dial::{Server, ServerError};
pub use identity_error::NodeError;

use crate::courier::Post;
use crate::token::JoinToken;
use desk::Desk;
use identity::Identity;
use pct::Pct;

mod identity_error;

/// First and longest pause between two tries to reach a server; doubled from try to try, and shortened by chance, so that the
/// agents of a data centre do not come back in step.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));

/// A connection that held for this long is tried again at once: commands serve agents for the seconds they last. A shorter one counts
/// as a failure, so that a server that lets everybody in and drops them is not asked without end.
const HELD: Duration = Duration::from_secs(1);

/// What an agent is told at its start.
pub struct Config {
    /// The servers; it is connected to all of them, so that whichever has work reaches it.
    pub servers: Vec<Server>,
    /// Its folder: identity and book.
    pub dir: PathBuf,
    /// With what it joins, where it has not joined before.
    pub token: Option<JoinToken>,
    /// What it can do on its node.
    pub pct: Arc<dyn Pct>,
    /// Its release, for people.
    pub release: String,
    /// Told whenever a server has taken it in, by that server's name.
    pub connected: Option<tokio::sync::mpsc::UnboundedSender<String>>,
}

/// What all links share.
pub(crate) struct Node {
    pub(crate) desk: Arc<Desk>,
    pub(crate) identity: Mutex<Identity>,
    pub(crate) dir: PathBuf,
    pub(crate) release: String,
    pub(crate) connected: Option<tokio::sync::mpsc::UnboundedSender<String>>,
}

impl Node {
    pub(crate) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn renewed(&self, identity: Identity) -> std::io::Result<()> {
        identity.write(&self.dir)?;
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        Ok(())
    }
}

/// Runs until `shutdown`. Ends by itself only when it cannot become anybody: no identity, and no token that is taken.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<Post, NodeError> {
    if config.servers.is_empty() {
        return Err(NodeError::NoServer);
    }
    let identity = match Identity::read(&config.dir)? {
        Some(identity) => identity,
        None => {
            let token = config.token.as_ref().ok_or(NodeError::NoToken)?;
            tokio::select! {
                joined = join::join(&config, token) => joined?,
                () = shutdown.cancelled() => return Err(NodeError::Ended),
            }
        }
    };
    let post = identity.post.clone();
    let desk = Arc::new(Desk::open(&config.dir, Arc::clone(&config.pct), identity.seal_key()?)?);
    let node = Arc::new(Node {
        desk,
        identity: Mutex::new(identity),
        dir: config.dir,
        release: config.release,
        connected: config.connected,
    });
    let mut links = tokio::task::JoinSet::new();
    for server in config.servers {
        links.spawn(stay_linked(Arc::clone(&node), server, shutdown.clone()));
    }
    while links.join_next().await.is_some() {}
    Ok(post)
}

async fn stay_linked(node: Arc<Node>, server: Server, shutdown: CancellationToken) {
    let mut pause = PAUSE.0;
    loop {
        let mut welcomed = None;
        tokio::select! {
            ended = link::serve(&node, &server, &mut welcomed) => {
                let why = ended.err().map_or_else(|| "the server closed it".to_owned(), |error| error.told());
                tracing::warn!(%server, why, "the connection ended");
            }
            () = shutdown.cancelled() => return,
        }
        let held = welcomed.is_some_and(|at: tokio::time::Instant| at.elapsed() >= HELD);
        pause = if held { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        let wait = pause.mul_f64(crate::random().random_range(0.5..1.0));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
