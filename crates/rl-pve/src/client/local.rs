//! From which addresses the endpoints are spoken to.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::net::UdpSocket;

use super::Pve;
use super::transport::Http;

impl Pve {
    /// The addresses of this machine from which it speaks to the site's endpoints, as its routes say. Nothing is sent. Empty
    /// where names cannot be looked up, there is no route, or the connection is no network's.
    pub async fn local_addresses(&self) -> BTreeSet<IpAddr> {
        let mut out = BTreeSet::new();
        let Http::Network(_) = &self.inner.http else { return out };
        for endpoint in self.inner.endpoints.all() {
            for address in self.inner.resolver.lookup(endpoint.host()).await.unwrap_or_default() {
                out.extend(towards(address, endpoint.port()).await.ok());
            }
        }
        out
    }
}

/// The address from which this machine speaks to another.
async fn towards(address: IpAddr, port: u16) -> std::io::Result<IpAddr> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect((address, port)).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn to_itself_a_machine_speaks_from_the_loopback_address() {
        assert_eq!(towards(IpAddr::from([127, 0, 0, 1]), 8006).await.unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
