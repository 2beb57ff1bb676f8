//! Names and records of zones, and where a zone is kept.

mod change;
mod holder;
mod name;
mod resolved;
mod value;
mod zone;

pub use change::{Expect, Owner, RecordPut, ZoneChange, ZoneConflict, owner_kind, owner_name};
pub use holder::Holder;
pub use name::DnsName;
pub use resolved::{ObservedZone, RecordSource, ResolvedRecord, WantedSet, wanted_sets};
pub use value::{RecordSet, RecordValue, Records as ZoneRecords};
pub use zone::{DnsServer, Secondary, TsigAlgorithm, TsigKey, Zone, ZoneProvider, ZoneUrl};

#[cfg(test)]
mod tests;
