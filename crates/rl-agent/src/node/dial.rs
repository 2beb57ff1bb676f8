//! From a server's address to a TLS connection. Names are looked up without the C library.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::identity_error::NodeError;
use crate::authority;

/// Port of a server's agents where the address names none.
const PORT: u16 = 8443;
/// Longest time for a connection and its handshake.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Where a server listens for agents: a name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

/// The text is no server.
#[derive(Debug, Clone, thiserror::Error)]
#[error("`{0}` is no server; write https://HOST or https://HOST:PORT")]
pub struct ServerError(String);

impl FromStr for Server {
    type Err = ServerError;
    fn from_str(text: &str) -> Result<Self, ServerError> {
        let wrong = || ServerError(text.to_owned());
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = url::Url::parse(&with_scheme).map_err(|_| wrong())?;
        let plain = url.scheme() == "https" && matches!(url.path(), "" | "/") && url.query().is_none();
        let host = url.host_str().filter(|host| plain && !host.is_empty()).ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        // 443 is what the scheme means, and is not told apart from no port: it must then be what was written.
        let written = with_scheme.trim_end_matches('/').ends_with(":443");
        Ok(Self { host, port: url.port().unwrap_or(if written { 443 } else { PORT }) })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Connects to a server.
pub(crate) async fn dial(server: &Server, tls: Arc<ClientConfig>) -> Result<TlsStream<TcpStream>, NodeError> {
    let connect = async {
        let mut last = NodeError::Unreachable(format!("{server} has no address"));
        for address in addresses(&server.host).await?.into_iter().take(ADDRESSES_MAX) {
            match open(SocketAddr::new(address, server.port), &tls).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = NodeError::Unreachable(format!("{server}: {error}")),
            }
        }
        Err(last)
    };
    match tokio::time::timeout(CONNECT_LIMIT, connect).await {
        Ok(done) => done,
        Err(_) => Err(NodeError::Unreachable(format!("{server} did not answer within {} s", CONNECT_LIMIT.as_secs()))),
    }
}

async fn open(address: SocketAddr, tls: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::clone(tls)).connect(authority::server_name(), stream).await
}

async fn addresses(host: &str) -> Result<Vec<IpAddr>, NodeError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let unknown = |error: String| NodeError::Unreachable(format!("the name {host} cannot be looked up: {error}"));
    let builder = TokioResolver::builder_tokio().map_err(|error| unknown(error.to_string()))?;
    let resolver = builder.build().map_err(|error| unknown(error.to_string()))?;
    let found = resolver.lookup_ip(host).await.map_err(|error| unknown(error.to_string()))?;
    Ok(found.iter().collect())
}
