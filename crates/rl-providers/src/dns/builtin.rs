//! Zones kept in the store of the installation.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rl_model::Fqdn;
use rl_model::dns::{DnsName, DnsServer, ZoneChange, ZoneConflict, ZoneRecords};

use super::ask::Witness;
use super::error::DnsError;
use super::provider::{DnsProvider, ZoneList};
use super::server::{ServedZone, ZoneView};

/// The book of built-in zones, kept in the store.
#[async_trait]
pub trait ZoneBook: Send + Sync {
    /// The records of a zone and its serial; an empty zone where nothing was written yet.
    async fn zone(&self, zone: &Fqdn) -> Result<(u32, ZoneRecords), BookError>;

    /// The serial of a zone alone.
    async fn serial(&self, zone: &Fqdn) -> Result<u32, BookError>;

    /// Changes a zone in one transaction, if it is as expected; answers its new serial.
    async fn change(&self, zone: &Fqdn, change: &ZoneChange) -> Result<u32, BookError>;
}

/// Why the book could not be read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BookError {
    /// The zone is not as expected.
    #[error(transparent)]
    Conflict(#[from] ZoneConflict),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
}

impl From<BookError> for DnsError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Conflict(conflict) => Self::Conflict(conflict),
            BookError::Store(why) => Self::unreachable("in the store", why),
        }
    }
}

/// A zone in the book.
pub struct Builtin {
    zone: Fqdn,
    book: Arc<dyn ZoneBook>,
    servers: Vec<DnsServer>,
}

impl Builtin {
    /// Joins the book and the servers that answer the zone.
    pub fn new(zone: &Fqdn, book: Arc<dyn ZoneBook>, servers: Vec<DnsServer>) -> Self {
        Self { zone: zone.clone(), book, servers }
    }
}

#[async_trait]
impl DnsProvider for Builtin {
    async fn read(&self, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError> {
        let (_, mut records) = self.book.zone(&self.zone).await?;
        records.retain(|(name, _), _| names.contains(name));
        Ok(records)
    }

    async fn apply(&self, change: &ZoneChange) -> Result<(), DnsError> {
        self.book.change(&self.zone, change).await?;
        Ok(())
    }

    async fn list(&self) -> Result<ZoneList, DnsError> {
        let (_, records) = self.book.zone(&self.zone).await?;
        Ok(ZoneList { records, others: 0 })
    }

    async fn servers(&self) -> Result<Vec<DnsServer>, DnsError> {
        Ok(self.servers.clone())
    }

    /// Where no server is known, what one would answer from the book is what can be told.
    async fn witnesses(&self) -> Result<Vec<Witness>, DnsError> {
        if !self.servers.is_empty() {
            return Ok(self.servers.iter().cloned().map(Witness::Server).collect());
        }
        let (serial, records) = self.book.zone(&self.zone).await?;
        let served = ServedZone { name: self.zone.clone(), nameservers: Vec::new(), secondaries: Vec::new() };
        Ok(vec![Witness::Store(Arc::new(ZoneView::new(&served, serial, &records)))])
    }
}
