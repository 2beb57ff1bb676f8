//! Names of servers to addresses, without the C library.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rl_model::dns::DnsServer;

use super::error::DnsError;

/// Longest time one question to a name server may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(3);

static SYSTEM: OnceLock<Result<TokioResolver, String>> = OnceLock::new();

/// All addresses of a server, in the order in which they are tried.
pub async fn addresses(server: &DnsServer) -> Result<Vec<SocketAddr>, DnsError> {
    let found = lookup(server.host()).await.map_err(|error| DnsError::unreachable(server, error))?;
    Ok(found.into_iter().map(|address| SocketAddr::new(address, server.port())).collect())
}

/// All addresses of a name, or the address that the text is.
pub(crate) async fn lookup(host: &str) -> Result<Vec<IpAddr>, std::io::Error> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let resolver = SYSTEM.get_or_init(build).as_ref().map_err(|text| std::io::Error::other(text.clone()))?;
    Ok(resolver.lookup_ip(host).await.map_err(std::io::Error::other)?.iter().collect())
}

fn build() -> Result<TokioResolver, String> {
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        let none = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        TokioResolver::builder_with_config(none, TokioRuntimeProvider::default())
    });
    builder.options_mut().timeout = QUESTION_LIMIT;
    builder.build().map_err(|error| format!("cannot set up name lookup: {error}"))
}

/// The same for the HTTP client.
pub(crate) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = lookup(name.as_str()).await?;
            let sockets: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(sockets)
        })
    }
}
