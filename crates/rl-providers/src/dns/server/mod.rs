//! The built-in authoritative server: answers for zones of the book over UDP and TCP, hands them to secondaries (AXFR, RFC 5936)
//! and tells these of changes (NOTIFY, RFC 1996).
//!
//! It never asks anybody else for a name, and refuses whatever it is no authority for.

mod answer;
mod answers;
mod notify;
mod refresh;
mod signed;
mod tcp;
mod transfer;
mod udp;
mod zone;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use rl_model::Fqdn;
use rl_model::dns::DnsName;
use tokio::net::{TcpListener, UdpSocket};

use super::builtin::{BookError, ZoneBook};
use super::tsig::Key;
pub use answers::Answers;
pub use zone::ZoneView;

/// A zone that the server answers for.
#[derive(Debug, Clone)]
pub struct ServedZone {
    /// Its name.
    pub name: Fqdn,
    /// Names of its servers, the primary first; `ns.` below the zone where none is given.
    pub nameservers: Vec<DnsName>,
    /// Servers that may copy it.
    pub secondaries: Vec<ServedSecondary>,
}

/// A server that may copy a zone.
#[derive(Debug, Clone)]
pub struct ServedSecondary {
    /// Its addresses; changes are told to the first.
    pub addresses: Vec<SocketAddr>,
    /// The key it must sign with; where there is none, its address decides.
    pub key: Option<Key>,
}

/// Tells which zones are served. Asked again and again, so that a server learns of zones while it runs.
#[async_trait]
pub trait ZoneSource: Send + Sync {
    /// The zones.
    async fn zones(&self) -> Result<Vec<ServedZone>, BookError>;
}

/// Zones that never change.
#[async_trait]
impl ZoneSource for Vec<ServedZone> {
    async fn zones(&self) -> Result<Vec<ServedZone>, BookError> {
        Ok(self.clone())
    }
}

/// What is answered from: each zone as it was last read.
pub(crate) type Zones = BTreeMap<DnsName, Arc<ZoneView>>;

/// The zones of a running server.
#[derive(Default)]
pub(crate) struct Shelf {
    zones: RwLock<Arc<Zones>>,
    answers: Arc<Answers>,
}

impl Shelf {
    pub(crate) fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.zones.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, zones: Zones) {
        *self.zones.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(zones);
    }
}

/// A server that listens already.
pub struct Authority {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    address: SocketAddr,
    shelf: Arc<Shelf>,
}

impl Authority {
    /// Listens on one address over UDP and TCP; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let udp = UdpSocket::bind(address).await?;
        let address = udp.local_addr()?;
        let tcp = TcpListener::bind(address).await?;
        Ok(Self { udp: Arc::new(udp), tcp, address, shelf: Arc::default() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions it has answered; counts on while it runs.
    pub fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.shelf.answers)
    }

    /// Answers until the future is dropped.
    pub async fn run(self, source: Arc<dyn ZoneSource>, book: Arc<dyn ZoneBook>) {
        let refresh = refresh::run(source, book, Arc::clone(&self.shelf));
        let udp = udp::run(self.udp, Arc::clone(&self.shelf));
        let tcp = tcp::run(self.tcp, Arc::clone(&self.shelf));
        tokio::join!(refresh, udp, tcp);
    }
}

/// The answer to one packet over UDP, for measuring; nothing where none is due.
pub fn answer_packet(view: &Arc<ZoneView>, packet: &[u8]) -> Option<Vec<u8>> {
    let zones = Zones::from([(view.name().clone(), Arc::clone(view))]);
    answer::over_udp(&zones, packet)
}
