//! A zone, arranged for answering.

use std::collections::{BTreeMap, HashMap};

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType as WireType};
use rl_model::dns::{DnsName, ZoneRecords};

use super::{ServedSecondary, ServedZone};
use crate::dns::message::{wire_name, wire_records, wire_type};

/// How often secondaries look for a change by themselves, in seconds; a change is also told to them.
const REFRESH_S: i32 = 300;
/// When they try again, in seconds.
const RETRY_S: i32 = 60;
/// How long they answer without having reached us, in seconds: two weeks.
const EXPIRE_S: i32 = 1_209_600;
/// How long the absence of a name is remembered, in seconds: a new record is soon seen.
const ABSENT_S: u32 = 60;
/// Time to live of SOA and NS, in seconds.
const APEX_TTL_S: u32 = 3600;

/// Records of one name, by type.
pub(crate) type Node = BTreeMap<WireType, Vec<Record>>;

/// A zone as it was read from the book.
pub struct ZoneView {
    name: DnsName,
    serial: u32,
    soa: Record,
    nodes: HashMap<String, Node>,
    pub(crate) secondaries: Vec<ServedSecondary>,
    declared: String,
}

/// What a name leads to.
pub(crate) enum Found<'a> {
    /// Its records, or those of the wildcard that covers it.
    Node(&'a Node),
    /// There is something below it, but nothing at it.
    Empty,
    /// There is no such name.
    Nothing,
}

impl ZoneView {
    /// Arranges a zone.
    pub fn new(zone: &ServedZone, serial: u32, records: &ZoneRecords) -> Self {
        let name = DnsName::of_zone(&zone.name);
        let apex = wire_name(&name);
        let servers: Vec<Name> = if zone.nameservers.is_empty() {
            vec![below(&apex, "ns")]
        } else {
            zone.nameservers.iter().map(wire_name).collect()
        };
        let mut nodes: HashMap<String, Node> = HashMap::new();
        for ((owner, kind), set) in records.iter().filter(|((owner, _), _)| owner.is_in(&zone.name)) {
            let node = nodes.entry(owner.to_string()).or_default();
            node.insert(wire_type(*kind), wire_records(owner, set));
            // Names between it and the zone exist, though nothing is at them (RFC 8020).
            let mut parent = owner.parent();
            while let Some(between) = parent.take().filter(|between| between.is_in(&zone.name)) {
                if nodes.contains_key(between.as_str()) {
                    break;
                }
                nodes.insert(between.to_string(), Node::new());
                parent = between.parent();
            }
        }
        let mail = below(&apex, "hostmaster");
        let soa = SOA::new(servers[0].clone(), mail, serial, REFRESH_S, RETRY_S, EXPIRE_S, ABSENT_S);
        let soa = Record::from_rdata(apex.clone(), APEX_TTL_S, RData::SOA(soa));
        let ns = |server: &Name| Record::from_rdata(apex.clone(), APEX_TTL_S, RData::NS(NS(server.clone())));
        let node = nodes.entry(name.to_string()).or_default();
        node.insert(WireType::SOA, vec![soa.clone()]);
        node.insert(WireType::NS, servers.iter().map(ns).collect());
        Self { name, serial, soa, nodes, secondaries: zone.secondaries.clone(), declared: fingerprint(zone) }
    }

    /// The zone's name.
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// Grows with every change.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Whether it was arranged for this declaration.
    pub(crate) fn serves(&self, zone: &ServedZone) -> bool {
        self.declared == fingerprint(zone)
    }

    pub(crate) fn soa(&self) -> &Record {
        &self.soa
    }

    /// The SOA as it goes with the absence of something: its time to live tells how long that is remembered (RFC 2308).
    pub(crate) fn absence(&self) -> Record {
        let mut soa = self.soa.clone();
        soa.ttl = ABSENT_S;
        soa
    }

    /// Every record but the SOA.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.nodes.values().flat_map(|node| node.values().flatten()).filter(|r| r.record_type() != WireType::SOA)
    }

    /// Looks a lower-case name up, without its final dot (RFC 4592 for wildcards).
    pub(crate) fn find(&self, name: &str) -> Found<'_> {
        match self.nodes.get(name) {
            Some(node) if node.is_empty() => return Found::Empty,
            Some(node) => return Found::Node(node),
            None => {}
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if self.nodes.contains_key(parent) {
                let covering = self.nodes.get(&format!("*.{parent}")).filter(|node| !node.is_empty());
                return covering.map_or(Found::Nothing, Found::Node);
            }
            rest = parent;
        }
        Found::Nothing
    }
}

/// What of a declaration decides over answers; keys show their name and algorithm alone.
fn fingerprint(zone: &ServedZone) -> String {
    format!("{:?} {:?}", zone.nameservers, zone.secondaries)
}

fn below(apex: &Name, label: &str) -> Name {
    // Only a zone whose name has the greatest length leaves no room; its own name serves then.
    apex.prepend_label(label).unwrap_or_else(|_| apex.clone())
}
