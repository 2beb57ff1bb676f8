//! The handle of a running site.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::dispatch::NodeService;
use crate::clock::Clock;
use crate::control::ControlService;
use crate::faults::Fault;
use crate::http::{Service, conn};
use crate::latency::{Work, typical};
use crate::ledger::Ledger;
use crate::seed::{SeedError, SeedState};
use crate::site::{Limits, RecordedAnswer, Site, SiteParts};
use crate::tls;
use crate::world::STATS_CYCLE_S;

/// A TLS handshake that takes longer than this is given up; pveproxy does the same.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The template that `apply` style benches unpack takes one heavy place each; see [`Sim::ideal_creates`].
const DEFAULT_HEAVY_PER_STORAGE: usize = 4;

/// How a site is set up.
#[derive(Debug, Clone)]
pub struct SimConfig {
    /// Where the first node listens; port 0 takes a free one. The other nodes take the following ports, or free ones.
    pub listen: SocketAddr,
    /// How many nodes, when there is no seed state.
    pub nodes: usize,
    /// What the site starts with.
    pub seed_state: Option<SeedState>,
    /// All chance comes from this number: latencies, MAC addresses, faults, the token's secret.
    pub seed: u64,
    /// What goes wrong from the start.
    pub faults: Vec<Fault>,
    /// How many times faster than on a real node the operations run.
    pub time_scale: f64,
    /// Where the control endpoint listens (plain HTTP); on a free loopback port when left out.
    pub control: Option<SocketAddr>,
    /// Ends by itself after so long without a call.
    pub exit_after_idle: Option<Duration>,
    /// Calls that run at once in a node's pvedaemon; PVE has 3.
    pub worker_limit: usize,
    /// Creates, clones and other heavy operations that a storage does at once; more wait.
    pub max_creates: usize,
    /// How long a refused login waits; PVE waits 3 s.
    pub auth_delay: Duration,
    /// How often the statistics of guests are collected, in real time; 10 s divided by the time scale when left out.
    pub stats_cycle: Option<Duration>,
    /// Keeps every answer for [`Sim::take_answers`].
    pub record_answers: bool,
    /// What the nodes' clocks show at the start, as time since 1970; the machine's time when left out.
    pub epoch: Option<Duration>,
}

impl SimConfig {
    /// A cluster of so many nodes on free loopback ports, at the speed of a real one.
    pub fn new(nodes: usize) -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            nodes,
            seed_state: None,
            seed: 1,
            faults: Vec::new(),
            time_scale: 1.0,
            control: None,
            exit_after_idle: None,
            worker_limit: 3,
            max_creates: DEFAULT_HEAVY_PER_STORAGE,
            auth_delay: Duration::from_secs(3),
            stats_cycle: None,
            record_answers: false,
            epoch: None,
        }
    }
}

