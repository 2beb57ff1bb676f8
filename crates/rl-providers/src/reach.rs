//! Which addresses may be called at somebody's wish: whoever names a URL must not reach through this server what only it can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::dns::resolve::lookup;
use crate::web::{self, WebError};

/// Longest time a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Which addresses may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of the public network that are not this machine's.
    Public,
    /// All: for receivers in a network of one's own.
    Any,
}

/// An address that may not be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address {0} is not public, or this server's own")]
pub struct OutOfReach(pub IpAddr);

impl Reach {
    /// Refuses an address that may not be called.
    pub fn check(self, address: IpAddr) -> Result<(), OutOfReach> {
        match self {
            Reach::Any => Ok(()),
            Reach::Public if is_public(address) && !is_own(address) => Ok(()),
            Reach::Public => Err(OutOfReach(address)),
        }
    }
}

/// A client for URLs that somebody names: HTTPS alone, no proxy, no redirect, nothing repeated; names that lead out of reach are
/// refused as they are looked up. Whoever calls an address instead of a name asks [`Reach::check`] first: addresses are not looked up.
/// Each call says itself how long it may take.
pub fn client_within(reach: Reach) -> Result<reqwest::Client, WebError> {
    let client = reqwest::Client::builder()
        .https_only(true)
        .dns_resolver(Arc::new(Guarded(reach)))
        .tls_backend_preconfigured(web::tls(web::public_roots())?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_LIMIT)
        .user_agent(concat!("rapidlaunch/", env!("CARGO_PKG_VERSION")));
    Ok(client.build()?)
}

/// Whether an address belongs to the public network (the special-purpose address registries of IANA, RFC 6890). One that carries
/// another address in it counts as that one.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special: [(u32, u32); 14] = [
        (0x0000_0000, 8),  // this network
        (0x0a00_0000, 8),  // private
        (0x6440_0000, 10), // shared by carriers
        (0x7f00_0000, 8),  // loopback
        (0xa9fe_0000, 16), // link-local
        (0xac10_0000, 12), // private
        (0xc000_0000, 24), // protocol assignments
        (0xc000_0200, 24), // documentation
        (0xc0a8_0000, 16), // private
        (0xc612_0000, 15), // benchmarks
        (0xc633_6400, 24), // documentation
        (0xcb00_7100, 24), // documentation
        (0xe000_0000, 4),  // multicast
        (0xf000_0000, 4),  // reserved, broadcast
    ];
    let bits = u32::from(address);
    !special.iter().any(|(net, length)| (bits ^ net) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let inner = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b) {
        // Translated to IPv4 by a gateway (RFC 6052), and 6to4 (RFC 3056).
        (0x0064, 0xff9b) => [c, d, e, f] == [0; 4] && inner(g, h),
        (0x2002, high) => inner(high, c),
        // Protocol assignments with Teredo, documentation.
        (0x2001, 0..=0x01ff | 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        // Only this part of the space is given out (RFC 4291).
        _ => a & 0xe000 == 0x2000,
    }
}

/// Whether an address is one of this machine: only then a socket can be bound to it.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address.to_canonical(), 0)).is_ok()
}

/// Looks names up, and answers only addresses that may be called: the client connects to these, without a second look-up.
pub(crate) struct Guarded(pub(crate) Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = lookup(name.as_str()).await?;
            // One bad address spoils them all: a name that has both is no mistake.
            found.iter().try_for_each(|address| reach.check(*address))?;
            let sockets: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(sockets)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_addresses_of_the_public_network_are_public() {
        let public = [
            "1.1.1.1",
            "9.9.9.9",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ];
        for address in public {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "198.51.100.2",
            "203.0.113.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fc00::1",
            "fd12:3456::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:0a00:0001::1",
            "2002:7f00:0001::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "3fff::1",
            "::7f00:1",
            "fec0::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
            assert!(
                Reach::Public.check(address.parse().unwrap()).is_err()
                    && Reach::Any.check(address.parse().unwrap()).is_ok()
            );
        }
    }

    #[test]
    fn an_address_of_this_machine_is_its_own() {
        assert!(is_own([127, 0, 0, 1].into()) && !is_own([1, 1, 1, 1].into()));
    }

    #[tokio::test]
    async fn a_name_with_a_private_address_is_not_resolved() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused = Guarded(Reach::Public).resolve(name()).await.err().unwrap();
        assert!(refused.downcast_ref::<OutOfReach>().is_some(), "{refused}");
        assert!(Guarded(Reach::Any).resolve(name()).await.unwrap().count() > 0);
    }
}
