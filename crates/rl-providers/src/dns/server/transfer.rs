//! Hands a whole zone to a secondary (RFC 5936).

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::Record;

use super::Zones;
use super::answer::{Asked, empty, refused_key, text_of};
use super::signed::{Chain, Signer, signer};
use super::zone::ZoneView;

/// Records in one message: with the longest names and texts some 50 KB, below the limit of 64 KB.
const RECORDS_PER_MESSAGE: usize = 90;

/// The messages of the transfer, or the refusal.
pub(super) fn messages(zones: &Zones, asked: &Asked, packet: &[u8], from: IpAddr) -> Vec<Vec<u8>> {
    let name = text_of(&asked.query);
    let Some(zone) = zones.get(name.as_str()) else {
        return refusal(asked, ResponseCode::NotAuth);
    };
    match signer(&asked.request, packet, &zone.secondaries) {
        Signer::Key(key, mac) => whole(zone, asked, Some(Chain::new(key, mac))),
        Signer::Nobody if by_address(zone, from) => whole(zone, asked, None),
        Signer::Nobody => refusal(asked, ResponseCode::Refused),
        Signer::Refused(context) => refused_key(asked, context).into_iter().collect(),
    }
}

/// Whether a secondary without a key has this address.
fn by_address(zone: &ZoneView, from: IpAddr) -> bool {
    let without_key = zone.secondaries.iter().filter(|secondary| secondary.key.is_none());
    without_key.flat_map(|secondary| &secondary.addresses).any(|address| address.ip() == from)
}

fn refusal(asked: &Asked, code: ResponseCode) -> Vec<Vec<u8>> {
    let mut message = empty(asked);
    message.metadata.response_code = code;
    message.to_vec().into_iter().collect()
}

/// The SOA, every other record, and the SOA again.
fn whole(zone: &ZoneView, asked: &Asked, mut chain: Option<Chain<'_>>) -> Vec<Vec<u8>> {
    let soa = || std::iter::once(zone.soa());
    let records: Vec<&Record> = soa().chain(zone.records()).chain(soa()).collect();
    let mut out = Vec::with_capacity(records.len() / RECORDS_PER_MESSAGE + 1);
    for some in records.chunks(RECORDS_PER_MESSAGE) {
        let mut message: Message = empty(asked);
        message.metadata.authoritative = true;
        message.answers.extend(some.iter().map(|record| (*record).clone()));
        let signed = chain.as_mut().is_none_or(|chain| chain.sign(&mut message).is_some());
        match message.to_vec() {
            Ok(bytes) if signed => out.push(bytes),
            _ => return refusal(asked, ResponseCode::ServFail),
        }
    }
    out
}
