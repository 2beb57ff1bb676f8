//! The side that agents connect to.

mod agents;
mod door;
mod relay;
mod rolls;
mod session;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use crate::authority::{Authority, AuthorityError, Issued};
pub use crate::token::{JoinToken, NoToken};
pub use agents::Agents;
pub use door::{Door, open_door};
pub use relay::{Relay, RelayError};
pub use rolls::{JoinRefused, KnownAgent, NewAgent, Rolls, RollsError};

/// Longest time a handshake may take: a stranger cannot hold a place for longer.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Most connections at a time, agents and those that only knock.
const CONNECTIONS_MAX: usize = 4_096;
/// The server's own certificate is made anew this often; it lasts for a month.
const CERTIFICATE_DAY: Duration = Duration::from_secs(24 * 3600);
/// Pause after a connection could not be accepted: the process has no room for another.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long an agent's certificate lasts where nobody says otherwise.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often both sides give a sign of life; after three that did not come the other side is gone.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// How agents are served.
#[derive(Clone)]
pub struct Config {
    /// Who vouches.
    pub authority: Arc<Authority>,
    /// Who is known.
    pub rolls: Arc<dyn Rolls>,
    /// How often signs of life are given.
    pub heartbeat: Duration,
    /// How long agents' certificates last.
    pub certificate_life: Duration,
    /// The server's release, for people.
    pub release: String,
}

/// Listens for agents.
pub struct Listening {
    agents: Arc<Agents>,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl Listening {
    /// The agents that are connected.
    pub fn agents(&self) -> Arc<Agents> {
        Arc::clone(&self.agents)
    }

    /// The address, with the port that was free where none was named.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Begins to listen.
pub async fn listen(address: SocketAddr, config: Config) -> Result<Listening, AuthorityError> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let agents = Arc::new(Agents::new(Arc::clone(&config.rolls)));
    let shutdown = CancellationToken::new();
    let tls = config.authority.server()?;
    tokio::spawn({
        let (agents, shutdown) = (Arc::clone(&agents), shutdown.clone());
        async move {
            tokio::select! {
                () = accept(listener, tls, config, agents) => {}
                () = shutdown.cancelled() => {}
            }
        }
    });
    Ok(Listening { agents, address, shutdown })
}

async fn accept(listener: TcpListener, mut tls: Arc<rustls::ServerConfig>, config: Config, agents: Arc<Agents>) {
    let mut made = Instant::now();
    let mut sessions = JoinSet::new();
    loop {
        let accepted = listener.accept().await;
        while sessions.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) if sessions.len() < CONNECTIONS_MAX => stream,
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(%error, "an agent's connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if made.elapsed() > CERTIFICATE_DAY {
            match config.authority.server() {
                Ok(renewed) => (tls, made) = (renewed, Instant::now()),
                Err(error) => tracing::error!(%error, "the certificate for agents cannot be renewed"),
            }
        }
        let (acceptor, config, agents) = (TlsAcceptor::from(Arc::clone(&tls)), config.clone(), Arc::clone(&agents));
        sessions.spawn(async move {
            let _ = stream.set_nodelay(true);
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => session::serve(stream, &config, &agents).await,
                Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                Err(_) => tracing::debug!("a handshake took too long"),
            }
        });
    }
}

/// Where the door of an installation's agents is, in its folder.
pub fn door_path(dir: &Path) -> std::path::PathBuf {
    dir.join("door")
}
