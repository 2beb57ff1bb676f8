//! Reads a whole zone by AXFR (RFC 5936).

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType as WireType};
use rl_model::dns::DnsName;

use super::error::DnsError;
use super::exchange::Conn;
use super::message::{collect, wire_name};
use super::provider::{SETS_MAX, ZoneList};

/// Most records of a zone that are read; each set has one at least, and few have many.
const RECORDS_MAX: usize = 2 * SETS_MAX;

/// Reads the whole zone.
pub(crate) async fn transfer(conn: &mut Conn<'_>, zone: &DnsName) -> Result<ZoneList, DnsError> {
    let mut request = Message::query();
    request.add_query(Query::query(wire_name(zone), WireType::AXFR));
    let mut verifier = conn.send(request).await?;
    let mut records: Vec<Record> = Vec::new();
    let mut borders = 0;
    while borders < 2 {
        let message = conn.receive(&mut verifier).await?;
        refused(conn, zone, &message)?;
        if message.answers.is_empty() {
            return Err(DnsError::odd(conn.server(), "a transfer of the zone ends in the middle"));
        }
        for record in &message.answers {
            if matches!(record.data, RData::SOA(_)) {
                borders += 1;
            } else {
                records.push(record.clone());
            }
        }
        if records.len() > RECORDS_MAX {
            let why = format!("the zone {zone} has more than {RECORDS_MAX} records");
            return Err(DnsError::odd(conn.server(), why));
        }
    }
    let (records, others) = collect(&records);
    Ok(ZoneList { records, others })
}

fn refused(conn: &Conn<'_>, zone: &DnsName, message: &Message) -> Result<(), DnsError> {
    match message.response_code {
        ResponseCode::NoError if message.op_code == OpCode::Query => Ok(()),
        ResponseCode::ServFail => Err(DnsError::unreachable(conn.server(), format!("the zone {zone} is not loaded"))),
        code => Err(DnsError::Refused {
            server: conn.server().to_string(),
            what: format!("hand out the zone {zone}"),
            why: code.to_string(),
            hint: "allow the key to transfer the zone (BIND: allow-transfer, Knot: an acl with action transfer, PowerDNS: \
                   TSIG-ALLOW-AXFR)"
                .to_owned(),
        }),
    }
}
