//! Names to addresses, without the C library.

use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{ResolverBuilder, TokioResolver};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Longest time one question to a name server may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(2);
/// Longest time a missing name is remembered as missing, so that a new record is soon seen.
const MISSING_TTL_MAX: Duration = Duration::from_secs(10);

/// Looks names up by `/etc/hosts` and the name servers of `/etc/resolv.conf`. The C library's own lookup loads modules
/// at run time, which a static binary must not do.
pub struct NameResolver {
    fixed: Vec<(String, IpAddr)>,
    system: std::sync::Arc<OnceLock<Result<TokioResolver, String>>>,
}

impl NameResolver {
    /// The system's settings, read with the first question.
    pub fn system() -> Self {
        Self { fixed: Vec::new(), system: std::sync::Arc::default() }
    }

    /// The system's settings, and some names that are known already.
    pub fn with_fixed(fixed: Vec<(String, IpAddr)>) -> Self {
        Self { fixed, ..Self::system() }
    }

    /// All addresses of a name.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, std::io::Error> {
        let fixed = self.known(name);
        if !fixed.is_empty() {
            return Ok(fixed);
        }
        ask(&self.system, name).await
    }

    fn known(&self, name: &str) -> Vec<IpAddr> {
        if let Ok(address) = name.parse() {
            return vec![address];
        }
        self.fixed.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, address)| *address).collect()
    }
}

/// The system's settings; where there is no usable `/etc/resolv.conf`, as in an empty container, `/etc/hosts` alone.
fn build() -> Result<TokioResolver, String> {
    finish(TokioResolver::builder_tokio().unwrap_or_else(|_| hosts_only()))
}

fn hosts_only() -> ResolverBuilder<TokioRuntimeProvider> {
    let config = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

fn finish(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<TokioResolver, String> {
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = QUESTION_LIMIT;
    options.negative_max_ttl = Some(MISSING_TTL_MAX);
    builder.build().map_err(|e| format!("cannot set up name lookup: {e}"))
}

async fn ask(system: &OnceLock<Result<TokioResolver, String>>, name: &str) -> Result<Vec<IpAddr>, std::io::Error> {
    let resolver = system.get_or_init(build).as_ref().map_err(|text| std::io::Error::other(text.clone()))?;
    let found = resolver.lookup_ip(name).await.map_err(std::io::Error::other)?;
    Ok(found.iter().collect())
}

impl Resolve for NameResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let known = self.known(name.as_str());
        let system = self.system.clone();
        Box::pin(async move {
            let addresses = if known.is_empty() { ask(&system, name.as_str()).await? } else { known };
            let sockets: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(sockets)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn without_name_servers_the_hosts_file_still_counts() {
        let resolver = finish(hosts_only()).unwrap();
        let found: Vec<IpAddr> = resolver.lookup_ip("localhost").await.unwrap().iter().collect();
        assert!(found.iter().any(IpAddr::is_loopback), "{found:?}");
        assert!(resolver.lookup_ip("nowhere.invalid").await.is_err());
    }

    #[tokio::test]
    async fn literals_and_fixed_names_ask_nobody() {
        let resolver = NameResolver::with_fixed(vec![("pve.test".into(), [192, 0, 2, 1].into())]);
        assert_eq!(resolver.lookup("PVE.test").await.unwrap(), [IpAddr::from([192, 0, 2, 1])]);
        assert_eq!(resolver.lookup("::1").await.unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
    }
}
