//! The one trait of every provider.

use std::collections::BTreeSet;

use async_trait::async_trait;
use rl_model::dns::{DnsName, DnsServer, ZoneChange, ZoneRecords};

use super::ask::Witness;
use super::error::DnsError;

/// A zone, wherever it is kept.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// The record sets of some names, of the types that are written.
    async fn read(&self, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError>;

    /// Changes the zone if it is as expected. Where the provider cannot check and change in one act, it reads before and
    /// after, so that a change in between is told, if not prevented.
    async fn apply(&self, change: &ZoneChange) -> Result<(), DnsError>;

    /// The whole zone.
    async fn list(&self) -> Result<ZoneList, DnsError>;

    /// Authoritative servers that must answer what was written.
    async fn servers(&self) -> Result<Vec<DnsServer>, DnsError>;

    /// All whose answer proves what was written: the servers, unless the provider knows better. Never empty.
    async fn witnesses(&self) -> Result<Vec<Witness>, DnsError> {
        Ok(self.servers().await?.into_iter().map(Witness::Server).collect())
    }
}

/// A zone as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneList {
    /// Record sets of the types that are written.
    pub records: ZoneRecords,
    /// Record sets of other types, which are never touched.
    pub others: usize,
}

/// Most record sets of a zone that are read: some 50 MB.
pub(crate) const SETS_MAX: usize = 200_000;
