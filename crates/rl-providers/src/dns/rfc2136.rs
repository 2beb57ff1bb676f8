//! Servers that take signed updates: BIND, Knot, PowerDNS (RFC 2136 with RFC 8945).
//!
//! What a change expects is sent with it as prerequisites, so that the server checks and changes in one act.

use std::collections::BTreeSet;

use async_trait::async_trait;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Record, RecordType as WireType};
use rl_model::dns::{DnsName, DnsServer, Expect, RecordPut, ZoneChange, ZoneConflict, ZoneRecords};
use rl_model::{Fqdn, RecordType};

use super::error::DnsError;
use super::exchange::Conn;
use super::message::{collect, wire_name, wire_records, wire_type, wire_value};
use super::provider::{DnsProvider, ZoneList};
use super::resolve::addresses;
use super::transfer::transfer;
use super::tsig::Key;

/// A zone on such a server.
pub struct Rfc2136 {
    zone: DnsName,
    server: DnsServer,
    key: Key,
    servers: Vec<DnsServer>,
}

impl Rfc2136 {
    /// Joins zone, primary and key. Where no server to ask is named, the primary is.
    pub fn new(zone: &Fqdn, server: DnsServer, key: Key, servers: Vec<DnsServer>) -> Self {
        let servers = if servers.is_empty() { vec![server.clone()] } else { servers };
        Self { zone: DnsName::of_zone(zone), server, key, servers }
    }

    async fn connect(&self) -> Result<Conn<'_>, DnsError> {
        Conn::open(&addresses(&self.server).await?, Some(&self.key)).await
    }

    async fn read_with(&self, conn: &mut Conn<'_>, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError> {
        let mut found = ZoneRecords::new();
        for name in names {
            for kind in RecordType::ALL {
                let mut request = Message::query();
                request.add_query(Query::query(wire_name(name), wire_type(kind)));
                let answer = conn.ask(request).await?;
                match answer.response_code {
                    ResponseCode::NoError => {}
                    // The whole name is absent, whatever the type.
                    ResponseCode::NXDomain => break,
                    code => return Err(self.refused(conn, &format!("tell what {name} is"), code)),
                }
                // An alias is followed by the server; what it leads to is no record of this name.
                let (sets, _) = collect(&answer.answers);
                found.extend(sets.into_iter().filter(|((owner, found), _)| owner == name && *found == kind));
            }
        }
        Ok(found)
    }

    fn refused(&self, conn: &Conn<'_>, what: &str, code: ResponseCode) -> DnsError {
        let server = conn.server().to_string();
        if code == ResponseCode::ServFail {
            return DnsError::unreachable(server, format!("it cannot {what} just now"));
        }
        let hint = format!(
            "check the key {} (name, algorithm, value and clock: PowerDNS does not tell which is wrong), and allow it to update the zone {} (BIND: update-policy or allow-update, Knot: an acl with action \
             update, PowerDNS: dnsupdate=yes and TSIG-ALLOW-DNSUPDATE); the server must be the primary of the zone",
            self.key.name(),
            self.zone
        );
        DnsError::Refused { server, what: what.to_owned(), why: code.to_string(), hint }
    }

    /// What differs from what the change expected, found out after the server has refused it.
    async fn conflict(&self, conn: &mut Conn<'_>, change: &ZoneChange) -> DnsError {
        match self.read_with(conn, &change.names()).await {
            Ok(found) => DnsError::Conflict(change.check(&found).err().unwrap_or_else(|| ZoneConflict {
                what: "a record was there for a moment that is as expected again now".to_owned(),
            })),
            Err(error) => error,
        }
    }
}

#[async_trait]
impl DnsProvider for Rfc2136 {
    async fn read(&self, names: &BTreeSet<DnsName>) -> Result<ZoneRecords, DnsError> {
        let mut conn = self.connect().await?;
        self.read_with(&mut conn, names).await
    }

    async fn apply(&self, change: &ZoneChange) -> Result<(), DnsError> {
        let mut conn = self.connect().await?;
        let answer = conn.ask(update(&self.zone, change)).await?;
        match answer.response_code {
            ResponseCode::NoError if answer.signature().is_some() => Ok(()),
            ResponseCode::NoError => Err(self.key.refused(conn.server(), super::error::KeyFault::Answer)),
            ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::NXDomain | ResponseCode::YXDomain => {
                Err(self.conflict(&mut conn, change).await)
            }
            code => Err(self.refused(&conn, &format!("update the zone {}", self.zone), code)),
        }
    }

    async fn list(&self) -> Result<ZoneList, DnsError> {
        let mut conn = self.connect().await?;
        transfer(&mut conn, &self.zone).await
    }

    async fn servers(&self) -> Result<Vec<DnsServer>, DnsError> {
        Ok(self.servers.clone())
    }
}

/// The update message: zone, prerequisites, updates (RFC 2136 sections 2.3 to 2.5).
fn update(zone: &DnsName, change: &ZoneChange) -> Message {
    let mut message = Message::new(rand_id(), MessageType::Query, OpCode::Update);
    message.add_query(Query::query(wire_name(zone), WireType::SOA));
    for Expect { name, kind, values } in &change.expect {
        if values.is_empty() {
            let mut absent = Record::update0(wire_name(name), 0, wire_type(*kind));
            absent.dns_class = DNSClass::NONE;
            message.add_answer(absent);
        }
        for value in values {
            message.add_answer(Record::from_rdata(wire_name(name), 0, wire_value(value)));
        }
    }
    for RecordPut { name, kind, set } in &change.puts {
        let mut gone = Record::update0(wire_name(name), 0, wire_type(*kind));
        gone.dns_class = DNSClass::ANY;
        message.add_authority(gone);
        for record in set.iter().flat_map(|set| wire_records(name, set)) {
            message.add_authority(record);
        }
    }
    message
}

/// A message's number.
fn rand_id() -> u16 {
    Message::query().id
}
