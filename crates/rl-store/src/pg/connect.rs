//! One connection: names looked up without the C library, TLS, and what every session is told.
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::poll_fn;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PgError;
use super::url::{Target, Tls};

/// Longest time for one server to accept a connection, from the name to the first answer.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long data may lie unacknowledged before a connection counts as lost.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(8);
/// Silence before the system asks whether the other side is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(4);
/// Time between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Unanswered questions after which a connection counts as lost.
const KEEPALIVE_RETRIES: u32 = 3;

/// What every session is told. A server that is stopped or cut off inside a transaction holds the one row that all writes go
/// through, so that its session must end by itself within seconds; a statement of ours takes well under one. A database that
/// does not know one of these settings goes on without it.
const SETTINGS: [&str; 8] = [
    "set idle_in_transaction_session_timeout = '4s'",
    "set statement_timeout = '20s'",
    "set lock_timeout = '2s'",
    "set tcp_user_timeout = '8s'",
    "set tcp_keepalives_idle = 4",
    "set tcp_keepalives_interval = 2",
    "set tcp_keepalives_count = 3",
    // What is acknowledged is on disk, whatever the database's own default is; a stronger one is kept.
    "select set_config('synchronous_commit', 'on', false)
       where current_setting('synchronous_commit', true) in ('off', 'local')",
];

/// A connection, and what arrives on it unasked.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) doubt: Arc<AtomicBool>,
}

/// Opens a connection to the first of the target's servers that takes writes. `heard` is told of every notification.
pub(super) async fn open(target: &Target, heard: Option<Arc<Notify>>) -> Result<Link, PgError> {
    let (config, tls) = tokio::time::timeout(CONNECT_MAX, prepare(target))
        .await
        .map_err(|_| PgError::TimedOut { doing: "looking up the database server's name" })??;
    let doubt = Arc::new(AtomicBool::new(false));
    let connecting = async {
        let failed = |source| PgError::connect(target, source);
        let client = match tls {
            Some(tls) => {
                let (client, connection) = config.connect(tls).await.map_err(failed)?;
                tokio::spawn(drive(connection, Arc::clone(&doubt), heard));
                client
            }
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                tokio::spawn(drive(connection, Arc::clone(&doubt), heard));
                client
            }
        };
        set_up(&client).await?;
        Ok(client)
    };
    let limit = CONNECT_MAX * u32::try_from(target.hosts.len()).unwrap_or(1);
    let client = tokio::time::timeout(limit, connecting)
        .await
        .map_err(|_| PgError::TimedOut { doing: "connecting to the database server" })??;
    Ok(Link { client, doubt })
}

async fn prepare(target: &Target) -> Result<(Config, Option<MakeRustlsConnect>), PgError> {
    let mut config = Config::new();
    config.user(&target.user).dbname(&target.database).application_name("rapidlaunch");
    config.connect_timeout(CONNECT_MAX).tcp_user_timeout(TCP_USER_TIMEOUT);
    config
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if let Some(password) = target.secret().map_err(|source| PgError::Password { source })? {
        config.password(password.as_bytes());
    }
    let mut missing = None;
    for (host, port) in &target.hosts {
        match addresses(host).await {
            Ok(addresses) => {
                for address in addresses {
                    config.host(host).hostaddr(address).port(*port);
                }
            }
            Err(error) => missing = Some(error),
        }
    }
    if config.get_hosts().is_empty() {
        let source = missing.unwrap_or_else(|| "the name has no address".into());
        return Err(PgError::NoAddress { target: target.to_string(), source });
    }
    let tls = match target.tls {
        Tls::Off => None,
        Tls::Verified => Some(MakeRustlsConnect::new(verified(target)?)),
    };
    config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
    Ok((config, tls))
}

/// The addresses of a server: `/etc/hosts` and the name servers, asked without the C library, which a static binary must not use.
async fn addresses(host: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let hosts_only = || {
        let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let resolver = TokioResolver::builder_tokio().unwrap_or_else(|_| hosts_only()).build()?;
    Ok(resolver.lookup_ip(host).await?.iter().collect())
}

/// TLS that believes the certificates of `sslrootcert`, or of the system where none is named.
fn verified(target: &Target) -> Result<ClientConfig, PgError> {
    let mut roots = rustls::RootCertStore::empty();
    match &target.root {
        Some(path) => {
            let failed =
                |source: Box<dyn std::error::Error + Send + Sync>| PgError::Roots { path: path.clone(), source };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.into()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| failed(error.into()))?;
                roots.add(certificate).map_err(|error| failed(error.into()))?;
            }
            if roots.is_empty() {
                return Err(failed("it holds no certificate".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| PgError::Tls { source: source.into() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn set_up(client: &Client) -> Result<(), PgError> {
    for setting in SETTINGS {
        match client.batch_execute(setting).await {
            Err(error) if error.as_db_error().is_none() => return Err(PgError::of("setting a session up", error)),
            Err(error) => tracing::debug!(%error, setting, "the database does not know a setting"),
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Moves bytes until the connection ends. A warning raises `doubt`: the only one that matters says that a commit was not waited
/// for by its standby, and its text depends on the server's language.
async fn drive<S, T>(mut connection: Connection<S, T>, doubt: Arc<AtomicBool>, heard: Option<Arc<Notify>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notice(notice))) => {
                tracing::debug!(severity = notice.severity(), "the database says: {}", notice.message());
                if notice.code().code().starts_with("01") || notice.code().code() == "57P01" {
                    doubt.store(true, Ordering::SeqCst);
                }
            }
            Some(Ok(_)) => {
                if let Some(heard) = &heard {
                    heard.notify_one();
                }
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the connection to the database ended");
                return;
            }
            None => return,
        }
    }
}
