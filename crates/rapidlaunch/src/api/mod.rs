//! The HTTP API of `serve --listen`: HTTPS, JSON under `/v1`, and the document that describes it.
//!
//! A route reads its request with `extract`, knows who asks from `caller`, and answers a value or a `problem`. What it does is
//! what commands do: it calls the same functions in `work`.

mod caller;
mod deeds;
mod etag;
mod extract;
mod files;
mod hub;
mod limits;
mod listen;
mod local;
mod looks;
mod observe;
mod openapi;
mod page;
mod problem;
mod routes;
mod tls;

pub(crate) use local::{Door, PREFIX as LOCAL_TOKEN, find as find_door};
pub(crate) use page::files as page_files;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rl_engine::SystemClock;
use rl_model::SecretValue;
use rl_providers::reach::Reach;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::access::{Gate, Oidc, OidcArgs};
use crate::env;
use crate::error::CommandError;
use crate::telemetry::Telemetry;
use crate::work::data::Data;

/// Folder of the API in the data directory.
pub(crate) const FOLDER: &str = "api";
/// The field of every answer that tells the server's release: where another release does not understand it, it can say why.
pub(crate) const RELEASE: &str = "x-rapidlaunch-release";

/// What a server listens with.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListenArgs {
    /// Serve the API and the page here over HTTPS, as 0.0.0.0:8443
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Certificate chain of the API, as PEM [default: one of an authority of its own, in DATA/api]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Name or address that people reach the server by; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    #[command(flatten)]
    pub(crate) oidc: OidcArgs,
    /// Let webhooks reach addresses that are not public, and this machine
    #[arg(long)]
    pub(crate) webhook_private: bool,
}

impl ListenArgs {
    /// Where webhooks may lead.
    pub(crate) fn reach(&self) -> Reach {
        if self.webhook_private { Reach::Any } else { Reach::Public }
    }
}

/// What every route has at hand.
pub(crate) struct ApiState {
    /// The store.
    pub(crate) data: Arc<Data>,
    /// Tells about the server.
    pub(crate) telemetry: Arc<Telemetry>,
    /// What one caller may take.
    limits: Arc<limits::Limits>,
    /// What happens, for followers.
    pub(crate) hub: Arc<hub::Hub>,
    /// Where webhooks may lead.
    pub(crate) reach: Reach,
    /// The places of followers.
    seats: Arc<hub::Seats>,
    /// What sites show.
    pub(crate) looks: looks::Looks,
    /// Where callers become somebody.
    pub(crate) gate: Gate,
    /// The provider of identities, where there is one.
    pub(crate) oidc: Option<Oidc>,
    /// The way in for this machine.
    local: local::Local,
    /// The description of the routes.
    document: Arc<str>,
}

/// See [`ApiState`].
pub(crate) type Api = Arc<ApiState>;

/// A server of the API, listening while this lives.
pub(crate) struct Listening {
    /// Where.
    pub(crate) address: SocketAddr,
    /// The link of the first set-up, while nobody has done it.
    pub(crate) setup: Option<SecretValue>,
    serving: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// Waits until all requests have ended, after the end was asked for.
    pub(crate) async fn ended(self) {
        let _ = self.serving.await;
    }
}

/// Listens as the command was told to.
pub(crate) async fn start(
    args: &ListenArgs,
    address: SocketAddr,
    data: Arc<Data>,
    telemetry: Arc<Telemetry>,
    shutdown: CancellationToken,
) -> Result<Listening, CommandError> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        CommandError::failed(format!("the API cannot be served on {address}"))
            .because(error)
            .hinted("name another address with --listen")
    })?;
    let address =
        listener.local_addr().map_err(|error| CommandError::failed("the listener has no address").because(error))?;
    let dir = folder(&data)?;
    let source = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => tls::Source::Given { certificate: certificate.clone(), key: key.clone() },
        _ => tls::Source::Own { dir: dir.clone(), names: tls::names(address, &args.name) },
    };
    let tls = tls::Tls::open(source)
        .map_err(|error| CommandError::input("the API has no usable certificate").because(error))?;
    let local = local::Local::open(&dir, address, tls.authority()).map_err(|error| {
        CommandError::failed(format!("the folder {} of the API cannot be used", dir.display())).because(error)
    })?;
    let (router, document) = routes::router();
    let gate = Gate::new(Arc::clone(&data), Arc::new(SystemClock::new()));
    let setup = gate
        .offer_setup(&base(args, address))
        .await
        .map_err(|error| CommandError::failed("the link of the first set-up cannot be made").because(error))?;
    let oidc = args.oidc.open(&data, &base(args, address)).await?;
    let hub = hub::Hub::start(data.store.clone(), shutdown.clone())
        .await
        .map_err(|error| CommandError::failed("what happens cannot be read").because(error))?;
    let counted = Arc::clone(&hub);
    telemetry.count_followers(move || counted.followers());
    let limits = limits::Limits::new(Arc::clone(&telemetry.connections));
    let state = ApiState {
        data,
        gate,
        oidc,
        hub,
        reach: args.reach(),
        seats: Arc::default(),
        looks: looks::Looks::default(),
        telemetry,
        limits: Arc::clone(&limits),
        local,
        document: document.into(),
    };
    let router = routes::guarded(router, Arc::new(state));
    let serving = tokio::spawn(listen::serve(listener, Arc::new(tls), router, limits, shutdown));
    Ok(Listening { address, setup, serving })
}

/// How people reach the server, as far as it knows.
fn base(args: &ListenArgs, address: SocketAddr) -> String {
    let host = match (args.name.first(), address.ip()) {
        (Some(name), _) => name.clone(),
        (None, ip) if ip.is_unspecified() => "localhost".to_owned(),
        (None, IpAddr::V4(ip)) => ip.to_string(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
    };
    format!("https://{host}:{}", address.port())
}

/// The folder of the API. A database has none of its own: there it is the user's.
pub(crate) fn folder(data: &Data) -> Result<PathBuf, CommandError> {
    let base = data.dir.clone().or_else(env::state_dir);
    base.map(|dir| dir.join(FOLDER)).ok_or_else(|| {
        CommandError::input("the files of the API have no place")
            .hinted("set HOME or XDG_STATE_HOME, so that there is a folder for them")
    })
}

/// The document as text.
pub(crate) fn document() -> String {
    routes::router().1
}
