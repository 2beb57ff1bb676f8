//! Providers of zones, with every change counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rl_model::dns::{DnsName, DnsServer, ZoneChange, ZoneRecords};
use rl_ops::Zones;
use rl_providers::dns::{DnsError, DnsProvider, Witness, ZoneList};

use super::names;

/// The same providers, watched.
pub(super) fn watched(providers: Zones) -> Zones {
    providers.into_iter().map(|(zone, provider)| (zone, Arc::new(Watched(provider)) as Arc<dyn DnsProvider>)).collect()
}

struct Watched(Arc<dyn DnsProvider>);

#[async_trait]
impl DnsProvider for Watched {
    async fn read(&self, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError> {
        self.0.read(names).await
    }

    async fn apply(&self, change: &ZoneChange) -> Result<(), DnsError> {
        let applied = self.0.apply(change).await;
        let result = match &applied {
            Ok(()) => "done",
            Err(DnsError::Conflict(_)) => "conflict",
            Err(error) if error.may_pass() => "unanswered",
            Err(_) => "refused",
        };
        metrics::counter!(names::DNS_UPDATES, "result" => result).increment(1);
        applied
    }

    async fn list(&self) -> Result<ZoneList, DnsError> {
        self.0.list().await
    }

    async fn servers(&self) -> Result<Vec<DnsServer>, DnsError> {
        self.0.servers().await
    }

    async fn witnesses(&self) -> Result<Vec<Witness>, DnsError> {
        self.0.witnesses().await
    }
}