/// Why a site did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The seed state contradicts itself.
    #[error("the state cannot be used")]
    Seed(#[from] SeedError),
    /// No certificate.
    #[error("TLS cannot be set up")]
    Tls(#[from] tls::TlsError),
    /// A port is taken or not allowed.
    #[error("cannot listen on {address}; choose another address or port 0")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A running site. It stops when it is dropped or shut down.
pub struct Sim {
    site: Arc<Site>,
    addresses: Vec<SocketAddr>,
    control: SocketAddr,
    ca_pem: String,
    token: Option<String>,
    stop: CancellationToken,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim")
            .field("addresses", &self.addresses)
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

impl Sim {
    /// Starts a site: builds its world, makes certificates and listens.
    pub async fn start(config: SimConfig) -> Result<Self, SimError> {
        let ground = Ground::of(&config);
        let nodes = ground.seed_state.node_names();
        let tls = tls::make(&nodes)?;
        let token = ground.seed_state.first_token();
        let site = Arc::new(ground.site(&config, &tls.fingerprint)?);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut addresses = Vec::new();
        let acceptor = TlsAcceptor::from(tls.server.clone());
        for (at, node) in nodes.iter().enumerate() {
            let listener = listen(node_address(config.listen, at)).await?;
            addresses.push(address_of(&listener, config.listen));
            let service: Arc<dyn Service> = Arc::new(NodeService { site: site.clone(), node: node.clone() });
            tasks.spawn(accept_tls(listener, acceptor.clone(), service, site.clone(), stop.clone()));
        }
        let control_at = config.control.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        let listener = listen(control_at).await?;
        let control = address_of(&listener, control_at);
        let service: Arc<dyn Service> = Arc::new(ControlService { site: site.clone() });
        tasks.spawn(accept_plain(listener, service, stop.clone()));
        if let Some(idle) = config.exit_after_idle {
            tasks.spawn(stop_when_idle(site.clone(), idle, stop.clone()));
        }
        Ok(Self { site, addresses, control, ca_pem: tls.ca_pem, token, stop, tasks: tokio::sync::Mutex::new(tasks) })
    }

    /// The first node's address: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.urls().swap_remove(0)
    }

    /// The addresses of all nodes, in the order of their names.
    pub fn urls(&self) -> Vec<String> {
        self.addresses.iter().map(|a| format!("https://{a}")).collect()
    }

    /// SHA-256 of the server certificate: `AA:BB:` and so on.
    pub fn fingerprint(&self) -> &str {
        &self.site.fingerprint
    }

    /// The certificate of the site's own authority.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A token that may do everything, or the first of the seed: `user@realm!id=secret`. Empty when the seed has none.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or("")
    }

    /// The control endpoint: `http://127.0.0.1:PORT`.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control)
    }

    /// One line of JSON that tells how to reach the site.
    pub fn ready_line(&self) -> String {
        json!({
            "url": self.url(),
            "urls": self.urls(),
            "fingerprint": self.fingerprint(),
            "token": self.token(),
            "control": self.control_url(),
        })
        .to_string()
    }

    /// What was truly done so far.
    pub fn ledger(&self) -> Ledger {
        self.site.ledger.snapshot()
    }

    /// Adds faults.
    pub fn add_faults(&self, faults: Vec<Fault>) {
        self.site.faults.add(faults);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.site.faults.clear();
    }

    /// Does what a request to the control endpoint would do, without the network.
    /// The result is the status and the JSON body.
    pub async fn control(&self, method: &str, path: &str, body: serde_json::Value) -> (u16, serde_json::Value) {
        crate::control::handle(&self.site, method, path, body).await
    }

    /// The answers since the last call; empty unless `record_answers` was set.
    pub fn take_answers(&self) -> Vec<RecordedAnswer> {
        let Some(recorded) = &self.site.recorded else { return Vec::new() };
        std::mem::take(&mut *recorded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The real time that `count` creates would take if they were issued perfectly: spread evenly over the nodes, every
    /// place of every node's storage busy from the first moment on, no time lost on the network. With `start` the last
    /// container's start is added. Assumes a storage that is local to each node.
    pub fn ideal_creates(&self, count: usize, start: bool) -> Duration {
        let places = self.addresses.len() * self.site.limits.heavy_per_storage.max(1);
        let rounds = count.div_ceil(places.max(1)) as u32;
        let tail = if start { typical(Work::Start) } else { Duration::ZERO };
        self.site.clock.real(typical(Work::Unpack) * rounds + tail)
    }

    /// Waits until the site stops by itself or is shut down.
    pub async fn wait(&self) {
        self.stop.cancelled().await;
    }

    /// Stops listening and drops all connections.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.site.drop_connections();
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
        self.site.drop_connections();
    }
}

/// What a site is built from, drawn from the seed.
pub(crate) struct Ground {
    pub(crate) seed_state: SeedState,
    secret: [u8; 32],
}

impl Ground {
    pub(crate) fn of(config: &SimConfig) -> Self {
        let mut chance = StdRng::seed_from_u64(config.seed);
        let uuid = uuid_from(chance.random());
        let default = || SeedState::default_cluster(config.nodes, &uuid);
        let seed_state = config.seed_state.clone().unwrap_or_else(default);
        Self { seed_state, secret: chance.random() }
    }

    pub(crate) fn site(&self, config: &SimConfig, fingerprint: &str) -> Result<Site, SeedError> {
        let clock = Clock::new(config.time_scale, config.epoch);
        let mut world = self.seed_state.build(clock.now_precise())?;
        world.stats_cycle = config.stats_cycle.map_or(STATS_CYCLE_S / clock.scale(), |c| c.as_secs_f64());
        let limits = Limits {
            workers: config.worker_limit,
            heavy_per_storage: config.max_creates,
            auth_delay: config.auth_delay,
        };
        let parts = SiteParts {
            clock,
            seed: config.seed,
            faults: config.faults.clone(),
            limits,
            secret: self.secret,
            fingerprint: fingerprint.to_owned(),
            record: config.record_answers,
        };
        Ok(Site::new(world, parts))
    }
}

/// Secret of the token that a site with this seed and no state of its own has.
pub fn token_secret(seed: u64) -> String {
    uuid_from(StdRng::seed_from_u64(seed).random())
}

/// A version 4 UUID from random bytes.
fn uuid_from(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn node_address(first: SocketAddr, at: usize) -> SocketAddr {
    let port = if first.port() == 0 { 0 } else { first.port().saturating_add(at as u16) };
    SocketAddr::new(first.ip(), port)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, SimError> {
    TcpListener::bind(address).await.map_err(|source| SimError::Listen { address, source })
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

async fn accept_tls(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    service: Arc<dyn Service>,
    site: Arc<Site>,
    stop: CancellationToken,
) {
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (acceptor, service, connections) = (acceptor.clone(), service.clone(), site.connections());
        let _ = stream.set_nodelay(true);
        open.spawn(async move {
            if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                conn::serve(stream, service, connections).await;
            }
        });
    }
}

async fn accept_plain(listener: TcpListener, service: Arc<dyn Service>, stop: CancellationToken) {
    let mut open = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let (service, stop) = (service.clone(), stop.clone());
        open.spawn(async move { conn::serve(stream, service, stop).await });
    }
}

async fn stop_when_idle(site: Arc<Site>, idle: Duration, stop: CancellationToken) {
    loop {
        let quiet = site.clock.uptime().saturating_sub(*site.last_call.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(left) = idle.checked_sub(quiet).filter(|l| !l.is_zero()) else { break };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(left) => {}
        }
    }
    stop.cancel();
    site.drop_connections();
}
