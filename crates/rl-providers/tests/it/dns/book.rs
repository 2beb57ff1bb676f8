//! The suite on zones in a book.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rl_model::dns::{RecordSet, RecordValue, ZoneChange, ZoneRecords};
use rl_model::{Fqdn, RecordType};
use rl_providers::dns::{BookError, Builtin, ZoneBook};

use super::conformance::{conforms, lists_a_large_zone, name};
use super::lab::zone;

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

#[tokio::test]
async fn a_book_in_memory() {
    let book = Book::default();
    let mail = RecordSet::new(300, [RecordValue::of_address([192, 0, 2, 77].into())]);
    let records = ZoneRecords::from([((name("mail.example.org"), RecordType::A), mail)]);
    book.put(&zone(), records);
    let provider = Builtin::new(&zone(), Arc::new(book), Vec::new());
    conforms(&provider, None).await;
    lists_a_large_zone(&provider).await;
}
