//! The built-in DNS server of this process, which answers while a command runs.

use std::net::SocketAddr;
use std::sync::Arc;

use rl_model::dns::DnsServer;
use rl_providers::dns::server::{Answers, Authority};
use tokio::task::JoinHandle;

use crate::error::CommandError;
use crate::work::data::Data;
use crate::work::dns_door::{self, DnsDoor};
use crate::work::zones::{StoreBook, StoreZones};

/// A server that answers until it is dropped.
pub(crate) struct Answering {
    address: SocketAddr,
    answers: Arc<Answers>,
    task: JoinHandle<()>,
    /// Tells other commands of the data directory where it answers.
    _door: Option<DnsDoor>,
}

impl Answering {
    /// Where it answers.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions it has answered.
    pub(crate) fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// The same for those who ask it.
    pub(crate) fn server(&self) -> DnsServer {
        dns_door::server(self.address)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers questions about the built-in zones of the store.
pub(crate) async fn start(data: Data, address: SocketAddr) -> Result<Answering, CommandError> {
    let authority = Authority::bind(address).await.map_err(|error| {
        CommandError::failed(format!("DNS questions cannot be answered on {address}"))
            .because(error)
            .hinted("another server may listen there; give --dns another address or port")
    })?;
    let (address, answers) = (authority.address(), authority.answers());
    let door = data.dir.as_ref().map(|dir| dns_door::open(dir, address)).transpose();
    let door = door.map_err(|error| {
        CommandError::failed("the address of the DNS server cannot be written into the data directory").because(error)
    })?;
    let book = Arc::new(StoreBook(data.store.clone()));
    let zones = Arc::new(StoreZones::new(Arc::new(data)));
    Ok(Answering { address, answers, task: tokio::spawn(authority.run(zones, book)), _door: door })
}
