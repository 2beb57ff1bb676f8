//! Records as a stack wants them, and zones as they were seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{DnsName, RecordSet, RecordValue, ZoneRecords};
use crate::{Fqdn, GuestName, NicName, RecordType, ResolvedGuest, ResolvedStack};

/// A record of a stack, its references looked up. The address of a NIC is not in it: it is read from the guest's lease, so that
/// the two cannot differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedRecord {
    /// The zone.
    pub zone: Fqdn,
    /// Whole name.
    pub name: DnsName,
    /// Type.
    pub kind: RecordType,
    /// Time to live in seconds.
    pub ttl_s: u32,
    /// Where its values come from.
    pub source: RecordSource,
    /// Zones declared for reverse names: the addresses of this record get a PTR record in the one that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reverse: Vec<Fqdn>,
}

/// Where the values of a record come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordSource {
    /// The leased addresses of a NIC of these guests.
    Nic {
        /// The guests.
        guests: Vec<GuestName>,
        /// The NIC.
        nic: NicName,
    },
    /// As declared.
    Fixed(Vec<RecordValue>),
}

/// A record set as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSet {
    /// Time to live and values.
    pub set: RecordSet,
    /// The guests whose addresses it has.
    pub guests: BTreeSet<GuestName>,
}

/// Every record set of a stack by zone, name and type, of the guests that `there` tells are there: forward ones as declared, and
/// PTR records by themselves. Of several names of one address, the first declared is its name.
pub fn wanted_sets(
    stack: &ResolvedStack,
    there: &dyn Fn(&GuestName) -> bool,
) -> BTreeMap<(Fqdn, DnsName, RecordType), WantedSet> {
    let mut out: BTreeMap<(Fqdn, DnsName, RecordType), WantedSet> = BTreeMap::new();
    for record in &stack.records {
        match &record.source {
            RecordSource::Fixed(values) => {
                for value in values {
                    add(&mut out, (&record.zone, &record.name), record.ttl_s, value.clone(), None);
                }
            }
            RecordSource::Nic { guests, nic } => {
                for guest in guests.iter().filter(|name| there(name)).filter_map(|name| stack.guests.get(name)) {
                    if let Some(address) = address(guest, nic, record.kind) {
                        add_address(&mut out, record, guest, address);
                    }
                }
            }
        }
    }
    out
}

/// The leased address of a NIC, of the family that a type of record takes.
fn address(guest: &ResolvedGuest, nic: &NicName, kind: RecordType) -> Option<IpAddr> {
    let nic = guest.nics.iter().find(|found| found.name == *nic)?;
    match kind {
        RecordType::A => nic.ipv4.leased(),
        RecordType::Aaaa => nic.ipv6.leased(),
        _ => None,
    }
}

type Sets = BTreeMap<(Fqdn, DnsName, RecordType), WantedSet>;

fn add_address(out: &mut Sets, record: &ResolvedRecord, guest: &ResolvedGuest, address: IpAddr) {
    let value = RecordValue::of_address(address);
    add(out, (&record.zone, &record.name), record.ttl_s, value, Some(&guest.name));
    let reverse = DnsName::reverse(address);
    // The most special zone is the one that answers.
    let zone = record.reverse.iter().filter(|zone| reverse.is_in(zone)).max_by_key(|zone| zone.as_str().len());
    let Some(zone) = zone.filter(|_| !record.name.as_str().starts_with('*')) else { return };
    if !out.contains_key(&(zone.clone(), reverse.clone(), RecordType::Ptr)) {
        let value = RecordValue::Ptr(record.name.clone());
        add(out, (zone, &reverse), record.ttl_s, value, Some(&guest.name));
    }
}

fn add(out: &mut Sets, (zone, name): (&Fqdn, &DnsName), ttl_s: u32, value: RecordValue, guest: Option<&GuestName>) {
    let key = (zone.clone(), name.clone(), value.kind());
    let set = out.entry(key).or_insert_with(|| WantedSet { set: RecordSet::new(ttl_s, []), guests: BTreeSet::new() });
    set.set.values.insert(value);
    set.guests.extend(guest.cloned());
}

/// A zone as it was seen: what is ours in it, and what is under the names that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedZone {
    /// Record sets of all types in the whole zone, without those that tell owners.
    pub total: usize,
    /// Record sets, with those that tell owners.
    #[serde(with = "as_list")]
    pub records: ZoneRecords,
    /// Why it could not be read, and what to do about it.
    pub unread: Option<(String, String)>,
}

/// Record sets as a list: their key is no text, as a JSON object would need.
mod as_list {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{DnsName, RecordSet, RecordType, ZoneRecords};

    pub(super) fn serialize<S: Serializer>(records: &ZoneRecords, to: S) -> Result<S::Ok, S::Error> {
        records.iter().collect::<Vec<_>>().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ZoneRecords, D::Error> {
        let list: Vec<((DnsName, RecordType), RecordSet)> = Vec::deserialize(from)?;
        Ok(list.into_iter().collect())
    }
}
