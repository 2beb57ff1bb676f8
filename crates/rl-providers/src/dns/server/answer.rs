//! From one question to one answer. Pure: no packet, however bad, does more than this.

use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType as WireType, TSigResponseContext};

use rl_model::RecordType;
use rl_model::dns::DnsName;

use super::Zones;
use super::signed::{Chain, Signer, signer};
use super::zone::{Found, Node, ZoneView};
use crate::dns::ask::{Answer, question};

/// Bytes of a DNS header.
const HEADER_BYTES: usize = 12;
/// Most bytes of an answer over UDP to a question without EDNS (RFC 1035 section 2.3.4).
const PLAIN_BYTES: u16 = 512;
/// Most bytes of an answer over UDP: passes everywhere without fragments (DNS flag day 2020).
const UDP_BYTES_MAX: u16 = 1232;
/// Longest chain of aliases that is followed within a zone.
const ALIASES_MAX: usize = 8;

/// A question that can be answered.
pub(crate) struct Asked {
    pub(crate) request: Message,
    pub(crate) query: Query,
}

/// What a packet is.
pub(crate) enum Read {
    /// A question that can be answered.
    Asked(Box<Asked>),
    /// None; the bytes of the refusal that it deserves.
    Refused(Vec<u8>),
    /// Nothing that may be answered.
    Silence,
}

impl Read {
    fn refusal(message: &Message) -> Self {
        message.to_vec().map_or(Self::Silence, Self::Refused)
    }
}

/// The answer to a packet over UDP; nothing where none is due.
pub(crate) fn over_udp(zones: &Zones, packet: &[u8]) -> Option<Vec<u8>> {
    let asked = match read(packet) {
        Read::Asked(asked) => asked,
        Read::Refused(refusal) => return Some(refusal),
        Read::Silence => return None,
    };
    let limit =
        asked.request.edns.as_ref().map_or(PLAIN_BYTES, |edns| edns.max_payload().clamp(PLAIN_BYTES, UDP_BYTES_MAX));
    let mut message = respond(zones, &asked);
    if asked.query.query_type() == WireType::AXFR {
        message.answers.clear();
        message.metadata.response_code = ResponseCode::Refused;
    }
    let bytes = finish(zones, &asked, packet, &mut message)?;
    if bytes.len() <= usize::from(limit) { Some(bytes) } else { finish(zones, &asked, packet, &mut message.truncate()) }
}

/// The bytes of an answer, signed as the question was.
pub(crate) fn finish(zones: &Zones, asked: &Asked, packet: &[u8], message: &mut Message) -> Option<Vec<u8>> {
    if asked.request.signature().is_none() {
        return message.to_vec().ok();
    }
    let secondaries = zone_of(zones, &text_of(&asked.query)).map_or(&[][..], |zone| &zone.secondaries);
    match signer(&asked.request, packet, secondaries) {
        Signer::Nobody => message.to_vec().ok(),
        Signer::Key(key, mac) => {
            Chain::new(key, mac).sign(message)?;
            message.to_vec().ok()
        }
        Signer::Refused(context) => refused_key(asked, context),
    }
}

/// The answer to a signature that is not accepted (RFC 8945 section 5.2).
pub(crate) fn refused_key(asked: &Asked, context: TSigResponseContext) -> Option<Vec<u8>> {
    let mut message = empty(asked);
    message.metadata.response_code = ResponseCode::NotAuth;
    let signature = context.sign(&message.to_vec().ok()?).ok()?;
    message.set_signature(signature);
    message.to_vec().ok()
}

/// Reads a packet.
pub(crate) fn read(packet: &[u8]) -> Read {
    // An answer is never answered, or two servers could be made to talk for ever.
    if packet.len() < HEADER_BYTES || packet[2] & 0x80 != 0 {
        return Read::Silence;
    }
    let id = u16::from_be_bytes([packet[0], packet[1]]);
    let Ok(request) = Message::from_vec(packet) else {
        return Read::refusal(&Message::error_msg(id, OpCode::Query, ResponseCode::FormErr));
    };
    let refuse = |code| {
        let mut message = Message::error_msg(id, request.op_code, code);
        message.metadata.recursion_desired = request.recursion_desired;
        message.add_queries(request.queries.iter().take(1).cloned());
        if request.edns.is_some() {
            message.set_edns(own_edns());
        }
        Read::refusal(&message)
    };
    match request.op_code {
        OpCode::Query => {}
        OpCode::Update => return refuse(ResponseCode::Refused),
        _ => return refuse(ResponseCode::NotImp),
    }
    if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return refuse(ResponseCode::BADVERS);
    }
    let [query] = &request.queries[..] else { return refuse(ResponseCode::FormErr) };
    if query.query_class() != DNSClass::IN {
        return refuse(ResponseCode::Refused);
    }
    let query = query.clone();
    Read::Asked(Box::new(Asked { request, query }))
}

