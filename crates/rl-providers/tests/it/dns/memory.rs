//! A book of zones in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use rl_model::Fqdn;
use rl_model::dns::{ZoneChange, ZoneRecords};
use rl_providers::dns::{BookError, ZoneBook};

/// A book in memory.
#[derive(Default)]
pub(crate) struct Book(Mutex<BTreeMap<Fqdn, (u32, ZoneRecords)>>);

impl Book {
    /// Puts records into a zone.
    pub(crate) fn put(&self, zone: &Fqdn, records: ZoneRecords) {
        self.0.lock().unwrap().insert(zone.clone(), (7, records));
    }
}

#[async_trait]
impl ZoneBook for Book {
    async fn zone(&self, zone: &Fqdn) -> Result<(u32, ZoneRecords), BookError> {
        Ok(self.0.lock().unwrap().get(zone).cloned().unwrap_or((1, ZoneRecords::new())))
    }

    async fn serial(&self, zone: &Fqdn) -> Result<u32, BookError> {
        Ok(self.zone(zone).await?.0)
    }

    async fn change(&self, zone: &Fqdn, change: &ZoneChange) -> Result<u32, BookError> {
        let mut book = self.0.lock().unwrap();
        let (serial, records) = book.entry(zone.clone()).or_insert((1, ZoneRecords::new()));
        change.check(records)?;
        change.apply_to(records);
        *serial += 1;
        Ok(*serial)
    }
}
