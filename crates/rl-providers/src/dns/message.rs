//! Our records in the types of the wire format, and back.

use std::collections::BTreeSet;

use hickory_proto::rr::rdata::{self, A, AAAA, CNAME, PTR, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType as WireType};
use rl_model::RecordType;
use rl_model::dns::{DnsName, RecordSet, RecordValue, ZoneRecords};

/// A name with its final dot.
pub(crate) fn wire_name(name: &DnsName) -> Name {
    let mut wire =
        Name::from_ascii(name.as_str()).expect("a DNS name has only characters and lengths that are allowed");
    wire.set_fqdn(true);
    wire
}

/// A name from the wire; `None` where it has characters that our names have not.
pub(crate) fn our_name(name: &Name) -> Option<DnsName> {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).parse().ok()
}

pub(crate) fn wire_type(kind: RecordType) -> WireType {
    match kind {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Srv => WireType::SRV,
        RecordType::Txt => WireType::TXT,
        RecordType::Ptr => WireType::PTR,
    }
}

pub(crate) fn wire_value(value: &RecordValue) -> RData {
    match value {
        RecordValue::A(address) => RData::A(A(*address)),
        RecordValue::Aaaa(address) => RData::AAAA(AAAA(*address)),
        RecordValue::Cname(name) => RData::CNAME(CNAME(wire_name(name))),
        RecordValue::Ptr(name) => RData::PTR(PTR(wire_name(name))),
        RecordValue::Srv { priority, weight, port, target } => {
            RData::SRV(SRV::new(*priority, *weight, *port, wire_name(target)))
        }
        RecordValue::Txt(text) => RData::TXT(TXT::new(vec![text.clone()])),
    }
}

/// `None` for types and names that are not written by us.
pub(crate) fn our_value(data: &RData) -> Option<RecordValue> {
    Some(match data {
        RData::A(rdata::A(address)) => RecordValue::A(*address),
        RData::AAAA(rdata::AAAA(address)) => RecordValue::Aaaa(*address),
        RData::CNAME(CNAME(name)) => RecordValue::Cname(our_name(name)?),
        RData::PTR(PTR(name)) => RecordValue::Ptr(our_name(name)?),
        RData::SRV(srv) => RecordValue::Srv {
            priority: srv.priority,
            weight: srv.weight,
            port: srv.port,
            target: our_name(&srv.target)?,
        },
        RData::TXT(txt) => {
            let bytes: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
            RecordValue::Txt(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => return None,
    })
}

/// The records of a set.
pub(crate) fn wire_records(name: &DnsName, set: &RecordSet) -> Vec<Record> {
    let name = wire_name(name);
    set.values.iter().map(|value| Record::from_rdata(name.clone(), set.ttl_s, wire_value(value))).collect()
}

/// Joins records to sets; answers how many sets were of other types.
pub(crate) fn collect<'a>(records: impl IntoIterator<Item = &'a Record>) -> (ZoneRecords, usize) {
    let mut sets = ZoneRecords::new();
    let mut others: BTreeSet<(Name, WireType)> = BTreeSet::new();
    for record in records {
        let Some((name, value)) = our_name(&record.name).zip(our_value(&record.data)) else {
            others.insert((record.name.clone(), record.record_type()));
            continue;
        };
        let set = sets.entry((name, value.kind())).or_insert_with(|| RecordSet::new(record.ttl, []));
        set.values.insert(value);
    }
    (sets, others.len())
}