/// The zone that a name lies in: the longest that fits.
pub(crate) fn zone_of<'z>(zones: &'z Zones, name: &str) -> Option<&'z Arc<ZoneView>> {
    let mut rest = name;
    loop {
        if let Some(zone) = zones.get(rest) {
            return Some(zone);
        }
        rest = rest.split_once('.')?.1;
    }
}

/// A name as zones are searched by: lower case, without its final dot.
pub(crate) fn text_of(query: &Query) -> String {
    let mut text = query.name().to_ascii();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

fn own_edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_BYTES_MAX);
    edns
}

/// An answer without content.
pub(crate) fn empty(asked: &Asked) -> Message {
    let mut message = Message::new(asked.request.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = asked.request.recursion_desired;
    message.add_query(asked.query.clone());
    if asked.request.edns.is_some() {
        message.set_edns(own_edns());
    }
    message
}

/// The answer to a question.
pub(crate) fn respond(zones: &Zones, asked: &Asked) -> Message {
    let mut message = empty(asked);
    let name = text_of(&asked.query);
    let Some(zone) = zone_of(zones, &name) else {
        message.metadata.response_code = ResponseCode::Refused;
        return message;
    };
    message.metadata.authoritative = true;
    fill(zone, &name, asked, &mut message);
    message
}

impl ZoneView {
    /// What the server answers about one name and type, however long that is.
    pub fn answer(self: &Arc<Self>, name: &DnsName, kind: RecordType) -> Answer {
        let request = question(name, kind);
        let query = request.queries[0].clone();
        let zones = Zones::from([(self.name().clone(), Arc::clone(self))]);
        Answer::of(&respond(&zones, &Asked { request, query }), name, kind)
    }
}

/// Follows aliases within the zone until there is an answer, or none.
fn fill(zone: &ZoneView, name: &str, asked: &Asked, message: &mut Message) {
    let kind = asked.query.query_type();
    let mut name = name.to_owned();
    // Records of a wildcard are answered under the name that was asked for.
    let mut owner = asked.query.name().clone();
    for _ in 0..=ALIASES_MAX {
        let node = match zone.find(&name) {
            Found::Node(node) => node,
            Found::Empty => break,
            Found::Nothing => {
                message.metadata.response_code = ResponseCode::NXDomain;
                break;
            }
        };
        if let Some(records) = matching(node, kind) {
            message.answers.extend(records.iter().map(|record| renamed(record, &owner)));
            return;
        }
        let Some([alias]) = node.get(&WireType::CNAME).map(Vec::as_slice) else { break };
        let RData::CNAME(target) = &alias.data else { break };
        message.answers.push(renamed(alias, &owner));
        owner = target.0.clone();
        name = text_of(&Query::query(owner.clone(), kind));
        if !zone.name().as_str().split('.').rev().eq(name.rsplit('.').take(zone.name().as_str().split('.').count())) {
            // It leads out of the zone: whoever asks goes on from there.
            return;
        }
    }
    message.authorities.push(zone.absence());
}

fn matching(node: &Node, kind: WireType) -> Option<&Vec<Record>> {
    match kind {
        // One set answers for all (RFC 8482 section 4.1).
        WireType::ANY => node.values().next(),
        // The newest state of the zone instead of its changes; whoever wants all of it comes over TCP (RFC 1995 section 4).
        WireType::IXFR => node.get(&WireType::SOA),
        kind => node.get(&kind),
    }
}

fn renamed(record: &Record, owner: &hickory_proto::rr::Name) -> Record {
    let mut record = record.clone();
    record.name = owner.clone();
    record
}
